"""Compiled steps: the same numbers, compiled once, with one node of the graph a step."""

import shutil

import pytest
import torch
from torch import nn

from node_experiments.ode import (
    Backprop,
    Solver,
    solve,
)
from node_experiments.ode import (
    compile as compiled,
)

# torch's compiler looks at the gradients of whatever it is given, and hides this from users.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf"
)
COMPILED = Backprop(compile=True)


class Compilations:
    """A backend that counts what it is given and computes it as it is."""

    def __init__(self):
        self.graphs = self.with_sizes_that_change = 0

    def __call__(self, graph, inputs):
        from torch._dynamo.backends.debugging import aot_eager

        self.graphs += 1
        self.with_sizes_that_change += any(not isinstance(x, torch.Tensor) for x in inputs)
        return aot_eager(graph, inputs)


@pytest.fixture
def compilations(monkeypatch):
    counted, compile_function = Compilations(), torch.compile
    monkeypatch.setattr(torch, "compile", lambda f: compile_function(f, backend=counted))
    monkeypatch.setattr(compiled, "_COMPILED", type(compiled._COMPILED)())
    monkeypatch.setattr(compiled, "compiler_fault", lambda device: None)
    return counted


@pytest.mark.parametrize(
    "solver",
    [
        Solver("dopri5", rtol=1e-4, atol=1e-4),
        pytest.param(Solver("dopri8", rtol=1e-4, atol=1e-4), marks=pytest.mark.thorough),
        Solver("bosh3", rtol=1e-3, atol=1e-3, controller="pi"),
        Solver("tsit5", rtol=1e-4, atol=1e-4, jump_t=[0.35]),
        Solver("rk4", num_steps=3),
        Solver("euler", num_steps=5),
    ],
    ids=lambda solver: solver.method,
)
def test_solution_gradients_and_counts_are_those_of_backpropagation(example, solver, compilations):
    t = torch.tensor([0.0, 0.2, 0.3, 0.9, 1.0], dtype=torch.float64)
    expected, plain = example.gradients(t, solver, Backprop())
    found, solution = example.gradients(t, solver, COMPILED)
    torch.testing.assert_close(solution.ys, plain.ys, rtol=1e-12, atol=1e-13)
    assert all(map(torch.allclose, found, expected))
    counts, expected_counts = solution.stats.forward, plain.stats.forward
    assert counts.evaluations == expected_counts.evaluations
    assert counts.accepted == expected_counts.accepted
    assert compilations.graphs > 0


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler to compile with")
def test_by_the_real_compiler(example):
    t = torch.linspace(0, 1, 4, dtype=torch.float64)
    solver = Solver("midpoint", num_steps=2)  # each stage takes the compiler seconds
    expected, plain = example.gradients(t, solver, Backprop())
    found, solution = example.gradients(t, solver, COMPILED)
    torch.testing.assert_close(solution.ys, plain.ys)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_another_batch_is_not_compiled_again_beyond_its_first_new_size(compilations):
    field = nn.Linear(3, 3)

    for batch in (4, 5, 6, 7, 4):
        y0 = torch.randn(batch, 3)
        # Another vector field of the same code, other steps and other times.
        solve(
            lambda t, y: field(y), y0, torch.tensor([0.0, batch]), Solver(rtol=1e-3), COMPILED
        ).ys.sum().backward()
    assert compilations.graphs <= 2  # for its first size, and for any


def test_the_sizes_of_one_vector_field_are_not_those_of_another(compilations):
    """Where sizes are taken for ones that change, a step takes twice as long."""
    for size in (3, 5, 8):
        field = nn.Linear(size, size)
        y0 = torch.randn(2 * size, size)
        solve(field_of(field), y0, torch.tensor([0.0, 1.0]), Solver(rtol=1e-3), COMPILED)
    assert compilations.graphs == 3
    assert compilations.with_sizes_that_change == 0


def field_of(net):
    """A separate module, as models have."""

    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, t, y):
            return self.net(y)

    return Field()


