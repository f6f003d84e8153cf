"""Methods that are not in the package: a Butcher tableau, or a function that takes one step."""

import copy
import math
import pickle
from dataclasses import replace

import pytest
import torch

from node_experiments.ode import (
    Adjoint,
    Event,
    OneStep,
    SolveError,
    Solver,
    Status,
    Tableau,
    solve,
)
from node_experiments.ode.methods.explicit_tableaus import TABLEAUS
from node_experiments.ode.methods.order_conditions import check_tableau

SSP = Tableau(
    "ssp_rk3", 3, a=((), (1.0,), (0.25, 0.25)), b=(1 / 6, 1 / 6, 2 / 3), c=(0.0, 1.0, 0.5)
)
# Bogacki & Shampine 1989 without the stage for the next step: an embedded pair of orders 3 and 2.
PAIR = Tableau(
    "pair", 3, a=((), (0.5,), (0.0, 0.75)), b=(2 / 9, 1 / 3, 4 / 9), c=(0.0, 0.5, 0.75),
    b_error=(2 / 9, 1 / 3 - 1, 4 / 9), embedded_order=2,
)  # fmt: skip
EVERY = ["backprop", "adjoint", "discrete", "checkpoint", "interpolated", "reversible"]
Y0 = torch.tensor([[1.0, 0.5], [-0.3, 2.0]], dtype=torch.float64)


def heun(f, t, h, y):
    k = f(t, y)
    return y + h / 2 * (k + f(t + h, y + h * k))


def heun_with_error(f, t, h, y):
    k1 = f(t, y)
    k2 = f(t + h, y + h * k1)
    return y + h / 2 * (k1 + k2), h / 2 * (k2 - k1)


HEUN = OneStep("my_heun", heun, order=2, stages=2)
ADAPTIVE = OneStep("my_pair", heun_with_error, order=2, stages=2, error_order=2)


def decay(t, y):
    return -torch.cos(t) * y


def exact(t):
    return Y0 * math.exp(-math.sin(t))


def error(method, steps, end=1.3):
    ys = solve(decay, Y0, [0.0, end], Solver(method, num_steps=steps)).ys
    return float((ys[-1] - exact(end)).norm())


@pytest.mark.parametrize("method", [SSP, PAIR, HEUN, ADAPTIVE], ids=repr)
def test_its_order_of_convergence(method):
    assert math.log2(error(method, 40) / error(method, 80)) == pytest.approx(method.order, abs=0.1)


@pytest.mark.parametrize("name", ["rk4", "dopri5", "sdirk2", "radauIIA3"])
def test_a_copy_of_a_tableau_of_the_package_gives_the_same_steps(name):
    ours, copied = (
        solve(decay, Y0, [0.0, 0.4, 1.0], Solver(method, num_steps=7))
        for method in (name, replace(TABLEAUS[name], name="copy"))
    )
    assert torch.equal(ours.ys, copied.ys)
    assert ours.stats.forward.evaluations == copied.stats.forward.evaluations


def test_a_function_of_heuns_steps_gives_those_of_heuns_method():
    for y0 in (Y0, Y0.t(), torch.rand(2, 3, 4, 5).double().to(memory_format=torch.channels_last)):
        ours, own = (
            solve(decay, y0, [1.0, 0.4, 0.0], Solver(method, step_size=0.13)).ys
            for method in ("heun", HEUN)
        )
        torch.testing.assert_close(own, ours, rtol=1e-14, atol=0)


def loss_and_gradient(method, gradient, **options):
    rate = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    y0 = Y0.clone().requires_grad_()
    solution = solve(
        lambda t, y: -rate * torch.cos(t) * y, y0, [0.0, 0.33, 1.0], Solver(method, **options),
        gradient,
    )  # fmt: skip
    loss = solution.ys.square().sum()
    return [loss.detach(), *torch.autograd.grad(loss, [y0, rate])]


