"""Solutions and gradients of compiled steps are those of plain ones."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from node_experiments.ode import Adjoint, Backprop, Checkpoint, Discrete, Event, Solver, solve
from tests.grids import always

# torch's compiler looks at the gradients of whatever it is given, and hides this from users.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf"
)
T = torch.tensor([0.0, 0.2, 0.3, 0.9, 1.0], dtype=torch.float64)
SOLVERS = [
    Solver("dopri5", rtol=1e-4, atol=1e-4),
    Solver("bosh3", rtol=1e-3, atol=1e-3, controller="pi"),
    Solver("tsit5", rtol=1e-4, atol=1e-4, jump_t=[0.35]),
    Solver("dopri8", rtol=1e-4, atol=1e-4),
    Solver("vern7", rtol=1e-4, atol=1e-4),
    Solver("fehlberg45", rtol=1e-4, atol=1e-4, first_step=0.5),
    Solver("rk4", num_steps=3),
    Solver("euler", num_steps=5),
    Solver("dopri5", num_steps=2),
    Solver("midpoint", step_size=0.25, interpolation="linear"),
    Solver("bosh3", num_steps=3, interpolation="linear"),
]
EXACT = [Backprop(), Discrete(), Discrete(retain_graphs=True), Checkpoint(2)]


class Field(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)).double()

    def forward(self, t, y):
        return self.net(y) * torch.cos(5 * t)


def differentiated(field, y0, t, solver, gradient, args=(), **options):
    """A solution with the gradients of a sum of it, with respect to the state and the weights."""
    field.zero_grad()
    y0 = y0.clone().requires_grad_()
    solution = solve(field, y0, t, solver, gradient, args=args, **options)
    weights = torch.arange(1.0, solution.ys.shape[0] + 1).view(-1, 1, 1)
    (weights * solution.ys).sum().backward()
    return solution, [y0.grad, *(p.grad for p in field.parameters())]


# One for each setting; methods of more stages and other grids are thorough.
KINDS = [SOLVERS[place] for place in (0, 1, 2, 5, 6, 9, 10)]


@pytest.mark.parametrize(
    "solver", always(KINDS, SOLVERS), ids=lambda s: f"{s.method}-{s.fixed_steps}"
)
def test_solutions_gradients_and_counts_are_those_of_plain_steps(solver, lowered):
    field, y0 = Field(), torch.randn(3, 2, dtype=torch.float64)
    plain, expected = differentiated(field, y0, T, solver, Backprop())
    for gradient in EXACT:
        compiled = replace(solver, compile=True)
        solution, found = differentiated(field, y0, T, compiled, gradient)
        assert "Compiled" in solution.ys.grad_fn.name()
        torch.testing.assert_close(solution.ys, plain.ys, rtol=1e-9, atol=1e-9)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)
        assert solution.stats.forward == replace(
            plain.stats.forward,
            smallest_step=solution.stats.forward.smallest_step,
            largest_step=solution.stats.forward.largest_step,
        )
        with torch.no_grad():
            without = solve(field, y0, T, compiled)
        torch.testing.assert_close(without.ys, plain.ys, rtol=1e-9, atol=1e-9)


def test_backwards_in_time_and_nothing_but_the_end(lowered):
    field, y0 = Field(), torch.randn(3, 2, dtype=torch.float64)
    for t in (T.flip(0), T[[0, -1]]):
        _, expected = differentiated(field, y0, t, Solver(rtol=1e-4), Discrete())
        _, found = differentiated(field, y0, t, Solver(rtol=1e-4, compile=True), Discrete())
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7)


def test_tensors_that_are_arguments_captured_or_computed_outside_get_gradients(lowered):
    scale = torch.tensor(0.5, requires_grad=True)
    rate = torch.tensor([1.0, 2.0], requires_grad=True)
    unused = torch.ones(2, requires_grad=True)
    t = torch.tensor([0.0, 1.0])

    def gradients(solver, gradient):
        computed = rate.exp()  # outside of the vector field
        y0 = torch.ones(2)
        ys = solve(
            lambda t, y, a, b: -computed * y * a["x"],
            y0,
            t,
            solver,
            gradient,
            args=({"x": scale}, unused),
        ).ys
        return torch.autograd.grad(ys[-1].sum(), (scale, rate))

    expected = gradients(Solver("rk4", num_steps=4), "backprop")
    for gradient in ("backprop", "discrete", "checkpoint"):
        found = gradients(Solver("rk4", num_steps=4, compile=True), gradient)
        torch.testing.assert_close(found, expected)


def test_only_parameters_that_were_given_get_gradients(lowered):
    one, other = (torch.tensor(x, requires_grad=True) for x in (1.0, 2.0))
    solver = Solver("rk4", num_steps=4, compile=True)
    t = torch.tensor([0.0, 1.0])
    ys = solve(
        lambda t, y: -one * other * y, torch.ones(2), t, solver, "discrete", parameters=[one]
    ).ys
    ys[-1].sum().backward()
    assert one.grad is not None
    assert other.grad is None


def test_a_state_of_several_tensors_and_a_transposed_one(lowered):
    weight = torch.randn(3, 3, requires_grad=True)

    def pair(t, state):
        return {"a": state["b"] @ weight, "b": -state["a"] * t}

    y0 = {"a": torch.randn(2, 3), "b": torch.randn(2, 3)}
    t = torch.tensor([0.0, 0.5, 1.0])
    for field, start in ((pair, y0), (lambda t, y: torch.tanh(y @ weight), torch.randn(3, 2).t())):
        found, expected = (
            solve(field, start, t, Solver("rk4", num_steps=4, compile=compiles), "backprop").ys
            for compiles in (True, False)
        )
        torch.testing.assert_close(found, expected)
    assert lowered.calls


def test_a_complex_state(lowered):
    t, y0 = torch.tensor([0.0, 1.0]), torch.tensor([1.0 + 1j])
    with torch.no_grad():
        found = solve(lambda t, y: 1j * y, y0, t, Solver("rk4", num_steps=4, compile=True)).ys
        expected = solve(lambda t, y: 1j * y, y0, t, Solver("rk4", num_steps=4)).ys
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("gradient", ["backprop", "discrete", "checkpoint"])
def test_a_graph_that_is_retained_is_gone_through_again(gradient, lowered):
    field, y0 = Field(), torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    ys = solve(field, y0, T, Solver("rk4", num_steps=3, compile=True), gradient).ys
    (first,) = torch.autograd.grad(ys.sum(), y0, retain_graph=True)
    (again,) = torch.autograd.grad(ys.sum(), y0)
    assert torch.equal(first, again)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(ys.sum(), y0)


def test_second_derivatives_are_rejected(lowered):
    field, y0 = Field(), torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    ys = solve(field, y0, T, Solver("rk4", num_steps=3, compile=True), "backprop").ys
    (gradient,) = torch.autograd.grad(ys.sum(), y0, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivatives"):
        gradient.sum().backward()


def test_a_weight_that_changed_before_the_backward_pass_is_rejected(lowered):
    field, y0 = Field(), torch.randn(3, 2, dtype=torch.float64)
    ys = solve(field, y0, T, Solver("rk4", num_steps=3, compile=True), "discrete").ys
    with torch.no_grad():
        field.net[0].weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        ys.sum().backward()


def test_times_with_gradients_are_solved_by_plain_steps(lowered):
    field, y0 = Field(), torch.randn(3, 2, dtype=torch.float64)
    found = []
    for compiles in (True, False):
        t = T.clone().requires_grad_()
        solve(
            field, y0, t, Solver("rk4", num_steps=3, compile=compiles), "discrete"
        ).ys.sum().backward()
        found.append(t.grad)
    torch.testing.assert_close(*found, rtol=0, atol=0)


def test_the_forward_solve_of_the_adjoint_is_compiled(lowered):
    field, y0 = Field(), torch.randn(3, 2, dtype=torch.float64)
    _, expected = differentiated(field, y0, T, Solver(rtol=1e-5, atol=1e-7), Adjoint())
    _, found = differentiated(field, y0, T, Solver(rtol=1e-5, atol=1e-7, compile=True), Adjoint())
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7)
    assert lowered.calls


@pytest.mark.parametrize("solver", [Solver(rtol=1e-6), Solver("rk4", step_size=0.1)])
def test_events_and_dense_output(solver, lowered):
    rate = torch.tensor(1.0, requires_grad=True)

    def crossing(solver):
        return solve(
            lambda t, y: -rate * y,
            torch.ones(2),
            torch.tensor([0.0, 0.3, 5.0]),
            solver,
            "discrete",
            events=[Event(lambda t, y: y.sum() - 1.0)],
            dense=True,
        )

    plain, compiled = crossing(solver), crossing(replace(solver, compile=True))
    torch.testing.assert_close(compiled.ts, plain.ts)
    torch.testing.assert_close(compiled.ys, plain.ys)
    with torch.no_grad():
        torch.testing.assert_close(compiled.interpolant(0.123), plain.interpolant(0.123))
    for solution in (plain, compiled):
        rate.grad = None
        (solution.ts[-1] + solution.ys.sum()).backward()
        solution.message = rate.grad
    torch.testing.assert_close(compiled.message, plain.message)


def test_a_norm_of_the_users_and_tolerances_of_components(lowered):
    y0, t = torch.tensor([1.0, 10.0]), torch.tensor([0.0, 1.0])
    for options in (
        {"norm": lambda y: y.abs().max()},
        {"solver": Solver(rtol=1e-4, atol=[1e-5, 1e-3])},
    ):
        solver = options.pop("solver", Solver(rtol=1e-4, atol=1e-5))
        counts = []
        for compiles in (False, True):
            with torch.no_grad():
                solution = solve(
                    lambda t, y: -y, y0, t, replace(solver, compile=compiles), **options
                )
            counts.append(solution.stats.forward.evaluations)
        assert counts[0] == counts[1]


def test_second_derivatives_by_weights_are_refused(lowered):
    """Also where the gradient that arrives needs none: a penalty on a slope."""
    field = nn.Linear(2, 2)
    y0 = torch.ones(2)
    solver = Solver("rk4", num_steps=2, compile=True)
    ys = solve(lambda t, y: torch.tanh(field(y)), y0, [0.0, 1.0], solver, "backprop").ys
    assert lowered.calls
    (slope,) = torch.autograd.grad(ys.sum(), [field.weight], create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives"):
        (ys.pow(2).mean() + slope.pow(2).sum()).backward()
