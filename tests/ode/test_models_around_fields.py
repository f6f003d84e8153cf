"""Vector fields that reach a whole model, sparse tensors, computed weights and relays."""

import pytest
import torch
from torch import nn

from node_experiments.ode import Adjoint, SolveError, Solver, Status, solve
from node_experiments.ode.torchdiffeq import odeint, odeint_adjoint

T = torch.tensor([0.0, 1.0])
WITHOUT_A_RECORD = ("adjoint", "discrete", "checkpoint", "interpolated", "reversible")


class Encoded(nn.Module):
    """Batch normalisation before the solve, which the vector field can reach and does not call."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        self.field = nn.Linear(3, 3)

    def vector_field(self, t, y):
        return self.field(y).tanh()

    def forward(self, x, gradient):
        y0 = self.encoder(x)
        solver = Solver("dopri5", rtol=1e-6, atol=1e-6)
        return solve(lambda t, y: self.vector_field(t, y), y0, T, solver, gradient).ys[-1]


@pytest.mark.parametrize("gradient", WITHOUT_A_RECORD)
def test_batch_normalisation_before_the_solve(gradient):
    grads = {}
    for method in ("backprop", gradient):
        torch.manual_seed(0)
        model = Encoded()
        for _ in range(2):  # the second time, the vector field is known
            model.zero_grad()
            model(torch.randn(6, 3), method).pow(2).sum().backward()
        grads[method] = [p.grad for p in model.parameters()]
    for a, b in zip(*grads.values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("gradient", WITHOUT_A_RECORD)
@pytest.mark.parametrize("late", [False, True])
def test_batch_normalisation_that_the_field_calls_is_rejected_and_left_as_it_was(gradient, late):
    plain, normalised = nn.Linear(3, 3), nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3))
    models = nn.ModuleList([plain, normalised])
    before = {name: x.clone() for name, x in models.named_buffers()}
    solver = Solver("rk4", num_steps=4)
    y0 = torch.randn(4, 3)
    for i in (0, 1):  # the same code, which calls another module
        field = lambda t, y, i=i: models[i if t > 0.5 or not late else 0](y)  # noqa: E731
        if i == 0:
            solve(field, y0, T, solver, gradient)
            continue
        with pytest.raises(ValueError, match=r"BatchNorm1d '1\.0' .*updates its running"):
            solve(field, y0, T, solver, gradient)
    for name, x in models.named_buffers():
        torch.testing.assert_close(x, before[name])
    assert not any(part._forward_pre_hooks for part in normalised)


class Graph(nn.Module):
    def __init__(self, layout):
        super().__init__()
        self.w = nn.Parameter(torch.full((2, 2), 0.3, dtype=torch.double))
        matrix = torch.tensor([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=torch.double)
        sparse = {"dense": matrix, "coo": matrix.to_sparse(), "csr": matrix.to_sparse_csr()}
        self.register_buffer("adjacency", sparse[layout])
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, t, y):
        return self.adjacency @ (y @ self.w)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_sparse_tensors_that_a_vector_field_reads():
    grads = []
    for layout in ("dense", "coo", "csr"):
        graph = Graph(layout)
        y = odeint_adjoint(graph, torch.ones(3, 2, dtype=torch.double), T)[-1]
        graph.calls += 1  # a counter that the vector field does not read
        y.sum().backward()
        grads.append(graph.w.grad)
    torch.testing.assert_close(grads[0], grads[1])
    torch.testing.assert_close(grads[0], grads[2])
    for layout in ("coo", "csr"):
        graph = Graph(layout)
        y = odeint_adjoint(graph, torch.ones(3, 2, dtype=torch.double), T)[-1]
        graph.adjacency.mul_(2)
        with pytest.raises(RuntimeError, match="was changed in place between the solve"):
            y.sum().backward()


@pytest.mark.parametrize("gradient", WITHOUT_A_RECORD)
def test_retained_gradient_of_a_computed_tensor_among_the_parameters(gradient):
    leaf = torch.eye(3, dtype=torch.double, requires_grad=True)
    expected = torch.autograd.grad(solved(leaf, "backprop"), leaf)[0]
    computed = 1 * leaf
    computed.retain_grad()
    for times in (1, 2):  # the gradient is added to that of the pass before
        solved(computed, gradient).backward(retain_graph=True)
        torch.testing.assert_close(computed.grad, times * expected, rtol=1e-5, atol=1e-8)
        torch.testing.assert_close(leaf.grad, times * expected, rtol=1e-5, atol=1e-8)


def test_a_parameter_beside_the_tensor_that_it_was_computed_from():
    leaf = torch.eye(3, requires_grad=True)
    first = leaf.tanh()
    second = first.exp()
    halves = torch.ones(6, 3, requires_grad=True).sin().split(3)
    field = lambda t, y: torch.tanh(y @ second)  # noqa: E731
    for given in ([leaf, first], [second, leaf], [first, second], [*halves, second, first]):
        with pytest.raises(ValueError, match="computed from another one of them, whose gradient"):
            solve(field, torch.ones(1, 3), T, gradient="adjoint", parameters=given)
        with pytest.raises(
            ValueError, match=r"adjoint_params holds .*make it a part of the state"
        ):
            odeint_adjoint(field, torch.ones(1, 3), T, adjoint_params=tuple(given))
    part = halves[0].cos()
    for given in (
        [second],
        [*halves, second],
        [torch.ones(3, 3), second],
        [halves[1], part, second],
    ):
        solve(field, torch.ones(1, 3), T, gradient="adjoint", parameters=given)


def solved(weight, gradient):
    y0, solver = torch.ones(1, 3, dtype=torch.double), Solver("dopri5", rtol=1e-8, atol=1e-8)
    field = lambda t, y: torch.tanh(y @ weight)  # noqa: E731
    return solve(field, y0, T, solver, gradient, parameters=[weight]).ys[-1].sum()


class Counted(nn.Module):
    def __init__(self, linear, **parts):
        super().__init__()
        self.linear, self.calls = linear, 0
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, t, y):
        self.calls += 1
        return 0.1 * self.linear(y)

    def counts(self):
        """Evaluations of four solves in one step, with their backward passes."""
        found = []
        for _ in range(4):
            self.calls = 0
            y0 = torch.ones(2, requires_grad=True)
            odeint_adjoint(self, y0, T, method="euler")[-1].sum().backward()
            found.append(self.calls)
        return found


@pytest.mark.parametrize(
    ("field", "counts"),
    [
        (lambda: Counted(nn.Linear(2, 2)), [4, 2, 2, 2]),
        (lambda: Counted(nn.Linear(2, 2).requires_grad_(False)), [4, 2, 2, 2]),
        (lambda: Counted(nn.Linear(2, 2), unused=nn.BatchNorm1d(2)), [4, 2, 2, 2]),
        # Its weight is in a graph from the first call on.
        (lambda: Counted(nn.utils.spectral_norm(nn.Linear(2, 2))), [4, 4, 2, 2]),
    ],
)
def test_later_solves_take_no_further_evaluations(field, counts):
    assert field().counts() == counts


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated")
def test_old_weight_normalisation_takes_no_further_evaluations():
    field = Counted(nn.utils.weight_norm(nn.Linear(2, 2)))
    assert field.counts() == [4, 2, 2, 2]


def test_a_frozen_field_that_is_given_a_tensor_later():
    field = Counted(nn.Linear(2, 2).requires_grad_(False))
    field.counts()
    hidden = torch.ones(2, requires_grad=True)
    field.linear.register_forward_hook(lambda module, given, y: y * hidden)
    y0 = torch.ones(2, requires_grad=True)
    try:
        odeint_adjoint(field, y0, T, method="euler")[-1].sum().backward()
    except ValueError as error:
        assert "its gradient would be lost" in str(error)  # noqa: PT017
    else:
        assert hidden.grad is not None


def test_failures_of_the_backward_solve_are_assertions_in_the_drop_in():
    field = nn.Linear(2, 2)
    ys = odeint_adjoint(Field(field), torch.ones(2), T, adjoint_options={"max_num_steps": 1})
    with pytest.raises(AssertionError, match=r"max_num_steps exceeded: .*backward solve") as error:
        ys[-1].sum().backward()
    assert "solver.max_steps" not in str(error.value)
    one_step = Adjoint(solver=Solver("dopri5", max_steps=1))
    y = solve(Field(field), torch.ones(2), T, gradient=one_step).ys
    with pytest.raises(SolveError, match="use gradient='discrete'") as native:
        y[-1].sum().backward()
    assert native.value.solution.status is Status.MAX_STEPS
    assert not isinstance(native.value, AssertionError)
    with pytest.raises(AssertionError, match=r"y0 must be a tensor, .*found 1\.0"):
        odeint(lambda t, y: -y, 1.0, T)


class Field(nn.Module):
    def __init__(self, linear):
        super().__init__()
        self.linear = linear

    def forward(self, t, y):
        return self.linear(y)


def test_a_derivative_that_loses_its_graph_after_the_start():
    y0 = torch.ones(2, requires_grad=True)

    def late(t, y):
        return torch.zeros(2) if t < 0.3 else torch.tensor((-y).tolist())

    with pytest.raises(ValueError, match="depends on its state and is in no graph"):
        odeint(late, y0, T, method="rk4", options={"step_size": 0.1})


@pytest.mark.parametrize("squeezed", [False, True])
def test_a_derivative_of_another_shape_that_loses_its_graph(squeezed):
    y0 = torch.ones(2, 1, requires_grad=True)

    def late(t, y):
        derivative = torch.ones(2, 1) if t < 0.25 else torch.tensor((-3 * y).tolist())
        return derivative.squeeze() if squeezed else derivative

    with pytest.raises(ValueError, match="depends on its state and is in no graph"):
        odeint(late, y0, T, method="euler", options={"step_size": 0.05})


@pytest.mark.parametrize("size", [10, 10_000])
def test_many_relays_near_their_thresholds_may_lack_a_graph(size):
    y0 = torch.randn(size, requires_grad=True)
    solver = Solver("rk4", num_steps=50)
    ys = solve(lambda t, y: torch.where(y > 0, -1.0, 1.0), y0, T, solver, "backprop").ys
    ys[-1].sum().backward()
    torch.testing.assert_close(y0.grad, torch.ones(size))


def test_relays_at_their_thresholds_may_lack_a_graph():
    y0 = torch.zeros(2, requires_grad=True)

    def relays(t, y):
        first, second = 1.0 if y[0] > 0 else 2.0, 3.0 if y[1] >= 0 else 1.0
        return torch.tensor([first, second])

    odeint(relays, y0, T, method="rk4")[-1].sum().backward()
    torch.testing.assert_close(y0.grad, torch.ones(2))


def test_advice_names_arguments_of_the_drop_in():
    w = 1 * torch.eye(3, requires_grad=True)
    w.register_hook(lambda g: g)
    with pytest.raises(ValueError, match=r"adjoint_params holds .*make it a part of the state"):
        odeint_adjoint(lambda t, y: y @ w, torch.ones(4, 3), T, adjoint_params=(w,))
