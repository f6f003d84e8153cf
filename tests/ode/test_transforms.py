"""Transforms of `torch.func` through adaptive steps, beside backpropagation and single solves."""

import pytest
import torch
from torch.autograd.functional import hessian, jacobian, jvp, vjp

from node_experiments.ode import SolveError, Solver, solve
from node_experiments.ode.torchdiffeq import odeint, odeint_adjoint

# torch's own, of the first forward-mode derivative in a process
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")

TIMES = torch.linspace(0, 2, 5, dtype=torch.float64)
WEIGHT = torch.tensor([[0.3, -1.1], [0.8, 0.2]], dtype=torch.float64)
Y0 = torch.tensor([[1.0, -0.5], [0.2, 0.7], [-1.2, 0.1]], dtype=torch.float64)
SOLVERS = {
    "dopri5": Solver("dopri5"),
    "order 2": Solver("adaptive_heun", rtol=1e-4),
    "order 8": Solver("dopri8"),
    "jump": Solver("tsit5", jump_t=[1.0]),
    "independent": Solver("dopri5", batching="independent"),
}


def end(y0, weight=WEIGHT, times=TIMES, solver=SOLVERS["dopri5"], gradient="backprop"):
    def field(t, y):
        return torch.tanh(y @ weight) * (1 + t)

    return solve(field, y0, times, solver, gradient).ys[-1]


def energy(*args, **options):
    return end(*args, **options).pow(2).sum()


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_transforms_equal_backpropagation(solver):
    def final(y0):
        return end(y0, solver=solver)

    expected = jacobian(final, Y0)
    for transform in (torch.func.jacrev, torch.func.jacfwd):
        torch.testing.assert_close(transform(final)(Y0), expected)
    torch.testing.assert_close(torch.func.vjp(final, Y0)[1](Y0)[0], vjp(final, Y0, Y0)[1])
    torch.testing.assert_close(torch.func.jvp(final, (Y0,), (Y0,))[1], jvp(final, Y0, Y0)[1])
    torch.testing.assert_close(
        torch.func.grad(lambda w: energy(Y0, w, solver=solver))(WEIGHT),
        vjp(lambda w: energy(Y0, w, solver=solver), WEIGHT)[1],
    )


def test_second_derivatives():
    expected = hessian(energy, Y0)
    torch.testing.assert_close(torch.func.hessian(energy)(Y0), expected)
    nested = torch.func.jacrev(torch.func.grad(energy))(Y0)
    torch.testing.assert_close(nested, expected)


@pytest.mark.parametrize("gradient", ["adjoint", "discrete", "checkpoint"])
def test_the_gradient_method_that_is_asked_for_does_not_matter(gradient):
    found = torch.func.jacrev(lambda y: end(y, gradient=gradient))(Y0)
    torch.testing.assert_close(found, jacobian(end, Y0))


def test_gradients_of_the_times():
    expected = jacobian(lambda t: energy(Y0, times=t), TIMES)
    for transform in (torch.func.grad, torch.func.jacfwd, torch.func.jacrev):
        torch.testing.assert_close(transform(lambda t: energy(Y0, times=t))(TIMES), expected)


def test_weights_of_a_module():
    """An ensemble's members, or a step of meta-learning, are calls with other weights."""
    net = torch.nn.Linear(2, 2).double()
    weights = {name: p.detach() for name, p in net.named_parameters()}

    def loss(weights):
        def field(t, y):
            return torch.func.functional_call(net, weights, (torch.tanh(y),))

        return solve(field, Y0, TIMES, gradient="backprop").ys[-1].pow(2).sum()

    found = torch.func.grad(loss)(weights)
    loss(dict(net.named_parameters())).backward()
    for name, p in net.named_parameters():
        torch.testing.assert_close(found[name], p.grad)


@pytest.mark.parametrize("call", [odeint, odeint_adjoint])
def test_through_the_drop_in(call):
    def final(y0, t=TIMES):
        options = {} if call is odeint else {"adjoint_params": ()}
        return call(lambda t, y: torch.sin(t) * torch.tanh(y @ WEIGHT), y0, t, **options)[-1]

    torch.testing.assert_close(
        torch.func.jacrev(final)(Y0), jacobian(final, Y0), rtol=1e-5, atol=1e-5
    )
    moved = torch.func.grad(lambda t: final(Y0, t).sum())(TIMES)
    expected = jacobian(lambda t: final(Y0, t).sum(), TIMES)
    torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-4)


