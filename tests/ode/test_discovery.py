from __future__ import annotations

import copy
import functools
import math
import threading
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from node_experiments.ode import (
    Adjoint,
    Backprop,
    Checkpoint,
    Discrete,
    Interpolated,
    Reversible,
    Solver,
    solve,
)

WAYS = [
    Adjoint(),
    Discrete(),
    Discrete(retain_graphs=True),
    Checkpoint(),
    Interpolated(),
    Reversible(),
]
SOLVER = Solver("rk4", num_steps=4)
TIMES = torch.tensor([0.0, 1.0])


def state():
    return torch.linspace(-1, 1, 3)


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("held", ["closure", "method", "partial", "nested function"])
def test_parameters_of_held_modules_are_found(way, held):
    torch.manual_seed(0)
    net = nn.Linear(3, 3)

    class Owner(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def field(self, t, y):
            return self.net(y)

    def inner(y):
        return net(y)

    func = {
        "closure": lambda t, y: net(y),
        "method": Owner().field,
        "partial": functools.partial(lambda module, t, y: module(y), net),
        "nested function": lambda t, y: inner(y),
    }[held]
    solve(func, state(), TIMES, SOLVER, way).ys[-1].sum().backward()
    found = net.weight.grad.clone()
    net.weight.grad = None
    solve(func, state(), TIMES, SOLVER, Backprop()).ys[-1].sum().backward()
    torch.testing.assert_close(found, net.weight.grad, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_leaf_that_is_no_parameter_of_a_module_is_found(way):
    rate = torch.tensor(0.5, requires_grad=True)
    solve(lambda t, y: -rate * y, state(), TIMES, SOLVER, way).ys[-1].square().sum().backward()
    expected = (state() * torch.exp(-rate)).square().sum()
    torch.testing.assert_close(
        rate.grad, torch.autograd.grad(expected, rate)[0], rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_tensor_computed_outside_is_rejected(way):
    code = nn.Linear(3, 3)(torch.ones(3))
    with pytest.raises(ValueError, match=r"computed outside of it .* pass it through args"):
        solve(lambda t, y: y * code, state(), TIMES, SOLVER, way)
    with torch.no_grad():
        solve(lambda t, y: y * code, state(), TIMES, SOLVER, way)
    solve(lambda t, y: y * code.detach(), state(), TIMES, SOLVER, way)
    ys = solve(lambda t, y, code: y * code, state(), TIMES, SOLVER, way, args=(code,)).ys
    assert ys.requires_grad


@pytest.mark.parametrize("method", ["adams", "scipy_rk45", "dopri5"])
def test_the_advice_about_a_computed_tensor_names_the_methods_that_it_is_for(method):
    code = torch.ones(3, requires_grad=True) * 2
    said = r"use gradient='backprop' \(any solver.method but 'adams' and those of SciPy\)"
    with pytest.raises(ValueError, match=said):
        solve(lambda t, y: y * code, torch.ones(3), TIMES, Solver(method))


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_field_that_differentiates_internally_is_no_reason_to_reject(way):
    weight = nn.Parameter(torch.tensor(0.7))

    def potential_flow(t, y):
        with torch.enable_grad():
            y = y if y.requires_grad else y.detach().requires_grad_()
            potential = (weight * y.square()).sum()
            (gradient,) = torch.autograd.grad(potential, y, create_graph=True)
        return -gradient

    ys = solve(potential_flow, state(), TIMES, Solver("rk4", num_steps=20), way).ys
    (found,) = torch.autograd.grad(ys[-1].sum(), weight)
    exact = (state() * torch.exp(-2 * weight)).sum()
    torch.testing.assert_close(found, torch.autograd.grad(exact, weight)[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_dropout_is_one_draw_a_solve_and_the_same_on_the_way_back(way):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 64), nn.Dropout(0.5), nn.Linear(64, 3)).double()
    y0 = state().double()
    times = TIMES.double()
    solver = Solver("rk4", num_steps=32)

    def gradient(way):
        torch.manual_seed(7)
        net.zero_grad()
        ys = solve(lambda t, y: net(y), y0, times, solver, way).ys
        after_forward = torch.rand(())
        ys[-1].sum().backward()
        return [p.grad for p in net.parameters()], ys, after_forward

    found, ys, random = gradient(way)
    expected, same_ys, same_random = gradient(Backprop())
    torch.testing.assert_close(ys, same_ys)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert random == same_random
    other = solve(lambda t, y: net(y), y0, times, solver, way).ys
    assert not torch.allclose(other, ys)


def test_batch_statistics_are_rejected_with_the_reason():
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))

    def field(t, y):
        return net(y)

    y0 = torch.randn(5, 3)
    for way in WAYS:
        with pytest.raises(ValueError, match=r"BatchNorm1d '1' .* running statistics"):
            solve(field, y0, TIMES, SOLVER, way)
    solve(field, y0, TIMES, SOLVER, Backprop())
    statistics = copy.deepcopy(net[1].state_dict())

    @dataclass
    class Owner:
        net: nn.Module
        other: nn.Module

        def field(self, t, y):
            return self.net(y)

    for owned in (Owner(net, net).field, lambda t, y: Owner(net, net).field(t, y)):
        with pytest.raises(ValueError, match=r"BatchNorm1d '1' .* running statistics"):
            solve(owned, y0, TIMES, SOLVER, Discrete())
    # That of another network is no reason to reject.
    solve(Owner(nn.Linear(3, 3), net).field, y0, TIMES, SOLVER, Discrete()).ys.sum().backward()
    for name, before in statistics.items():
        assert torch.equal(net[1].state_dict()[name], before)
    net.eval()
    solve(field, y0, TIMES, SOLVER, Discrete())


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")  # torch's own
def test_jvp_and_vmap_go_through_fixed_steps():
    net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    y0, tangent = torch.randn(2, 3, dtype=torch.float64)

    def final(y0):
        times = TIMES.double()
        return solve(lambda t, y: net(y), y0, times, SOLVER, Discrete()).ys[-1]

    jacobian = torch.autograd.functional.jacobian(final, y0)
    _, derivative = torch.func.jvp(final, (y0,), (tangent,))
    torch.testing.assert_close(derivative, jacobian @ tangent)
    torch.testing.assert_close(torch.func.jacrev(final)(y0), jacobian)
    torch.testing.assert_close(torch.func.vmap(torch.func.jacfwd(final))(y0[None])[0], jacobian)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(y0, tangent)
        pushed = torch.autograd.forward_ad.unpack_dual(final(dual)).tangent
    torch.testing.assert_close(pushed, jacobian @ tangent)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")  # torch's own
@pytest.mark.parametrize("gradient", [*WAYS, Backprop()], ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("held", ["closure", "module"])
def test_forward_mode_reaches_what_the_field_holds(gradient, held):
    """Also where something else needs a gradient, so that the gradient method would solve."""
    w = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    y0 = torch.ones(1, dtype=torch.float64)
    with torch.autograd.forward_ad.dual_level():
        one = torch.ones((), dtype=torch.float64)
        a = torch.autograd.forward_ad.make_dual(1.3 * one, one)
        net = torch.nn.Identity()
        net.register_buffer("a", a)

        def field(t, y):
            return -(a if held == "closure" else net.a) * w * y

        for solver in (Solver("dopri5", rtol=1e-9, atol=1e-9), Solver("rk4", num_steps=20)):
            end = solve(field, y0, [0.0, 1.0], solver, gradient).ys[-1]
            tangent = torch.autograd.forward_ad.unpack_dual(end).tangent
            assert float(tangent.detach()) == pytest.approx(-0.7 * math.exp(-0.91), rel=1e-6)
        with pytest.raises(ValueError, match="do not go through events"):
            solve(field, y0, [0.0, 9.0], solver, gradient, events=[lambda t, y: y[0] - 0.5])


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")  # torch's own
@pytest.mark.parametrize(("method", "steps"), [("rk4", 16), ("euler", 80), ("dopri5", 6)])
def test_forward_mode_reaches_the_times(method, steps):
    """y = exp((t0^2 - t1^2) / 2), by every kind of directional derivative."""

    def end(t, y0=1.0):
        y0 = y0 * torch.ones((), dtype=torch.float64)
        return solve(lambda t, y: -t * y, y0, t, Solver(method, num_steps=steps), way).ys[-1]

    t, tangent = torch.tensor([0.2, 1.0]).double(), torch.tensor([1.0, -0.5]).double()
    y = math.exp(-0.48)
    for way in ("backprop", "adjoint"):  # noqa: B007
        tolerance = {"rtol": 5e-2 if method == "euler" else 1e-6, "atol": 0}
        expected = torch.tensor([0.2 * y, -y], dtype=torch.float64)
        torch.testing.assert_close(torch.func.jacfwd(end)(t), expected, **tolerance)
        pushed = torch.func.jvp(end, (t,), (tangent,))[1]
        torch.testing.assert_close(pushed, expected @ tangent, **tolerance)
        both = torch.func.jvp(end, (t, torch.tensor(1.0).double()), (tangent, 0.48 * y * t[1]))[1]
        torch.testing.assert_close(both, expected @ tangent + 0.48 * y * y, **tolerance)
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(t, tangent)
            pushed = torch.autograd.forward_ad.unpack_dual(end(dual)).tangent
        torch.testing.assert_close(pushed, expected @ tangent, **tolerance)
        second = torch.func.jacfwd(torch.func.jacfwd(end))(t)
        torch.testing.assert_close(second, torch.func.hessian(end)(t))
        starts = torch.tensor([1.0, 2.0]).double()
        found = torch.func.vmap(
            lambda y0: torch.func.jvp(lambda t: end(t, y0), (t,), (tangent,))[1]
        )(starts)
        torch.testing.assert_close(found, (expected @ tangent) * starts, **tolerance)


def test_a_method_whose_times_cannot_be_recorded_says_so():
    t = torch.tensor([0.0, 1.0], requires_grad=True)
    with pytest.raises(ValueError, match=r"gradients with respect to t .*'reversible_heun'"):
        solve(lambda t, y: -y, state(), t, Solver("reversible_heun", num_steps=2), "backprop")


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_autocast_is_repeated_on_the_way_back(way):
    net = nn.Linear(3, 3)
    types = set()

    def field(t, y):
        result = net(y)
        types.add(result.dtype)
        return result

    with torch.autocast("cpu", torch.bfloat16):
        ys = solve(field, state(), TIMES, SOLVER, way).ys
        # A cast that the solve made without a graph must not be met here.
        assert net(state()).requires_grad
        types.clear()
    ys[-1].sum().backward()
    assert types <= {torch.bfloat16}
    assert net.weight.grad.dtype == torch.float32
    assert net.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("way", [*WAYS, Backprop(), "interpolated", "reversible"], ids=str)
def test_autocast_leaves_the_arithmetic_of_the_solver_alone(way):
    net = nn.Linear(2, 2)
    times = torch.linspace(0, 1, 4)
    y0 = torch.full((1, 2), 100.0, requires_grad=True)

    def gradient(dtype):
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            ys = solve(lambda t, y: 1 + 0.01 * net(y / 100), y0, times, "dopri5", way).ys
        ys.sum().backward()
        return ys, net.weight.grad

    found, expected = gradient(torch.bfloat16), gradient(torch.float32)
    torch.testing.assert_close(found[0], expected[0], rtol=2e-5, atol=0)
    torch.testing.assert_close(found[1], expected[1], rtol=2e-2, atol=0)


def test_autocast_does_not_disturb_an_implicit_method():
    net = nn.Linear(3, 3)

    def evaluations(enabled):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            # Evaluated in single precision, so that only the solver could lose it.
            field = torch.autocast("cpu", enabled=False)(lambda t, y: net(y))
            solution = solve(field, state(), TIMES, Solver("kvaerno3", 1e-4, 1e-4))
        return solution.stats.forward.evaluations

    assert evaluations(True) == evaluations(False)


@pytest.mark.parametrize("way", WAYS[:4], ids=str)
def test_several_blocks_keep_statistics_of_their_own(way):
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    one = solve(lambda t, y: first(y), state(), TIMES, Solver("rk4", num_steps=2), way)
    two = solve(lambda t, y: second(y), one.ys[-1], TIMES, Solver("rk4", num_steps=5), way)
    two.ys[-1].sum().backward()
    assert (one.stats.forward.evaluations, two.stats.forward.evaluations) == (8, 20)
    assert (one.stats.backward.evaluations, two.stats.backward.evaluations) == (8, 20)


class Block(nn.Module):
    def __init__(self, way):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3))
        self.field = lambda t, y: self.net(y)
        self.way = way

    def forward(self, y):
        return solve(self.field, y, TIMES, SOLVER, self.way).ys[-1]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_distributed_data_parallel_sees_every_gradient(way, tmp_path):
    store = f"file://{tmp_path}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    try:
        block = Block(way)
        parallel = nn.parallel.DistributedDataParallel(block)
        parallel(torch.ones(2, 3)).sum().backward()
        found = [p.grad.clone() for p in block.parameters()]
    finally:
        torch.distributed.destroy_process_group()
    block.zero_grad()
    block(torch.ones(2, 3)).sum().backward()
    for a, p in zip(found, block.parameters(), strict=True):
        torch.testing.assert_close(a, p.grad)


