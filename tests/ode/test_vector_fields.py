"""What a vector field may do with its arguments and its result, and what it may not."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from node_experiments.ode import Solver, solve
from tests.grids import by_turns, pairwise

T = torch.tensor([0.0, 1.0], dtype=torch.float64)
GRADIENTS = ["adjoint", "backprop", "checkpoint", "discrete", "interpolated", "reversible"]
SOLVERS = [Solver("dopri5"), Solver("rk4", num_steps=20)]
Pair = namedtuple("Pair", ["x", "v"])
Swapped = namedtuple("Swapped", ["v", "x"])


def vector(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# ---- structure: x' = v, v' = -x from (1, 0) has x(1) = cos(1)


@pytest.mark.parametrize(
    ("y0", "field"),
    [
        ({"x": vector(1), "v": vector(0)}, lambda t, y: {"v": -y["x"], "x": y["v"]}),
        (
            OrderedDict(x=vector(1), v=vector(0)),
            lambda t, y: OrderedDict(v=-y["x"], x=y["v"]),
        ),
        (Pair(vector(1), vector(0)), lambda t, y: Swapped(x=y.v, v=-y.x)),
        (Pair(vector(1), vector(0)), lambda t, y: (y.v, -y.x)),
        ([vector(1), vector(0)], lambda t, y: (y[1], -y[0])),
        (
            {"a": ({"x": vector(1), "v": vector(0)},)},
            lambda t, y: {"a": ({"v": -y["a"][0]["x"], "x": y["a"][0]["v"]},)},
        ),
    ],
)
def test_derivatives_are_read_by_key(y0, field):
    ys = solve(field, y0, T).ys
    while not isinstance(ys, Tensor):
        ys = next(iter(ys.values())) if isinstance(ys, dict) else ys[0]
    torch.testing.assert_close(ys[-1], vector(math.cos(1)), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("y0", "derivative"),
    [
        ((torch.zeros(2), torch.zeros(3)), torch.ones(5)),
        ((torch.zeros(2), torch.zeros(3)), (torch.ones(3), torch.ones(2))),
        ((torch.zeros(2), torch.zeros(3)), (torch.ones(2), torch.ones(3), torch.ones(0))),
        ({"a": torch.zeros(2)}, {"b": torch.ones(2)}),
        ({"a": torch.zeros(2)}, {"a": torch.ones(1), "b": torch.ones(1)}),
        ({"a": torch.zeros(2), "b": torch.zeros(1)}, {"a": torch.ones(3)}),
        ({"a": torch.zeros(2)}, torch.ones(2)),
        (torch.zeros(2, dtype=torch.complex64), torch.ones(4)),
        (torch.zeros(2, dtype=torch.complex64), torch.ones(2)),
        (
            Pair(torch.zeros(1), torch.zeros(1)),
            namedtuple("P", "x w")(torch.ones(1), torch.ones(1)),
        ),
    ],
)
@pytest.mark.parametrize("gradient", ["adjoint", "backprop"])
def test_derivatives_of_another_structure_are_rejected(y0, derivative, gradient):
    with pytest.raises(ValueError, match=r"^the vector field must return a derivative.*$"):
        solve(lambda t, y: derivative, y0, torch.tensor([0.0, 1.0]), "dopri5", gradient)


# ---- memory


def oscillator(kind):
    buffer = torch.empty(2, dtype=torch.float64)
    host = np.empty(2)

    def field(t, y):
        if kind == "numpy":
            host[0], host[1] = float(y.detach()[1]), -float(y.detach()[0])
            return torch.from_numpy(host)
        if kind == "out":
            return torch.mul(y.detach().flip(0), vector(1, -1), out=buffer)
        buffer[0], buffer[1] = y[1], -y[0]
        return {"same": buffer, "view": buffer[:], "detached": buffer.detach()}[kind]

    return field


@pytest.mark.parametrize(
    ("solver", "kind", "gradient"),
    pairwise(
        [
            Solver("dopri5"),
            Solver("tsit5"),
            Solver("adams"),
            Solver("rk4", num_steps=20),
            Solver("adams_bashforth", num_steps=50),
            Solver("reversible_dopri5"),
        ],
        ["same", "view", "detached", "numpy", "out"],
        ["adjoint", "backprop", "discrete"],
    ),
)
def test_one_reused_tensor(kind, solver, gradient):
    if gradient == "backprop" and solver.method == "adams":
        gradient = "adjoint"
    ys = solve(oscillator(kind), vector(1, 0), T, solver, gradient).ys
    torch.testing.assert_close(ys[-1], vector(math.cos(1), -math.sin(1)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_no_graph_where_nothing_needs_a_gradient(gradient):
    ys = solve(
        lambda t, y: torch.from_numpy(-y.detach().numpy()), vector(1), T, "dopri5", gradient
    )
    torch.testing.assert_close(ys.ys[-1], vector(math.exp(-1)), rtol=1e-5, atol=0)


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("kind", ["same", "view"])
def test_gradients_through_one_reused_tensor(kind, gradient):
    y0 = vector(1, 0).requires_grad_()
    solve(oscillator(kind), y0, T, "dopri5", gradient).ys[-1, 0].backward()
    torch.testing.assert_close(y0.grad, vector(math.cos(1), math.sin(1)), rtol=1e-4, atol=0)


@pytest.mark.parametrize("grad", [True, False])
def test_reused_tensors_of_samples_and_tuples(grad):
    buffers = {}

    def field(t, y):
        out = []
        for i, part in enumerate(y):
            buffer = buffers.setdefault((i, part.shape), torch.empty(part.shape).double())
            out.append(buffer.copy_(-(i + 1) * part))
        return tuple(out)

    y0 = (torch.ones(3, 2).double(), torch.ones(3).double())
    for batching in ("joint", "independent"):
        with torch.set_grad_enabled(grad):
            a, b = solve(field, y0, T, Solver(batching=batching), "backprop").ys
        torch.testing.assert_close(a[-1], torch.full_like(a[-1], math.exp(-1)), rtol=1e-5, atol=0)
        torch.testing.assert_close(b[-1], torch.full_like(b[-1], math.exp(-2)), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("gradient", "keep", "solver"),
    pairwise(GRADIENTS, [lambda y: y, lambda y: y.detach(), lambda y: y.view(-1)], SOLVERS),
)
def test_states_that_the_field_keeps(solver, keep, gradient):
    k, kept = nn.Parameter(vector(2)), []

    def field(t, y):
        kept.append((keep(y), float(y.detach()[0])))
        return -k * y

    solve(field, vector(1), T, solver, gradient).ys[-1].sum().backward()
    assert all(float(y.detach()[0]) == value for y, value in kept)


# ---- changes in place


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.method)
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("change", ["t", "y", "view", "mask"])
def test_changes_in_place_are_rejected(change, grad, solver, gradient):
    def field(t, y):
        if change == "t":
            t.sub_(1)
        elif change == "y":
            y.clamp_(min=0)
        elif change == "view":
            y.view(-1)[0:1].mul_(2)
        else:
            y[0] = 0
        return -torch.ones_like(y) * t

    y0 = vector(0.5, 1)
    with torch.set_grad_enabled(grad), pytest.raises(ValueError, match="in place"):
        solve(field, y0.requires_grad_(grad), T, solver, gradient)
    assert y0.tolist() == [0.5, 1]


@pytest.mark.parametrize("gradient", ["adjoint", "backprop"])
def test_a_change_of_one_tensor_of_a_tuple_is_rejected(gradient):
    def field(t, y):
        y[1].mul_(0)
        return -y[0], -y[1]

    y0 = vector(1), vector(2)
    with pytest.raises(ValueError, match="in place"):
        solve(field, y0, T, "dopri5", gradient)
    assert float(y0[1]) == 2


# ---- graphs


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize(
    "field",
    [
        lambda t, y: torch.tensor([-float(y.detach())], dtype=torch.float64),
        lambda t, y: -y.detach(),
        lambda t, y: torch.from_numpy(-y.detach().numpy()),
        lambda t, y: torch.full_like(y, -y.sum().item()),
    ],
)
def test_values_without_a_graph_are_rejected(field, gradient):
    with pytest.raises(ValueError, match="in no graph"):
        solve(field, vector(1).requires_grad_(), T, "dopri5", gradient)


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize(
    "field",
    [
        lambda t, y: torch.ones_like(y),
        lambda t, y: t.detach() * torch.ones_like(y),
        lambda t, y: torch.where(y.detach() > 0, 1.0, -1.0).to(y.dtype),
    ],
)
def test_constant_fields_need_no_graph(field, gradient):
    y0 = vector(1).requires_grad_()
    solve(field, y0, T, "dopri5", gradient).ys[-1].sum().backward()
    torch.testing.assert_close(y0.grad, vector(1))


@pytest.mark.parametrize(("gradient", "solver"), by_turns(GRADIENTS, SOLVERS))
def test_leaves_made_inside(solver, gradient):
    """y' = -w t y, the factor t by differentiating t^2 / 2."""

    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(vector(2))

        def forward(self, t, y):
            with torch.enable_grad():
                s = t.clone().detach().requires_grad_(True)
                (rate,) = torch.autograd.grad(s**2 / 2, s, create_graph=True)
            return -self.w * rate * y

    field = Field()
    for _ in range(2):  # the second solve knows the field
        field.w.grad = None
        solve(field, vector(1), T, solver, gradient).ys[-1].sum().backward()
        torch.testing.assert_close(field.w.grad, vector(-math.exp(-1) / 2), rtol=1e-4, atol=0)


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.method)
def test_tensors_computed_outside_from_given_parameters(solver, gradient):
    w = nn.Parameter(vector(0.5))
    p = torch.exp(w)
    y = solve(lambda t, y: -p * y, torch.ones(3).double(), T, solver, gradient, parameters=(w,)).ys
    e = math.exp(0.5)
    for times in (1, 2):
        y[-1].sum().backward(retain_graph=True)
        expected = vector(-3 * e * math.exp(-e) * times)
        torch.testing.assert_close(w.grad, expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.method)
