"""Fixed-step solves as graphs: torch.export, torch.compile and ONNX."""

import sys

import pytest
import torch
from torch import nn

from node_experiments.ode import Backprop, Solver, solve
from node_experiments.ode.gradients import base
from node_experiments.ode.methods.explicit_runge_kutta import WEIGHTS
from node_experiments.ode.methods.interpolation import DENSE

TIMES = [0.0, 0.5, 1.0]
THOROUGH = pytest.mark.thorough


class Field(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))

    def forward(self, t, y):
        return self.net(y) * torch.cos(t)


class Single(nn.Module):
    """A state that is one tensor."""

    def __init__(self, method="rk4", **options):
        super().__init__()
        self.field = Field()
        self.solver = Solver(method, **(options or {"num_steps": 2}))

    def forward(self, x):
        return solve(self.field, x, TIMES, self.solver, "backprop").ys


class Pair(Single):
    def forward(self, x):
        def field(t, state):
            position, _ = state
            velocity = self.field(t, position)
            return velocity, velocity.square().sum(-1)

        start = (x, torch.zeros_like(x[:, 0]))
        position, work = solve(field, start, TIMES, self.solver, "backprop").ys
        return position, work


class Named(Single):
    def forward(self, x):
        def field(t, state, rate):
            return {"x": self.field(t, state["x"]), "more": {"v": -rate * state["more"]["v"]}}

        start = {"x": x, "more": {"v": x + 1}}
        rate = x.square().mean()
        ys = solve(field, start, (0, 1), self.solver, Backprop(), args=(rate,)).ys
        return ys["x"][-1], ys["more"]["v"][-1]


def example(batch=4):
    return torch.randn(batch, 2, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    """As in a program that has solved nothing before."""
    torch.manual_seed(0)
    torch.compiler.reset()
    monkeypatch.setattr(base, "DEFAULTS", {})
    monkeypatch.setattr(sys.modules["node_experiments.ode.solve"], "SOLVERS_BY_NAME", {})


@pytest.mark.parametrize(
    ("method", "kind", "strict"),
    [
        ("euler", Single, False),
        ("midpoint", Pair, False),
        pytest.param("rk4", Named, False, marks=THOROUGH),
        ("heun", Single, False),
        pytest.param("rk4", Pair, True, marks=THOROUGH),
        ("euler", Named, True),
    ],
)
def test_export_with_any_number_of_samples(method, kind, strict):
    model = kind(method)
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(model, (example(),), dynamic_shapes=shapes, strict=strict)
    for batch in (4, 7, 1000):
        torch.testing.assert_close(program.module()(example(batch)), model(example(batch)))


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        pytest.param("midpoint", Pair, marks=THOROUGH),
        ("euler", Named),
        pytest.param("rk4", Single, marks=THOROUGH),
    ],
)
def test_compile_in_one_graph_with_its_gradients(method, kind):
    model = kind(method)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")

    def run(function, x):
        x = x.clone().requires_grad_()
        outputs = function(x)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = sum(output.square().sum() for output in outputs)
        return (*outputs, *torch.autograd.grad(loss, (x, *model.parameters())))

    for batch in (4, 7):
        torch.testing.assert_close(run(compiled, example(batch)), run(model, example(batch)))


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("rk4", {"step_size": 0.3}),
        ("dopri5", {"num_steps": 3}),
        ("bosh3", {"step_size": 0.4}),
        ("euler", {"step_t": (0.2, 0.5)}),
        ("adams_bashforth", {"num_steps": 6}),
        ("reversible_heun", {"num_steps": 4}),
    ],
)
def test_other_grids_and_methods(method, options):
    model = Single(method, **options)
    program = torch.export.export(model, (example(),))
    torch.testing.assert_close(program.module()(example()), model(example()))


def test_nothing_of_an_export_or_of_inference_mode_is_kept_for_other_solves():
    """Tensors made while tracing have no values, and those of inference mode enter no graph."""
    model = Single("dopri5", num_steps=3)
    for kept in (WEIGHTS, DENSE):
        kept.clear()
    torch.export.export(model, (example(),))
    with torch.inference_mode():
        model(example())
    assert not WEIGHTS
    assert not DENSE
    expected = model(example())
    expected.sum().backward()
    assert WEIGHTS or DENSE
    for made in (*(row for rows in WEIGHTS.values() for row in rows), *DENSE.values()):
        assert type(made) is torch.Tensor
        assert not made.is_inference()