@pytest.mark.parametrize("way", [*WAYS, Backprop()], ids=str)
def test_a_compiled_vector_field_has_the_same_gradient(way):
    torch.manual_seed(0)
    block = Block(way)
    block(torch.ones(2, 3)).sum().backward()
    expected = [p.grad.clone() for p in block.parameters()]
    block.zero_grad()
    compiled = torch.compile(block.net, backend="aot_eager")
    block.field = lambda t, y: compiled(y)
    block(torch.ones(2, 3)).sum().backward()
    for p, b in zip(block.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, b)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_tensor_that_is_captured_later_is_rejected_on_the_way_back(way):
    class Conditioned(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(3, 3)
            self.code = torch.zeros(3)

        def forward(self, t, y):
            return self.net(y) + self.code

    field, encoder = Conditioned(), nn.Linear(3, 3)
    solve(field, state(), TIMES, SOLVER, way)
    field.code = encoder(torch.ones(3))
    with pytest.raises(ValueError, match="computed outside of it"):
        solve(field, state(), TIMES, SOLVER, way).ys[-1].sum().backward()


@pytest.mark.parametrize("way", [Adjoint(), Discrete()], ids=str)
def test_a_function_that_is_made_again_is_looked_at_once(way):
    """As in the forward pass of a network that solves a lambda of itself."""
    net, other, calls = nn.Linear(3, 3), nn.Linear(3, 3), []

    def made(module, scale):
        def inner(y):
            calls.append(1)
            return module(y) * scale

        return lambda t, y: inner(y)

    def calls_beside_the_solve(module, scale):
        calls.clear()
        solution = solve(made(module, scale), state(), TIMES, SOLVER, way)
        return len(calls) - solution.stats.forward.evaluations

    assert calls_beside_the_solve(net, torch.ones(3)) == 2
    assert calls_beside_the_solve(net, torch.ones(3)) == 0
    assert calls_beside_the_solve(other, torch.ones(3)) == 2, "another module"
    net.eval()
    assert calls_beside_the_solve(net, torch.ones(3)) == 2, "another mode"
    scale = torch.ones(3, requires_grad=True)
    solve(made(net, scale), state(), TIMES, SOLVER, way).ys[-1].sum().backward()
    assert scale.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="computed outside"):
        solve(made(net, 2 * scale), state(), TIMES, SOLVER, way)


