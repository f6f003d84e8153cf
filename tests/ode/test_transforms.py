"""Transforms of `torch.func` through adaptive steps, beside backpropagation through them."""

import pytest
import torch
from torch.autograd.functional import hessian, jacobian, jvp, vjp

from node_experiments.ode import Solver, solve
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


@pytest.mark.parametrize("batching", ["joint", "independent"])
def test_vmap_over_values_is_rejected(batching):
    solver = Solver("dopri5", batching=batching)
    message = "vmap goes through fixed steps only.*set solver.num_steps or solver.step_size"
    several = torch.stack([WEIGHT, 2 * WEIGHT])
    for mapped in (
        lambda: torch.func.vmap(lambda y: end(y[None], solver=solver))(Y0),
        lambda: torch.func.vmap(torch.func.grad(lambda y: energy(y[None], solver=solver)))(Y0),
        lambda: torch.func.vmap(lambda w: end(Y0, w, solver=solver))(several),
        lambda: torch.func.vmap(torch.func.jacfwd(lambda y: end(y[None], solver=solver)))(Y0),
    ):
        with pytest.raises(ValueError, match=message):
            mapped()
    with pytest.raises(ValueError, match="use a method with fixed steps"):
        torch.func.vmap(lambda y: odeint(lambda t, y: -y, y, TIMES))(Y0)


def test_vmap_over_other_inputs_shares_the_steps():
    """The solve does not depend on what is mapped over."""
    scales = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    found = torch.func.vmap(lambda scale: scale * end(Y0))(scales)
    torch.testing.assert_close(found, scales[:, None, None] * end(Y0))