@pytest.mark.parametrize("layers", [1, 8])
def test_a_step_is_one_node_of_the_graph_however_deep_the_network(layers, compilations):
    net = nn.Sequential(*(nn.Sequential(nn.Linear(3, 3), nn.Tanh()) for _ in range(layers)))

    def nodes(steps):
        y0 = torch.ones(2, 3, requires_grad=True)
        solver = Solver("rk4", num_steps=steps)
        end = solve(lambda t, y: net(y), y0, torch.tensor([0.0, 1.0]), solver, COMPILED).ys
        seen, queue = set(), [end.grad_fn]
        while queue:
            node = queue.pop()
            if node is not None and node not in seen:
                seen.add(node)
                queue += [following for following, _ in node.next_functions]
        return len(seen)

    assert nodes(7) - nodes(4) == 3


def test_a_state_of_several_tensors_and_a_transposed_one(compilations):
    weight = torch.randn(3, 3, requires_grad=True)

    def pair(t, state):
        return {"a": state["b"] @ weight, "b": -state["a"] * t}

    y0 = {"a": torch.randn(2, 3), "b": torch.randn(2, 3)}
    t = torch.tensor([0.0, 0.5, 1.0])
    found, expected = (
        solve(pair, y0, t, Solver("rk4", num_steps=4), way).ys for way in (COMPILED, Backprop())
    )
    torch.testing.assert_close(found, expected)
    y0 = torch.randn(3, 2).t()
    found, expected = (
        solve(lambda t, y: torch.tanh(y @ weight), y0, t, "dopri5", way).ys
        for way in (COMPILED, Backprop())
    )
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_in_the_precision_of_autocast(compilations):
    field = nn.Linear(3, 3)
    y0, t = torch.randn(2, 3), torch.tensor([0.0, 1.0])
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = (
            solve(lambda t, y: field(y), y0, t, Solver("rk4", num_steps=4), way).ys
            for way in (COMPILED, Backprop())
        )
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_second_derivatives_are_rejected(example, compilations):
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    ys = example.solve(t, Solver("rk4", num_steps=2), COMPILED).ys

    def second():
        (gradient,) = torch.autograd.grad(ys.sum(), example.y0, create_graph=True)
        gradient.sum().backward()

    with pytest.raises(RuntimeError, match=r"create_graph=False|double backward"):
        second()


def test_random_numbers_are_rejected(compilations):
    dropout = nn.Dropout(0.5)
    with pytest.raises(ValueError, match="draws random numbers, which would be others"):
        solve(
            lambda t, y: dropout(y), torch.ones(2, 3), torch.tensor([0.0, 1.0]), "dopri5", COMPILED
        )


def test_a_wrong_shape_is_rejected_as_without(compilations):
    with pytest.raises(ValueError, match="must return a derivative like its state"):
        solve(
            lambda t, y: y[:1],
            torch.ones(2, 3),
            torch.tensor([0.0, 1.0]),
            Solver("rk4", num_steps=2),
            COMPILED,
        )


@pytest.mark.parametrize("method", ["leapfrog", "adams_bashforth", "trbdf2"])
def test_other_methods_are_rejected(example, method):
    with pytest.raises(ValueError, match="no explicit Runge-Kutta method"):
        example.solve(torch.tensor([0.0, 1.0]).double(), Solver(method, num_steps=2), COMPILED)


def test_without_a_compiler_it_computes_the_same_and_warns(example, monkeypatch):
    tried = []

    def broken(function):
        tried.append(function)
        raise RuntimeError("no working C++ compiler found in ('g++',)\nmore")

    monkeypatch.setattr(torch, "compile", broken)
    compiled.compiler_fault.cache_clear()
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    solver = Solver("rk4", num_steps=2)
    for _ in range(2):
        with pytest.warns(RuntimeWarning, match="nothing is compiled: .*no working C.*such as g"):
            found, _ = example.gradients(t, solver, COMPILED)
    expected, _ = example.gradients(t, solver, Backprop())
    assert all(map(torch.allclose, found, expected))
    assert len(tried) == 1
    compiled.compiler_fault.cache_clear()