@pytest.mark.parametrize("gradient", EVERY)
@pytest.mark.parametrize("options", [{"num_steps": 200}, {"rtol": 1e-8, "atol": 1e-10}], ids=str)
def test_a_tableau_goes_with_every_gradient_method(gradient, options):
    found = loss_and_gradient(PAIR, gradient, **options)
    wanted = loss_and_gradient("dopri5", "backprop", rtol=1e-10, atol=1e-12)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-6, atol=0)


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize(
    ("method", "options", "backwards"),
    [(HEUN, {"num_steps": 1000}, "rk4"), (ADAPTIVE, {"rtol": 1e-7, "atol": 1e-9}, "dopri5")],
    ids=["fixed", "adaptive"],
)
def test_a_function_goes_with_backpropagation_and_the_adjoint_method(
    method, options, backwards, adjoint
):
    gradient = Adjoint(method=backwards) if adjoint else "backprop"
    found = loss_and_gradient(method, gradient, **options)
    wanted = loss_and_gradient("dopri5", "backprop", rtol=1e-10, atol=1e-12)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-5, atol=0)


def test_backpropagation_through_a_function_is_exact_for_its_steps():
    solver = Solver(HEUN, num_steps=3)
    torch.autograd.gradcheck(
        lambda y, rate: (
            solve(lambda t, y: torch.tanh(rate * y) - t, y, [0.0, 0.2, 1.0], solver, "backprop").ys
        ),
        (Y0.clone().requires_grad_(), torch.tensor(0.7, dtype=Y0.dtype, requires_grad=True)),
    )


def test_states_of_several_tensors_are_flat_in_the_step():
    shapes = []

    def step(f, t, h, y):
        shapes.append(y.shape)
        return heun(f, t, h, y)

    y0 = {"a": Y0, "b": torch.ones(3, dtype=torch.float64)}
    method = OneStep("flat", step, order=2, stages=2)
    ys = solve(
        lambda t, y: {name: decay(t, x) for name, x in y.items()}, y0, [0.0, 1.0],
        Solver(method, num_steps=100),
    ).ys  # fmt: skip
    assert {*shapes} == {(7,)}
    torch.testing.assert_close(ys["a"][-1], exact(1.0), rtol=1e-4, atol=0)


def test_events_dense_output_and_vmap():
    solver = Solver(HEUN, step_size=0.01)
    event = Event(lambda t, y: y[0] - 0.5)
    one = torch.ones(1, dtype=torch.float64)
    solution = solve(lambda t, y: -y, one, [0.0, math.inf], solver, events=[event])
    assert solution.status is Status.EVENT
    assert float(solution.ts[-1]) == pytest.approx(math.log(2), abs=3e-5)
    dense = solve(lambda t, y: -y, one, [0.0, 1.0], solver, dense=True).interpolant
    assert float(dense(0.123)) == pytest.approx(math.exp(-0.123), abs=1e-5)
    rates = torch.tensor([0.5, 1.0], dtype=torch.float64)
    ends = torch.vmap(lambda rate: solve(lambda t, y: -rate * y, one, [0.0, 1.0], solver).ys[-1])
    torch.testing.assert_close(ends(rates)[:, 0], torch.exp(-rates), rtol=1e-4, atol=0)


def test_perturbed_steps_see_a_jump_from_inside():
    def jump(t, y):
        return torch.where(t < 0.5, 1.0, 3.0).to(y).expand(1)

    zero = torch.zeros(1, dtype=torch.float64)
    solver = Solver(HEUN, num_steps=4, perturb=True)
    assert float(solve(jump, zero, [0.0, 1.0], solver).ys[-1]) == pytest.approx(2.0, abs=1e-12)


def test_a_failing_adaptive_solve_names_the_method():
    with pytest.raises(SolveError, match="my_pair stopped at t="):
        solve(lambda t, y: y**2, Y0.abs(), [0.0, 100.0], Solver(ADAPTIVE, max_steps=20))


