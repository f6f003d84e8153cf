"""States in half precision: the vector field computes in it, and the solver in float32."""

import math

import pytest
import torch
from torch import nn
from torch.utils import _pytree as pytree

from node_experiments.ode import Event, Solver, solve
from node_experiments.ode.torchdiffeq import odeint, odeint_adjoint, odeint_event
from tests.grids import always, by_turns

HALVES = [torch.float16, torch.bfloat16]
T = torch.tensor([0.0, 1.0])

pytestmark = pytest.mark.parametrize("dtype", HALVES)


def states(dtype):
    x = torch.tensor([[1.0, 2.0], [-1.0, 0.5], [3.0, 1.0]], dtype=dtype)
    return {
        "tensor": x,
        "transposed": x.t().contiguous().t(),
        "tuple": (x, x[0]),
        "dict": {"a": x, "b": [x[1]]},
    }


DECAY = math.exp(-1)


def assert_decayed(ys, y0, dtype, factor=DECAY):
    for y, start in zip(pytree.tree_leaves(ys), pytree.tree_leaves(y0), strict=True):
        assert y.dtype == dtype
        expected = start.float() * factor
        torch.testing.assert_close(y[-1].float(), expected, rtol=torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize(
    "kind", always(["tensor", "dict"], ["tensor", "transposed", "tuple", "dict"])
)
def test_small_steps_are_not_lost_in_rounding(dtype, kind):
    """Each increment of the 4096 steps is below the rounding of the state."""
    y0 = states(dtype)[kind]
    decay = lambda t, y: pytree.tree_map(torch.neg, y)  # noqa: E731
    factor = (1 - 1 / 4096) ** 4096
    solution = solve(decay, y0, T, Solver("euler", num_steps=4096))
    assert_decayed(solution.ys, y0, dtype, factor)


@pytest.mark.parametrize(
    ("method", "kind"),
    by_turns(
        ["dopri5", "dopri8", "adams", "kvaerno5", "scipy_lsoda", "reversible_heun"],
        ["tensor", "transposed", "tuple", "dict"],
    ),
)
def test_a_tight_tolerance_is_kept_up_to_the_rounding_of_the_outputs(dtype, kind, method):
    y0 = states(dtype)[kind]
    decay = lambda t, y: pytree.tree_map(torch.neg, y)  # noqa: E731
    assert_decayed(solve(decay, y0, T, Solver(method, 1e-5, 1e-8)).ys, y0, dtype)


def test_the_drop_in_with_its_default_tolerances(dtype):
    y0 = torch.ones(2, dtype=dtype, requires_grad=True)
    for times in (T, T.to(dtype)):
        assert_decayed(odeint(lambda t, y: -y, y0.detach(), times), y0.detach(), dtype)
    assert_decayed(odeint_adjoint(lambda t, y: -y, y0, T, adjoint_params=()), y0, dtype)
    time, _ = odeint_event(lambda t, y: -y, y0.detach(), T[0], event_fn=lambda t, y: y[0] - 0.5)
    assert float(time) == pytest.approx(math.log(2), rel=2 * torch.finfo(dtype).eps)


@pytest.mark.parametrize(
    "gradient", ["backprop", "discrete", "checkpoint", "adjoint", "interpolated"]
)
def test_the_vector_field_computes_in_the_precision_of_the_state(dtype, gradient):
    """Weights are of that precision too, and their gradients close to those in float32."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 2)).to(dtype)
    seen = set()

    def field(t, y):
        seen.add((t.dtype, y.dtype))
        weight = net[0].weight
        return net(torch.cat([y, t.expand(len(y), 1).to(weight)], -1).to(weight.dtype))

    y0 = torch.randn(4, 2, dtype=dtype, requires_grad=True)
    solver = Solver("dopri5", rtol=1e-3, atol=1e-3)
    found = solve(field, y0, T, solver, gradient).ys
    inputs = [y0, *net.parameters()]
    grads = torch.autograd.grad(found[-1].float().square().sum(), inputs)
    assert found.dtype == dtype
    assert [g.dtype for g in grads] == [dtype] * len(inputs)
    assert seen == {(dtype, dtype)}
    net.float()
    start = y0.detach().float().requires_grad_()
    expected = solve(lambda t, y: field(t, y), start, T, solver, gradient).ys
    expected_grads = torch.autograd.grad(expected[-1].square().sum(), [start, *net.parameters()])
    for one, other in zip((found[-1], *grads), (expected[-1], *expected_grads), strict=True):
        error = torch.linalg.vector_norm(one.float() - other)
        assert error <= 10 * torch.finfo(dtype).eps * torch.linalg.vector_norm(other)


def test_samples_with_their_own_steps(dtype):
    y0 = torch.tensor([[1.0], [2.0], [3.0]], dtype=dtype)
    rates = torch.tensor([[1.0], [5.0], [0.1]], dtype=dtype)
    alone = Solver("dopri5", rtol=1e-4, atol=1e-6, batching="independent")
    together = {"y": y0, "rate": rates}

    def field(t, state):
        assert t.dtype == state["y"].dtype == dtype
        return {"y": -state["rate"] * state["y"], "rate": torch.zeros_like(state["rate"])}

    ys = solve(field, together, T, alone).ys["y"]
    assert ys.dtype == dtype
    expected = y0.float() * torch.exp(-rates.float())
    torch.testing.assert_close(ys[-1].float(), expected, rtol=2 * torch.finfo(dtype).eps, atol=0)
    assert_decayed(solve(lambda t, y: -y, y0, T, alone).ys, y0, dtype)


def test_events_dense_output_norms_and_watchers_are_given_it(dtype):
    seen = set()

    def event(t, y):
        seen.add((t.dtype, y.dtype))
        return y[0] - 0.5

    def norm(error):
        seen.add((dtype, error.dtype))
        return error.float().abs().max()

    y0 = torch.ones(2, dtype=dtype)
    solution = solve(
        lambda t, y: -y,
        y0,
        torch.tensor([0.0, 2.0]),
        Solver("dopri5", rtol=1e-4, atol=1e-6),
        events=[Event(event)],
        norm=norm,
        watch=lambda t, h, y, accepted: seen.add((dtype, y.dtype)),
        dense=True,
    )
    assert seen == {(dtype, dtype)}
    eps = torch.finfo(dtype).eps
    assert float(solution.ts[-1]) == pytest.approx(math.log(2), rel=2 * eps)
    inside = solution.interpolant(0.25)
    assert inside.dtype == dtype
    assert float(inside[0]) == pytest.approx(math.exp(-0.25), rel=2 * eps)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.1])
def test_an_event_has_its_gradient(dtype, level):
    """Its value is rounded, and does not jump for that: t = -log(level) / k."""
    k = torch.tensor(1.0, dtype=dtype, requires_grad=True)
    y0 = torch.ones(1, dtype=dtype)
    # Few steps: autograd adds up the gradient of k in its precision.
    time, _ = odeint_event(
        lambda t, y: -k * y, y0, T[0], event_fn=lambda t, y: (y - level)[0], rtol=1e-3, atol=1e-4
    )
    (grad,) = torch.autograd.grad(time, k)
    found = [float(time.detach()), float(grad)]
    exact = -math.log(level)
    assert found == pytest.approx([exact, -exact], abs=4 * torch.finfo(dtype).eps * (1 + exact))


def test_torch_func_through_fixed_steps(dtype):
    solver = Solver("rk4", num_steps=8)

    def end(y):
        return solve(lambda t, y: -y, y, T, solver, "backprop").ys[-1].sum()

    y0 = torch.ones(5, 2, dtype=dtype)
    grads = torch.func.vmap(torch.func.grad(end))(y0)
    assert grads.dtype == dtype
    torch.testing.assert_close(
        grads.float(), torch.full((5, 2), math.exp(-1)), rtol=torch.finfo(dtype).eps, atol=0
    )


@pytest.mark.parametrize("method", ["implicit_euler", "kvaerno3", "kvaerno5", "radauIIA5", "gl4"])
def test_newton_converges_to_the_rounding_of_the_vector_field(dtype, method):
    """A stiff relaxation onto a curved, slow manifold."""
    rate = torch.tensor(200.0, dtype=dtype, requires_grad=True)

    def field(t, y):
        return torch.stack([-y[0], -rate * (y[1] - y[0] ** 2)])

    y0 = torch.tensor([1.0, 2.0], dtype=dtype)
    steps = {"num_steps": 40} if method in ("implicit_euler", "radauIIA5", "gl4") else {}
    solver = Solver(method, rtol=1e-3, atol=1e-3, **steps)
    ys = solve(field, y0, T, solver, "discrete").ys
    end = torch.tensor([math.exp(-1), math.exp(-2)])
    eps = torch.finfo(dtype).eps
    bound = 10 * eps + (0.02 if method == "implicit_euler" else 0.0)
    assert float((ys[-1].detach().float() - end).abs().max()) <= bound
    ys[-1].sum().backward()
    assert bool(torch.isfinite(rate.grad))
