"""A backward pass reads the vector field as it was in the solve, or says that it cannot."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.func import functional_call

from node_experiments.ode import Discrete, Solver, solve

METHODS = ("discrete", "checkpoint", "adjoint", "interpolated", "reversible")


class Net(nn.Module):
    def __init__(self, gradient, field):
        super().__init__()
        self.field, self.gradient = field, gradient

    def forward(self, y):
        def field(t, y):
            return torch.tanh(self.field(y))

        solver = Solver("dopri5", rtol=1e-8, atol=1e-8)
        return solve(field, y, [0.0, 1.0], solver, self.gradient).ys[-1]


def double(module):
    return module.to(torch.float64)


def gradients_of(gradient, frozen, meta=False):
    """Gradients of weights that `functional_call` puts in place for the solve alone."""
    torch.manual_seed(0)
    weights = {f"field.{k}": v for k, v in double(nn.Linear(2, 2)).state_dict().items()}
    fast = {k: v.detach().clone().requires_grad_() for k, v in weights.items()}
    net = double(Net(gradient, nn.Linear(2, 2))).requires_grad_(not frozen)
    before = dict(net.named_parameters())
    if meta:
        net = net.to("meta")
        before = dict(net.named_parameters())
    y = torch.randn(3, 2, dtype=torch.float64)
    loss = functional_call(net, fast, (y,)).pow(2).sum()
    loss.backward()
    assert all(now is before[name] for name, now in net.named_parameters())
    assert all(now.grad is None for now in net.parameters())
    return [x.grad for x in fast.values()]


@pytest.mark.parametrize("gradient", METHODS)
@pytest.mark.parametrize("frozen", [False, True], ids=["trained", "frozen"])
@pytest.mark.parametrize("meta", [False, True], ids=["cpu", "meta"])
def test_weights_of_a_functional_call_get_their_gradients_after_it(gradient, frozen, meta):
    expected = gradients_of("backprop", frozen, meta)
    for found, exact in zip(gradients_of(gradient, frozen, meta), expected, strict=True):
        torch.testing.assert_close(found, exact, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("gradient", METHODS)
def test_weights_that_are_assigned_before_the_backward_pass_do_not_enter_it(gradient):
    found = []
    for method in ("backprop", gradient):
        torch.manual_seed(1)
        net = double(Net(method, nn.Linear(2, 2)))
        old, y = list(net.parameters()), torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
        loss = net(y).pow(2).sum()
        net.load_state_dict({k: v + 1 for k, v in net.state_dict().items()}, assign=True)
        new = list(net.parameters())
        loss.backward()
        assert all(a is b for a, b in zip(net.parameters(), new, strict=True))
        found.append([y.grad, *(x.grad for x in old)])
    for exact, approximate in zip(*found, strict=True):
        torch.testing.assert_close(approximate, exact, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("gradient", METHODS)
@pytest.mark.parametrize("first", [False, True], ids=["thawed", "frozen"])
def test_a_network_is_frozen_or_thawed_between_a_solve_and_its_backward_pass(gradient, first):
    """As the discriminator of a GAN is, between the steps of the two networks."""
    found = []
    for method in ("backprop", gradient):
        torch.manual_seed(2)
        net = double(Net(method, nn.Linear(2, 2))).requires_grad_(first)
        y = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
        loss = net(y).sum()
        net.requires_grad_(not first)
        loss.backward()
        assert all(x.requires_grad is not first for x in net.parameters())
        found.append([y.grad, *(x.grad for x in net.parameters())])
    for exact, approximate in zip(*found, strict=True):
        assert (exact is None) == (approximate is None)
        if exact is not None:
            torch.testing.assert_close(approximate, exact, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("gradient", [*METHODS, Discrete(retain_graphs=True)], ids=str)
@pytest.mark.parametrize("first", [False, True], ids=["thawed", "frozen"])
def test_an_argument_is_frozen_or_thawed_between_a_solve_and_its_backward_pass(gradient, first):
    found = []
    for method in ("backprop", gradient):
        switched = torch.tensor(0.5, dtype=torch.float64, requires_grad=first)
        rate = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
        held = torch.tensor(0.1, dtype=torch.float64, requires_grad=first)
        y = torch.ones(2, dtype=torch.float64, requires_grad=True)

        def field(t, y, switched, rate, held=held):
            return -switched * rate * y - held * y

        solver, args = Solver("dopri5", rtol=1e-8, atol=1e-8), (switched, rate)
        loss = solve(field, y, [0.0, 1.0], solver, method, args=args).ys[-1].sum()
        for x in (switched, held):
            x.requires_grad_(not first)
        loss.backward()
        assert switched.grad is held.grad is None
        found.append((y.grad, rate.grad))
    torch.testing.assert_close(found[1], found[0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("gradient", METHODS)
def test_threads_may_share_a_network_whose_weights_each_of_their_solves_replaced(gradient):
    torch.manual_seed(5)
    net, y = double(Net(gradient, nn.Linear(2, 2))), torch.ones(3, 2, dtype=torch.float64)
    own = dict(net.named_parameters())
    weights = [{k: torch.randn_like(v).requires_grad_() for k, v in own.items()} for _ in range(8)]

    def losses():
        return [functional_call(net, each, (y,)).sum() for each in weights]

    def gradients(loss, each):
        return torch.autograd.grad(loss, list(each.values()))

    expected = list(map(gradients, losses(), weights))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(gradients, losses(), weights))
    torch.testing.assert_close(found, expected)
    assert all(now is own[name] for name, now in net.named_parameters())


@pytest.mark.parametrize("gradient", METHODS)
def test_threads_may_share_a_network_that_was_frozen_after_their_solves(gradient):
    torch.manual_seed(4)
    net, starts = nn.Linear(2, 2), [torch.randn(3, 2, requires_grad=True) for _ in range(16)]

    def loss_of(y, method):
        return solve(lambda t, y: torch.tanh(net(y)), y, [0.0, 1.0], "dopri5", method).ys[-1].sum()

    expected = [torch.autograd.grad(loss_of(y, "backprop"), y)[0] for y in starts]
    losses = [loss_of(y, gradient) for y in starts]
    net.requires_grad_(False)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda x, y: torch.autograd.grad(x, y)[0], losses, starts))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("gradient", METHODS)
@pytest.mark.parametrize("window", [(0.3, 0.6), (0.0, 0.15), (0.85, 1.0)])
def test_a_tensor_that_is_read_for_a_while_and_was_not_found_is_an_error(gradient, window):
    first = torch.eye(2).requires_grad_()
    table = [None] * 1500 + [torch.ones(2, 2, requires_grad=True)]  # too long to be searched

    def field(t, y):
        return (table[1500] if window[0] < float(t) < window[1] else first) @ y

    solver = Solver("rk4", num_steps=40)
    with pytest.raises(ValueError, match="its gradient would be lost"):
        solve(field, torch.ones(2), [0.0, 1.0], solver, gradient).ys[-1].sum().backward()


@pytest.mark.parametrize("gradient", METHODS)
@pytest.mark.parametrize("step", range(1, 20))
def test_a_tensor_that_is_read_in_one_step_alone_is_an_error(gradient, step):
    first = torch.ones(2, requires_grad=True)
    table = [None] * 1500 + [torch.full((2,), 2.0, requires_grad=True)]

    def field(t, y):
        late = table[1500]
        if step - 0.9 < 20 * float(t) < step - 0.1:
            return late if step % 2 else late * y  # also as it is, without an operation
        return first * y

    method = "reversible_dopri5" if gradient == "reversible" else "rk4"
    solver = Solver(method, num_steps=20)
    with pytest.raises(ValueError, match="its gradient would be lost"):
        solve(field, torch.ones(2), [0.0, 1.0], solver, gradient).ys[-1].sum().backward()


@pytest.mark.parametrize("gradient", METHODS)
def test_leaves_that_a_field_makes_for_itself_cost_few_evaluations_more(gradient):
    rate, calls = torch.tensor(0.5, requires_grad=True), []

    def gradient_flow(t, y, makes_leaves=True):
        calls.append(1)
        if not makes_leaves:
            return -rate * y
        with torch.enable_grad():
            q = y.detach().requires_grad_()
            (slope,) = torch.autograd.grad(0.5 * (q * q).sum(), q, create_graph=True)
        return -rate * y + 0 * slope

    y0, found = torch.ones(2, dtype=torch.float64), []
    method = "reversible_dopri5" if gradient == "reversible" else "rk4"
    for makes_leaves in (True, False):
        solver = Solver(method, num_steps=20)
        for _ in range(2):  # the first solve with a function looks at it more closely
            rate.grad = None
            calls.clear()
            ys = solve(
                lambda t, y, m=makes_leaves: gradient_flow(t, y, m),
                y0,
                [0.0, 1.0],
                solver,
                gradient,
            ).ys
            ys[-1].sum().backward()
        found.append((len(calls), rate.grad))
    (more, grad), (plain, expected) = found
    assert more <= plain + 15
    torch.testing.assert_close(grad, expected)


@pytest.mark.parametrize("gradient", ["backprop", "discrete", "checkpoint"])
@pytest.mark.parametrize(
    "change",
    [
        lambda weight, power: weight.data.mul_(2),
        lambda weight, power: weight.data.neg_(),
        lambda weight, power: weight.data.copy_(weight.data.flip(0)),
        lambda weight, power: power.data.add_(1),
    ],
    ids=["size", "sign", "order", "integer"],
)
def test_weights_of_compiled_steps_that_change_unseen_are_an_error(gradient, change):
    weight, power = torch.tensor([0.5, -0.2], requires_grad=True), torch.tensor([1, 2])
    solver = Solver("rk4", num_steps=4, compile=True)

    def field(t, y):
        return weight * power * y

    solve(field, torch.ones(2), [0.0, 1.0], solver, gradient).ys[-1].sum().backward()  # unchanged
    solution = solve(field, torch.ones(2), [0.0, 1.0], solver, gradient)
    change(weight, power)
    with pytest.raises(RuntimeError, match="differs between the solve and its backward pass"):
        solution.ys[-1].sum().backward()


@pytest.mark.parametrize("gradient", ["backprop", "discrete", "checkpoint", "reversible"])
def test_outputs_can_be_changed_in_place(gradient):
    y = torch.ones(2, requires_grad=True)
    ys = solve(lambda t, y: -y, y, [0.0, 0.5, 1.0], Solver("rk4", num_steps=4), gradient).ys
    expected = torch.autograd.grad((2 * ys[1:]).sum(), y, retain_graph=True)[0]
    ys[1:].mul_(2)
    torch.testing.assert_close(torch.autograd.grad(ys[1:].sum(), y)[0], expected)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e25])
def test_the_accuracy_of_a_backward_solve_is_measured_at_any_scale(scale, recwarn):
    y = torch.full((16,), scale, requires_grad=True)
    rate = torch.tensor(20.0, requires_grad=True)
    solver = Solver("dopri5", rtol=1e-4, atol=1e-6 * scale)

    def ends(rate, gradient):
        def field(t, y):
            return -rate * (y - 0.5 * scale * torch.cos(t))

        return solve(field, y, [0.0, 1.0], solver, gradient).ys[-1].sum() / scale

    with pytest.warns(UserWarning, match="was undone with a relative error"), \
            pytest.warns(UserWarning, match="of their size apart"):  # fmt: skip
        ends(rate, "reversible").backward()
    recwarn.clear()
    slow = torch.tensor(0.5, requires_grad=True)
    ends(slow, "adjoint").backward()
    assert not recwarn.list
    assert float(slow.grad) == pytest.approx(-5.8418, rel=1e-3)


@pytest.mark.parametrize("method", ["implicit_midpoint", "radauIIA3", "kvaerno3"])
def test_implicit_methods_solve_under_autocast(method):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 4))
    y = torch.randn(8, 4)
    fixed = {"num_steps": 8} if method != "kvaerno3" else {"rtol": 1e-2, "atol": 1e-2}
    exact = solve(lambda t, y: net(y), y, [0.0, 1.0], Solver(method, **fixed)).ys[-1]
    with torch.autocast("cpu", torch.bfloat16):
        found = solve(lambda t, y: net(y), y, [0.0, 1.0], Solver(method, **fixed)).ys[-1]
    torch.testing.assert_close(found, exact, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("method", ["reversible_heun", "adams_bashforth"])
@pytest.mark.parametrize("transform", [torch.func.jacrev, torch.func.jacfwd])
@pytest.mark.parametrize(
    "times", [lambda: [0.0, 0.5, 1.0], lambda: torch.linspace(0, 1, 3)], ids=["list", "inside"]
)
def test_transforms_go_through_steps_with_times_of_any_origin(method, transform, times):
    def end(y):
        return solve(lambda t, y: -y, y, times(), Solver(method, num_steps=64), "backprop").ys[-1]

    found = transform(end)(torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(found, torch.eye(2).double() * torch.e**-1, rtol=1e-3, atol=1e-6)