def test_functions_of_one_code_that_hold_others_are_looked_at_separately():
    net, hidden = nn.Linear(3, 3), torch.ones(3, requires_grad=True)
    plain = lambda y: net(y)  # noqa: E731
    reads_more = lambda y, kept=[[[[[hidden]]]]]: net(y) * kept[0][0][0][0][0]  # noqa: E731
    for inner in (plain, reads_more):
        solve(lambda t, y: inner(y), state(), TIMES, SOLVER, "discrete").ys.sum().backward()  # noqa: B023
    assert hidden.grad is not None


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_tensor_that_needs_a_gradient_only_later_gets_one(way):
    held = {"scale": torch.tensor(0.5)}
    captured = torch.tensor(0.5)

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.tensor(0.5)

        def forward(self, t, y):
            return -self.scale * y

    def recaptured(t, y):
        return -captured * y

    scaled = Scaled()
    for field in (recaptured, lambda t, y: -held["scale"] * y, scaled):
        solve(field, state(), TIMES, SOLVER, way)
        captured = held["scale"] = scaled.scale = torch.tensor(0.5, requires_grad=True)
        solve(field, state(), TIMES, SOLVER, way).ys[-1].sum().backward()
        expected = -(state() * torch.exp(-captured.detach())).sum()
        torch.testing.assert_close(captured.grad, expected, rtol=1e-3, atol=1e-3)
        captured = held["scale"] = scaled.scale = torch.tensor(0.5)