def test_hooks_of_parameters_run_once(solver, gradient):
    k, calls, accumulated = nn.Parameter(vector(2)), [], []

    def negate(grad):
        calls.append(grad)
        return -grad + 1

    k.register_hook(negate)
    k.register_post_accumulate_grad_hook(lambda p: accumulated.append(1))
    for parameters in (None, (k,)):
        k.grad = None
        calls.clear()
        y = solve(lambda t, y: -k * y, vector(1), T, solver, gradient, parameters=parameters).ys
        y[-1].sum().backward()
        torch.testing.assert_close(k.grad, vector(math.exp(-2) + 1), rtol=1e-4, atol=0)
        assert len(calls) == 1
    assert len(accumulated) == 2


@pytest.mark.parametrize("gradient", [g for g in GRADIENTS if g != "backprop"])
def test_batched_gradients_are_rejected_in_words(gradient):
    y0 = vector(1, 2).requires_grad_()
    y = solve(lambda t, y: -y, y0, T, "dopri5", gradient).ys[-1]
    with pytest.raises(NotImplementedError, match="vectorize"):
        torch.autograd.grad(y, y0, torch.eye(2).double(), is_grads_batched=True)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_states_made_in_inference_mode(gradient):
    with torch.inference_mode():
        y0 = vector(1)
    k = nn.Parameter(vector(2))
    solve(lambda t, y: -k * y, y0, T, "dopri5", gradient).ys[-1].sum().backward()
    torch.testing.assert_close(k.grad, vector(-math.exp(-2)), rtol=1e-4, atol=0)