def test_solvers_with_own_methods_are_copied_and_their_names_are_short():
    for method in (SSP, HEUN):
        solver = Solver(method, num_steps=3)
        assert repr(method) in repr(solver)
        assert len(repr(method)) < 30
        assert copy.deepcopy(solver).properties.order == method.order
        assert pickle.loads(pickle.dumps(solver)).num_steps == 3
        assert replace(solver, num_steps=5).method is method
        assert hash(solver) == hash(Solver(method, num_steps=3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"order": 4}, "'ssp_rk3' states order 4 and has order 3; correct it"),
        ({"c": (0.0, 1.0, 0.7)}, r"has c\[2\] = 0.7, and row 2 of a adds up to 0.5"),
        ({"c": (0.0, 1.0)}, "has 3 weights in b and 2 entries in c"),
        ({"a": ((), (1.0,))}, "has 3 weights in b, and rows of"),
        ({"b": (0.2, 0.2, 0.6)}, "states order 3 and has order 2"),
        ({"b_error": (0.1, -0.1, 0.0)}, "needs both b_error and embedded_order"),
        (
            {"b_error": (0.1, -0.1, 0.0), "embedded_order": 2},
            "the embedded solution of the tableau 'ssp_rk3', b - b_error, states order 2",
        ),
    ],
    ids=str,
)
def test_a_tableau_that_is_not_what_it_states_is_rejected(changes, message):
    with pytest.raises(ValueError, match=message):
        Solver(replace(SSP, **changes), num_steps=3)


def test_the_state_in_the_step_has_the_axes_of_y0():
    """A method may normalise along an axis, whatever the strides are."""

    def projected(f, t, h, y):
        y = heun(f, t, h, y)
        return y / y.norm(dim=-1, keepdim=True)

    solver = Solver(OneStep("projected", projected, order=2, stages=2), num_steps=5)
    images = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    for y0 in (torch.randn(3, 5).t(), images):
        ys = solve(lambda t, y: -y, y0, [0.0, 1.0], solver).ys
        torch.testing.assert_close(ys[-1].norm(dim=-1), torch.ones(y0.shape[:-1]))


def rk4(f, t, h, y):
    k1 = f(t, y)
    k2 = f(t + h / 2, y + h / 2 * k1)
    k3 = f(t + h / 2, y + h / 2 * k2)
    k4 = f(t + h, y + h * k3)
    return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


@pytest.mark.parametrize(
    "method", [OneStep("my_rk4", rk4, order=4, stages=4), "reversible_rk4"], ids=str
)
def test_an_event_inside_a_long_step_is_where_the_interpolant_is(method):
    y0 = torch.ones(1, dtype=torch.float64, requires_grad=True)
    solution = solve(
        lambda t, y: -y, y0, [0.0, 2.0], Solver(method, step_size=0.25), "backprop",
        events=[lambda t, y: y[0] - 0.5],
    )  # fmt: skip
    assert float(solution.ts[-1].detach()) == pytest.approx(math.log(2), abs=1e-4)
    (gradient,) = torch.autograd.grad(solution.ts[-1], y0)
    assert float(gradient) == pytest.approx(1.0, abs=2e-3)


def test_tensors_in_the_step_are_rejected_by_the_adjoint_method():
    scale = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    method = OneStep("scaled", lambda f, t, h, y: y + scale * h * f(t, y), order=1, stages=1)
    y0 = Y0.clone().requires_grad_()
    solver = Solver(method, num_steps=3)
    solve(decay, y0, [0.0, 1.0], solver, "backprop").ys.sum().backward()
    assert scale.grad is not None
    with pytest.raises(ValueError, match="reads a tensor that needs a gradient"):
        solve(decay, y0, [0.0, 1.0], solver, Adjoint(method="rk4"))