@pytest.mark.parametrize("container", [list, tuple, set, lambda nets: dict(enumerate(nets))])
def test_networks_that_take_turns_in_time_get_all_gradients(container):
    torch.manual_seed(0)
    nets = [nn.Linear(3, 3) for _ in range(3)]
    for number, net in enumerate(nets):
        net.number = number
    held = container(nets)

    class Switched(nn.Module):
        def __init__(self):
            super().__init__()
            self.nets = held

        def forward(self, t, y):
            number = int(t > 0.3) + int(t > 0.6)
            values = self.nets.values() if isinstance(self.nets, dict) else self.nets
            return next(net for net in values if net.number == number)(y)

    solver = Solver("rk4", num_steps=10)
    for way in ("backprop", "discrete"):
        found = solve(Switched(), state(), TIMES, solver, way).ys[-1].square().sum()
        gradients = torch.autograd.grad(found, [net.weight for net in nets])
        if way == "backprop":
            expected = gradients
    torch.testing.assert_close(gradients, expected)


@pytest.mark.parametrize("way", [*WAYS, "interpolated"], ids=str)
@pytest.mark.parametrize("held", ["owner", "closure", "slots", "nested", "argument"])
def test_tensors_in_objects_get_gradients_wherever_they_are_read(way, held):
    """One rate for each third of the time: none is read at both ends alone."""

    @dataclass
    class Rates:
        each: list

        def field(self, t, y, *args):
            return -self.each[min(int(3 * t), 2)] * y

    @dataclass(slots=True)
    class Slots:
        rates: object

    rates = Rates([torch.tensor(r, requires_grad=True) for r in (1.0, 2.0, 3.0)])
    slots, args = Slots(rates), ()
    field = {
        "owner": rates.field,
        "closure": lambda t, y: -rates.each[min(int(3 * t), 2)] * y,
        "slots": lambda t, y: slots.rates.field(t, y),
        "nested": functools.partial(lambda held, t, y: held[0].rates.field(t, y), [slots]),
        "argument": lambda t, y, given: given.rates.field(t, y),
    }[held]
    if held == "argument":
        args = (slots,)
    solver = Solver("rk4", num_steps=30)
    solve(field, state(), TIMES, solver, way, args=args).ys[-1].square().sum().backward()
    expected = 2 * state().square().sum() * math.exp(-4) * -1 / 3
    for rate in rates.each:
        assert float(rate.grad) == pytest.approx(float(expected), rel=0.08)