def each(final, inputs):
    return torch.stack([final(x) for x in inputs])


WEIGHTS = torch.stack([WEIGHT, -2 * WEIGHT, WEIGHT.T])


@pytest.mark.parametrize(
    "mapped",
    [
        lambda w: end(Y0, w),
        torch.func.grad(lambda w: energy(Y0, w)),
        torch.func.jacfwd(lambda w: end(Y0, w)),
        torch.func.hessian(lambda w: energy(Y0, w)),
        lambda w: torch.func.vmap(lambda y: end(y, w))(Y0),
    ],
    ids=["values", "gradients", "Jacobians", "Hessians", "twice"],
)
def test_samples_of_vmap_equal_solves_one_by_one(mapped):
    """Within the tolerance: the samples share the steps."""
    found = torch.func.vmap(mapped)(WEIGHTS)
    torch.testing.assert_close(found, each(mapped, WEIGHTS), rtol=1e-3, atol=1e-4)


def test_backpropagation_through_vmap():
    weights = WEIGHTS.clone().requires_grad_()
    torch.func.vmap(lambda w: end(Y0, w))(weights).pow(2).sum().backward()
    expected = torch.func.vmap(torch.func.grad(lambda w: energy(Y0, w)))(WEIGHTS)
    torch.testing.assert_close(weights.grad, expected)


def test_the_hardest_sample_of_vmap_sets_the_steps():
    """A mean over the samples would let a fast one exceed the tolerance a hundredfold."""
    rates = torch.ones(10_000, dtype=torch.float64)
    rates[0] = 50.0
    one, steps = torch.ones(1, dtype=torch.float64), []
    solver = Solver("dopri5", rtol=1e-8, atol=1e-8)

    def final(rate):
        solution = solve(lambda t, y: -rate * y, one, [0.0, 1.0], solver)
        steps.append(solution.stats.forward.accepted)
        return solution.ys[-1]

    found = torch.func.vmap(final)(rates)[:, 0]
    assert float((found - torch.exp(-rates)).abs().max()) < 1e-7
    final(rates[0])
    assert steps[0] == pytest.approx(steps[1], rel=0.2)


def test_samples_of_vmap_over_the_last_axis_and_in_dictionaries():
    solver = SOLVERS["dopri5"]

    def final(y):
        ys = solve(lambda t, s: {"y": torch.tanh(WEIGHT @ s["y"])}, {"y": y}, TIMES, solver).ys
        return ys["y"][-1]

    found = torch.func.vmap(final, in_dims=1, out_dims=1)(Y0.T)
    torch.testing.assert_close(found, each(final, Y0).T, rtol=1e-4, atol=1e-5)


def test_dense_output_of_vmap():
    def middle(weight):
        solution = solve(lambda t, y: y @ weight, Y0, TIMES, SOLVERS["dopri5"], dense=True)
        return solution.interpolant(0.77)

    found = torch.func.vmap(middle)(WEIGHTS)
    exact = each(lambda w: Y0 @ torch.linalg.matrix_exp(0.77 * w), WEIGHTS)
    torch.testing.assert_close(found, exact, rtol=1e-5, atol=1e-5)


def test_a_sample_of_vmap_without_a_finite_derivative_is_an_error():
    weights = torch.stack([WEIGHT, WEIGHT * torch.nan])
    with pytest.raises(SolveError, match="NaN or infinity"):
        torch.func.vmap(lambda w: end(Y0, w))(weights)


def test_vmap_and_individual_steps_exclude_each_other():
    solver = SOLVERS["independent"]
    message = "vmap cannot map over solver.batching='independent'.*set solver.batching='joint'"
    for mapped, inputs in (
        (lambda y: end(y[None], solver=solver), Y0),
        (lambda w: end(Y0, w, solver=solver), WEIGHTS),
    ):
        for transform in (mapped, torch.func.jacfwd(mapped)):
            with pytest.raises(ValueError, match=message):
                torch.func.vmap(transform)(inputs)


def test_vmap_over_what_the_solve_does_not_read():
    scales = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    found = torch.func.vmap(lambda scale: scale * end(Y0))(scales)
    torch.testing.assert_close(found, scales[:, None, None] * end(Y0))