def test_complex_states_are_rejected_in_a_function_and_solved_by_a_tableau():
    y0 = torch.ones(2, dtype=torch.complex128)
    with pytest.raises(ValueError, match="takes steps of real states, and y0 is complex"):
        solve(lambda t, y: 1j * y, y0, [0.0, 1.0], Solver(HEUN, num_steps=100))
    ys = solve(lambda t, y: 1j * y, y0, [0.0, 1.0], Solver(SSP, num_steps=100)).ys
    torch.testing.assert_close(ys[-1], y0 * complex(math.cos(1), math.sin(1)), rtol=1e-6, atol=0)


DOPRI5 = TABLEAUS["dopri5"]
SWAPPED = (DOPRI5.dense[0], *DOPRI5.dense[2:], DOPRI5.dense[1])


@pytest.mark.parametrize(
    ("tableau", "changes", "message"),
    [
        (SSP, {"b": (math.nan, 0.5, 0.5)}, "states order 3 and has order 0"),
        (SSP, {"order": 0}, "states order 0"),
        (SSP, {"order": 3.0}, "states order 3.0"),
        (SSP, {"b": (), "a": (), "c": ()}, "0 weights in b"),
        (DOPRI5, {"dense": SWAPPED}, "does not end at its solution"),
        (DOPRI5, {"dense": DOPRI5.dense[:-1]}, "a row of `dense` for each of its 7 stages"),
        (DOPRI5, {"dense_order": 5}, "states order 5 and has order 4"),
    ],
    ids=range(7),
)
def test_wrong_coefficients_of_every_kind_are_rejected(tableau, changes, message):
    with pytest.raises(ValueError, match=message):
        Solver(replace(tableau, name="wrong", **changes), num_steps=3)


def test_stages_that_newtons_method_cannot_solve_are_rejected():
    unequal = Tableau(
        "d", 1, a=((), (0.0,), (0.0, 0.2)), b=(0.0, 0.5, 0.5), c=(0.0, 0.3, 0.7),
        diagonal=(0.0, 0.3, 0.5),
    )  # fmt: skip
    with pytest.raises(ValueError, match="after a leading 0, its entries must be equal"):
        Solver(unequal, num_steps=3)
    singular = Tableau("s", 1, a=((), (0.0, 0.0)), b=(1.0, 0.0), c=(0.0, 0.0))
    with pytest.raises(ValueError, match="cannot be inverted"):
        Solver(singular, num_steps=3)


@pytest.mark.parametrize("tableau", TABLEAUS.values(), ids=lambda t: t.name)
def test_tableaus_of_the_package_pass_the_same_check(tableau):
    check_tableau(tableau)


def in_place(f, t, h, y):
    return y.add_(h * f(t, y))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (in_place, "changed y in place"),
        (heun_with_error, "must return a state; found"),
        (lambda f, t, h, y: None, "must return a state; found"),
        (lambda f, t, h, y: y[0], "must return tensors of the shape and dtype of y"),
        (lambda f, t, h, y: y.float(), "must return tensors of the shape and dtype of y"),
    ],
)
def test_a_step_that_returns_something_else_is_rejected(step, message):
    with pytest.raises(ValueError, match=message):
        solve(decay, Y0, [0.0, 1.0], Solver(OneStep("wrong", step, 1, 1), num_steps=2))


def test_what_an_own_method_does_not_go_with_is_rejected_by_name():
    y0 = Y0.clone().requires_grad_()
    for gradient in ("adjoint", "discrete", "checkpoint", "interpolated", "reversible"):
        with pytest.raises(ValueError, match=r"OneStep\('my_heun'\)"):
            solve(decay, y0, [0.0, 1.0], Solver(HEUN, num_steps=2), gradient)
    with pytest.raises(ValueError, match="takes fixed steps and was given none"):
        Solver(HEUN)
    with pytest.raises(ValueError, match="compile=True is for explicit Runge-Kutta methods"):
        Solver(HEUN, num_steps=2, compile=True)
    with pytest.raises(ValueError, match="the name of a method, a Tableau or a OneStep"):
        Solver(heun, num_steps=2)