def test_a_tensor_that_is_read_seldom_and_out_of_sight_is_no_silent_zero():
    """Looked at is the first evaluation of a backward pass, the second, the fourth, and so on."""
    far = [torch.tensor(1.0, requires_grad=True)]
    for _ in range(6):
        far = [far]  # deeper than anybody looks

    def field(t, y):
        held = far
        while isinstance(held, list):
            held = held[0]
        return -held * y if 0.3 < t < 0.8 else -y

    y0 = state().requires_grad_()
    ys = solve(field, y0, TIMES, Solver("rk4", num_steps=40), "discrete").ys
    with pytest.raises(ValueError, match=r"gradient would be lost: pass it in parameters="):
        ys.sum().backward()


def test_a_tensor_out_of_sight_is_found_at_the_last_time():
    class Out:
        def __init__(self):
            self.of_sight = [nn.Linear(3, 3), nn.Linear(3, 3)]

    hidden = Out()
    y0 = state()
    ys = solve(lambda t, y: hidden.of_sight[int(t > 0.5)](y), y0, TIMES, SOLVER, "discrete").ys
    ys[-1].sum().backward()
    assert all(net.weight.grad.abs().sum() > 0 for net in hidden.of_sight)


def test_a_module_with_nothing_but_parameters_is_evaluated_once_more_only_once():
    calls = 0

    class Counted(nn.Linear):
        def forward(self, t, y):
            nonlocal calls
            calls += 1
            return super().forward(y)

    field, counts = Counted(3, 3), []
    for _ in range(3):
        before = calls
        solve(field, state(), TIMES, SOLVER, "discrete")
        counts.append(calls - before)
    assert counts == [18, 16, 16]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_numbers_that_are_drawn_late_are_rejected(way, monkeypatch):
    monkeypatch.setattr(threading, "active_count", lambda: 1)  # the test runner has some
    net = nn.Sequential(nn.Linear(3, 64), nn.Dropout(0.5), nn.Linear(64, 3)).double()
    y0, times = state().double(), TIMES.double()

    def field(t, y):
        return net(y) if t > 0.5 else net[2](net[0](y))

    with pytest.raises(ValueError, match="drew random numbers at some evaluations"):
        solve(field, y0, times, Solver("rk4", num_steps=32), way)