def test_a_wrong_derivative_is_an_error_while_tracing():
    class Wrong(Single):
        def forward(self, x):
            return solve(lambda t, y: y[0], x, TIMES, self.solver, "backprop").ys

    with pytest.raises(ValueError, match="must return a derivative like its state"):
        torch.export.export(Wrong(), (example(),))


@pytest.mark.parametrize("times", [[0, 1], (0.0, 1.0), [0.0, 0.5, 1.0]])
@pytest.mark.parametrize("gradient", ["backprop", "adjoint", "discrete", "interpolated"])
@pytest.mark.parametrize("solver", ["dopri5", Solver("rk4", num_steps=4)])
def test_times_that_are_numbers(times, gradient, solver):
    y0 = torch.ones(2, dtype=torch.float64, requires_grad=True)
    solution = solve(lambda t, y: -y * t, y0, times, solver, gradient)
    tensor = solve(lambda t, y: -y * t, y0, torch.tensor(times).double(), solver, gradient)
    torch.testing.assert_close(solution.ts, torch.tensor(times).double())
    torch.testing.assert_close(solution.ys, tensor.ys, rtol=0, atol=0)
    grads = [torch.autograd.grad(s.ys[-1].sum(), y0)[0] for s in (solution, tensor)]
    torch.testing.assert_close(*grads, rtol=0, atol=0)


def test_times_of_a_half_precision_or_complex_state():
    for dtype, expected in [(torch.bfloat16, torch.float32), (torch.complex128, torch.float64)]:
        y0 = torch.ones(2, dtype=dtype)
        solution = solve(lambda t, y: -y, y0, [0.0, 1.0], Solver("euler", num_steps=2))
        assert solution.ts.dtype is expected


@pytest.mark.parametrize(
    "times", [[0.0], [], [0.0, "1"], [0.0, torch.tensor(1.0)], [[0.0, 1.0]], 1.0, [1.0, 0.0, 2.0]]
)
def test_wrong_times(times):
    with pytest.raises(ValueError, match="t must be"):
        solve(lambda t, y: -y, torch.ones(2), times)


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        pytest.param("midpoint", Pair, marks=THOROUGH),
        ("euler", Named),
        pytest.param("rk4", Single, marks=THOROUGH),
    ],
)
def test_onnx(method, kind):
    pytest.importorskip("onnxscript")
    reference = pytest.importorskip("onnx.reference")
    model = kind(method).eval()
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.onnx.export(
        model, (example(),), dynamo=True, dynamic_shapes=shapes, verbose=False
    )
    run = reference.ReferenceEvaluator(program.model_proto)
    for batch in (4, 7):
        outputs = model(example(batch))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        found = run.run(None, {run.input_names[0]: example(batch).numpy()})
        for a, b in zip(found, outputs, strict=True):
            torch.testing.assert_close(torch.as_tensor(a), b.detach())


def test_a_solver_may_be_made_inside_of_what_is_compiled():
    def end(x):
        return solve(lambda t, y: -y, x, [0.0, 1.0], Solver("rk4", num_steps=2), "backprop").ys[-1]

    compiled = torch.compile(end, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(example()), end(example()))


@pytest.mark.parametrize(
    "asked",
    [
        {"events": [lambda t, y: y[0] - 0.5]},
        {"dense": True},
        {"watch": lambda t, h, y, accepted: None},
    ],
)
def test_what_a_traced_solve_cannot_serve_is_not_dropped(asked):
    def end(y0):
        solver = Solver("rk4", num_steps=8)
        solution = solve(lambda t, y: -y, y0, [0.0, 1.0], solver, "backprop", **asked)
        return solution.ts[-1], solution.ys[-1], solution.interpolant is not None

    y0 = torch.ones(2)
    expected = end(y0)
    found = torch.compile(end, backend="eager")(y0)
    torch.testing.assert_close(found[:2], expected[:2])
    assert found[2] == expected[2]


def test_the_halves_of_a_transposed_state_are_told_apart_while_tracing():
    y0 = torch.arange(6.0).reshape(3, 2).t()
    model = Halves()
    program = torch.export.export(model, (y0,))
    torch.testing.assert_close(program.module()(y0), model(y0))


class Halves(nn.Module):
    """A harmonic oscillator whose state is (position, velocity), one a row."""

    def forward(self, x):
        def field(t, y):
            return torch.stack([y[1], -y[0]])

        return solve(field, x, TIMES, Solver("leapfrog", num_steps=2), "backprop").ys