# ---- per-sample steps

A = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)


@pytest.mark.parametrize("kind", ["dict", "tuple", "list", "complex", "mixed"])
def test_per_sample_steps_of_any_state(kind):
    torch.manual_seed(0)
    y, times = torch.randn(5, 2, dtype=torch.float64), torch.tensor([0.0, 0.3, 1.7]).double()
    solver = Solver("dopri5", rtol=1e-7, atol=1e-9, batching="independent")
    turn = torch.matrix_exp(A * times[-1])
    if kind == "complex":
        z = torch.view_as_complex(y)
        ys = solve(lambda t, z: 1j * z, z.requires_grad_(), times, solver, "backprop").ys
        expected = z.detach() * torch.exp(1j * times[-1])
        torch.testing.assert_close(ys[-1].detach(), expected, rtol=1e-5, atol=1e-6)
        return
    if kind == "mixed":
        y0 = {"a": y, "b": (y[:, 0].exp(),)}
        ys = solve(
            lambda t, s: {"b": (-t[:, 0] * s["b"][0],), "a": s["a"] @ A.T}, y0, times, solver
        ).ys
        decay = y0["b"][0] * math.exp(-(1.7**2) / 2)
        torch.testing.assert_close(ys["b"][0][-1], decay, rtol=1e-5, atol=1e-6)
        ys = ys["a"]
    else:
        wrap = {"dict": lambda x: {"a": x}, "tuple": lambda x: (x,), "list": lambda x: [x]}[kind]
        key = "a" if kind == "dict" else 0
        ys = solve(lambda t, s: wrap(s[key] @ A.T), wrap(y), times, solver, "backprop").ys[key]
    torch.testing.assert_close(ys[-1], y @ turn.T, rtol=1e-5, atol=1e-6)