def test_a_repeated_parameter_counts_once():
    rate = torch.tensor(0.5, requires_grad=True)
    y0 = state()

    def gradient(way, parameters):
        ys = solve(lambda t, y: -rate * y, y0, TIMES, SOLVER, way, parameters=parameters).ys
        return torch.autograd.grad(ys[-1].sum(), rate)

    for way in WAYS:
        torch.testing.assert_close(gradient(way, [rate, rate]), gradient(way, [rate]))


def test_gradients_flow_into_nested_arguments():
    weight, leaf = torch.tensor(0.5, requires_grad=True), torch.tensor(0.3, requires_grad=True)

    def field(t, y, options, pair):
        return -options["weight"] * y + pair[1] * pair[0]

    def gradient(way):
        args = ({"weight": weight * 2}, (3, leaf))
        ys = solve(field, state(), TIMES, SOLVER, way, args=args).ys
        return torch.autograd.grad(ys[-1].square().sum(), [weight, leaf])

    for way in WAYS:
        torch.testing.assert_close(gradient(way), gradient(Backprop()), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("what", ["argument", "buffer", "frozen parameter"])
@pytest.mark.parametrize("way", [*WAYS, "interpolated"], ids=str)
def test_a_constant_that_is_changed_before_the_way_back_is_rejected(way, what):
    net = nn.Linear(3, 3)
    net.register_buffer("shift", torch.ones(3))
    net.bias.requires_grad_(False)
    given = torch.ones(3)
    changed = {"argument": given, "buffer": net.shift, "frozen parameter": net.bias}[what]

    def field(t, y, x):
        return net(y) + x + net.shift

    ys = solve(field, state(), TIMES, "dopri5", way, args=(given,)).ys
    with torch.no_grad():
        changed.add_(1)
    with pytest.raises(
        RuntimeError, match="changed in place between the solve and its backward pass"
    ):
        ys[-1].sum().backward()


def test_a_field_may_count_in_a_buffer():
    net = nn.Linear(3, 3)
    net.register_buffer("count", torch.zeros(()))

    def field(t, y):
        net.count.add_(1)
        return net(y)

    solve(field, state(), TIMES, SOLVER, "discrete").ys[-1].sum().backward()
    assert net.weight.grad.abs().sum() > 0


def test_what_a_transform_cannot_go_through_is_said_in_one_line():
    def final(t, method="rk4", events=()):
        solver = Solver(method, num_steps=4)
        return solve(lambda t, y: -y, state(), t, solver, events=events).ys[-1]

    with pytest.raises(ValueError, match="vmap cannot map over t"):
        torch.func.vmap(final)(TIMES.repeat(2, 1))
    with pytest.raises(ValueError, match="vmap cannot map over a solve with events"):
        torch.func.vmap(lambda x: final(TIMES, events=[lambda t, y: y[0] - x]))(torch.ones(2))
    for transform in (torch.func.grad, torch.func.jacrev):
        with pytest.raises(ValueError, match=r"do not go through events; use torch\.autograd"):
            transform(lambda x: final(TIMES, events=[lambda t, y: y[0] - x])[0])(torch.ones(()))
    for method in ("trapezoid", "kvaerno3"):
        with pytest.raises(ValueError, match=f"'{method}'; use 'rk4'"):
            torch.func.jvp(functools.partial(final, method=method), (TIMES,), (TIMES,))


@pytest.mark.parametrize("way", [*WAYS, "interpolated"], ids=str)
def test_what_modules_among_the_arguments_hold_is_found(way):
    net = nn.Linear(3, 3)
    net.register_buffer("shift", torch.ones(3))

    def field(t, y, parts):
        return torch.tanh(parts["net"](y)) + parts["net"].shift

    def gradient(way):
        ys = solve(field, state(), TIMES, SOLVER, way, args=({"net": net},)).ys
        return torch.autograd.grad(ys[-1].square().sum(), list(net.parameters()))

    for found, expected in zip(gradient(way), gradient(Backprop()), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    ys = solve(field, state(), TIMES, SOLVER, way, args=({"net": net},)).ys
    net.shift.add_(1)
    with pytest.raises(RuntimeError, match="changed in place"):
        ys[-1].sum().backward()
    normalised = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    with pytest.raises(ValueError, match=r"BatchNorm1d '1' .* running statistics"):
        solve(lambda t, y, net: net(y), torch.rand(2, 3), TIMES, SOLVER, way, args=(normalised,))