def test_per_sample_steps_need_samples():
    with pytest.raises(ValueError, match="first axis of every tensor"):
        solve(
            lambda t, y: (-y[0], -y[1]),
            (torch.ones(2), torch.ones(3)),
            torch.tensor([0.0, 1.0]),
            Solver(batching="independent"),
        )


# ---- warnings where no error estimate can see


@pytest.mark.parametrize("fixed", [True, False])
def test_reversible_methods_warn_when_they_blow_up(fixed):
    solver = (
        Solver("reversible_rk4", num_steps=20)
        if fixed
        else Solver("reversible_dopri5", rtol=1e-3, atol=1e-3)
    )
    with pytest.warns(UserWarning, match="two solutions"):
        solve(lambda t, y: -3 * y, vector(1), torch.tensor([0.0, 10.0]).double(), solver)


@pytest.mark.parametrize("gradient", ["backprop", "discrete", "checkpoint"])
@pytest.mark.parametrize("point", [0.0, 1.0])
def test_gradients_at_an_equilibrium_are_warned_of(point, gradient):
    y0, times = vector(point).requires_grad_(), torch.tensor([0.0, 100.0]).double()
    with pytest.warns(UserWarning, match="equilibrium"):
        solve(lambda t, y: -2 * (y - point), y0, times, "dopri5", gradient)
    solver = Solver("dopri5", max_step=1.0)
    (grad,) = torch.autograd.grad(
        solve(lambda t, y: -2 * (y - point), y0, times, solver, gradient).ys[-1].sum(), y0
    )
    assert abs(float(grad)) < 1e-6


def test_zero_weights_are_no_equilibrium_to_warn_of():
    net = nn.Linear(2, 2).double()
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    times = torch.tensor([0.0, 100.0]).double()
    solve(lambda t, y: net(y), vector(1, 2), times, "dopri5", "discrete").ys[-1].sum().backward()
    assert net.bias.grad is not None


@pytest.mark.parametrize("method", ["adams", "scipy_vode_adams", "dopri5"])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-8])
def test_parameter_integrals_where_the_adjoint_is_constant(method, tolerance):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 3)).double()
    nn.init.zeros_(net[2].weight)
    y0, w = torch.randn(2, 5, 3, dtype=torch.float64)

    def grad(solver, gradient):
        net.zero_grad()
        (solve(lambda t, y: net(y), y0, T, solver, gradient).ys[-1] * w).sum().backward()
        return torch.cat([p.grad.reshape(-1) for p in net.parameters()])

    expected = grad(Solver("rk4", num_steps=50), "backprop")
    found = grad(Solver(method, rtol=tolerance, atol=tolerance), "adjoint")
    assert (found - expected).norm() < max(30 * tolerance, 1e-7) * expected.norm()


def test_solves_in_several_threads_do_not_disturb_each_other():
    """What a field reads is found in anomaly mode, which is that of the whole process."""
    failures = []

    def work(rate: float) -> None:
        for gradient in ("adjoint", "discrete", "checkpoint", "interpolated") * 3:
            k = torch.tensor(rate, dtype=torch.float64, requires_grad=True)
            y0 = torch.ones(2, dtype=torch.float64)
            try:
                y = solve(lambda t, y, k=k: -k * y, y0, [0.0, 1.0], "dopri5", gradient).ys[-1]
                (grad,) = torch.autograd.grad(y.sum(), k)
                if abs(grad.item() + 2 * math.exp(-rate)) > 1e-4:
                    failures.append(grad)
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=work, args=(rate,)) for rate in (1.0, 2.0, 3.0, 4.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert not torch.is_anomaly_enabled()
