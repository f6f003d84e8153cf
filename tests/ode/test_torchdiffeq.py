"""The drop-in: torchdiffeq's signatures, names, options and callbacks on these solvers."""

import inspect
import math

import pytest
import torch

from node_experiments.ode.torchdiffeq import odeint, odeint_adjoint, odeint_event
from node_experiments.ode.torchdiffeq._impl.initial_value_problem import InitialValueProblem
from node_experiments.ode.torchdiffeq._impl.options import make_solver


class Field(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(3, 3, dtype=torch.float64)
        self.seen = []

    def forward(self, t, y):
        return torch.tanh(self.layer(y)) * torch.cos(t)

    def callback_step(self, t0, y0, dt):
        self.seen.append("step")

    def callback_accept_step(self, t0, y0, dt):
        self.seen.append("accept")

    def callback_reject_step(self, t0, y0, dt):
        self.seen.append("reject")


METHODS = [
    "dopri5", "dopri8", "bosh3", "fehlberg2", "adaptive_heun", "tsit5", "euler", "midpoint",
    "heun2", "heun3", "rk4", "explicit_adams", "implicit_adams", "fixed_adams", "scipy_solver",
]  # fmt: skip
T = torch.linspace(0, 1, 5, dtype=torch.float64)


def options_of(method):
    fixed = ("euler", "midpoint", "heun2", "heun3", "rk4")
    return {"step_size": 0.01} if method in fixed or "adams" in method else {}


@pytest.mark.filterwarnings("ignore:method .* does not call callback")
@pytest.mark.parametrize("method", METHODS)
def test_every_name_of_torchdiffeq_solves_and_differentiates(method):
    field = Field()
    y0 = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    tolerances = {"rtol": 1e-5, "atol": 1e-6}
    found = odeint_adjoint(field, y0, T, method=method, options=options_of(method), **tolerances)
    expected = odeint(field, y0, T, rtol=1e-9, atol=1e-9)
    slack = 0.02 if method == "euler" else 1e-3
    torch.testing.assert_close(found, expected, rtol=slack, atol=slack)
    inputs = (y0, *field.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(found.square().sum(), inputs),
        torch.autograd.grad(expected.square().sum(), inputs),
        rtol=5 * slack,
        atol=5 * slack,
    )


@pytest.mark.parametrize(
    "method",
    [
        "dopri5",
        "dopri8",
        "bosh3",
        "fehlberg2",
        "adaptive_heun",
        "euler",
        "midpoint",
        "heun3",
        "rk4",
    ],
)
def test_the_numbers_are_those_of_torchdiffeq(method):
    theirs = pytest.importorskip("torchdiffeq", reason="needs the extra bench")
    y0 = torch.ones(2, 3, dtype=torch.float64)
    options = options_of(method)
    tolerances = {"rtol": 1e-11, "atol": 1e-11} if not options else {}
    if method in ("adaptive_heun", "fehlberg2", "bosh3"):
        tolerances = {"rtol": 1e-7, "atol": 1e-7}
    close = {"rtol": 1e-10, "atol": 1e-10} if not tolerances else {"rtol": 1e-5, "atol": 1e-5}
    with torch.no_grad():
        field = Field().forward
        ours = odeint(field, y0, T, method=method, options=options, **tolerances)
        other = theirs.odeint(field, y0, T, method=method, options=options or None, **tolerances)
    torch.testing.assert_close(ours, other, **close)


def test_without_a_step_size_the_grid_is_the_times():
    y0 = torch.ones(1, dtype=torch.float64)
    uneven = torch.tensor([0.0, 0.1, 0.5, 0.6], dtype=torch.float64)
    found = odeint(lambda t, y: y, y0, uneven, method="euler")
    expected = [1.0, 1.1, 1.1 * 1.4, 1.1 * 1.4 * 1.1]
    torch.testing.assert_close(found[:, 0], torch.tensor(expected, dtype=torch.float64))
    grid = {"grid_constructor": lambda func, y0, t: t.new_tensor([0.0, 0.2, 0.6])}
    found = odeint(lambda t, y: y, y0, uneven[[0, -1]], method="euler", options=grid)
    assert float(found[-1]) == pytest.approx(1.2 * 1.4)


def test_time_gradients_tuple_states_and_tolerances_of_the_parts():
    t = torch.tensor([0.2, 0.5, 1.0], dtype=torch.float64, requires_grad=True)
    a, b = torch.tensor([1.0], dtype=torch.float64), torch.tensor([[2.0]], dtype=torch.float64)

    def field(t, state):
        a, b = state
        return -a * torch.cos(t), b * 0.5

    def exact(t):
        factor = torch.exp(torch.sin(t[0]) - torch.sin(t))
        return factor + 2 * torch.exp((t - t[0]) / 2)

    (wanted,) = torch.autograd.grad((exact(t) * torch.arange(1, 4)).sum(), t)
    for solve in (
        odeint,
        lambda *args, **kwargs: odeint_adjoint(*args, adjoint_params=(), **kwargs),
    ):
        ys = solve(field, (a, b), t, rtol=[1e-8, 1e-9], atol=[1e-8, 1e-9])
        assert ys[0].shape == (3, 1)
        assert ys[1].shape == (3, 1, 1)
        total = ys[0].flatten() + ys[1].flatten()
        (found,) = torch.autograd.grad((total * torch.arange(1, 4)).sum(), t)
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("interface", [odeint, odeint_adjoint])
@pytest.mark.parametrize("reverse", [False, True])
def test_odeint_event_with_several_components(interface, reverse):
    class Circle(torch.nn.Module):
        def forward(self, t, y):
            return torch.stack([y[1], -y[0]])

    t0 = torch.tensor(0.5, dtype=torch.float64)
    y0 = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    event_t, ys = odeint_event(
        Circle(),
        y0,
        t0,
        event_fn=lambda t, y: torch.stack([y[0], y[1].abs() - 0.5]),
        reverse_time=reverse,
        odeint_interface=interface,
        rtol=1e-8,
        atol=1e-8,
    )
    assert float(event_t.detach()) == pytest.approx(
        0.5 + (-1 if reverse else 1) * math.pi / 6, abs=1e-6
    )
    assert ys.shape == (2, 2)
    assert torch.autograd.grad(event_t, y0)[0].abs().sum() > 0


@pytest.mark.parametrize("interface", [odeint, odeint_adjoint])
def test_the_state_before_an_event_is_the_given_one(interface):
    """It does not move with its time; the event does: y' = -y (1 + t) from y0 to y0 / 2."""

    class Decay(torch.nn.Module):
        def forward(self, t, y):
            return -y * (1 + t)

    y0 = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    t0 = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    event_t, ys = odeint_event(
        Decay(), y0, t0, event_fn=lambda t, y: y - 0.5, odeint_interface=interface
    )
    (by_time,) = torch.autograd.grad(
        ys[0].sum(), t0, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    assert float(by_time) == pytest.approx(0, abs=1e-12)
    (by_state,) = torch.autograd.grad(ys[0].sum(), y0, retain_graph=True)
    assert float(by_state) == pytest.approx(1)
    expected = 1.3 / (1 + float(event_t.detach()))
    assert float(torch.autograd.grad(event_t, t0)[0]) == pytest.approx(expected, abs=1e-6)


def test_a_lazy_module_has_its_shape_after_the_first_evaluation():
    for options in ({}, {"step_size": 0.1}):
        net = torch.nn.LazyLinear(2)

        class Field(torch.nn.Module):
            def __init__(self, net):
                super().__init__()
                self.net = net

            def forward(self, t, y):
                return self.net(y)

        method = "rk4" if options else "dopri5"
        ys = odeint_adjoint(Field(net), torch.ones(2), torch.tensor([0.0, 1.0]), method=method,
                            options=options)  # fmt: skip
        ys[-1].sum().backward()
        assert net.weight.grad.abs().sum() > 0


def test_callbacks_are_told_of_every_step():
    field = Field()
    odeint(field, torch.ones(3, dtype=torch.float64), T, options={"first_step": 10.0})
    assert field.seen[:2] == ["step", "reject"], "a step of 10 is too long"
    assert field.seen.count("step") == field.seen.count("accept") + field.seen.count("reject")
    assert field.seen.count("accept") >= 1
    still = Field()
    odeint(still, torch.ones(3, dtype=torch.float64), T, rtol=1.0, atol=1.0)
    assert "reject" not in still.seen


def test_options_reach_the_solver():
    options = {"ifactor": 5.0, "dfactor": 0.1, "max_num_steps": 7, "jump_t": torch.tensor([0.5])}
    solver = make_solver("dopri5", options, 1e-3, 1e-4, lambda constructor: T)
    assert (solver.max_factor, solver.min_factor) == (5.0, 0.1)
    assert solver.max_steps_between_outputs == 7
    assert solver.jump_t == (0.5,)
    for own in ({}, {"first_step": 0.1}):
        y0 = torch.ones(3, dtype=torch.float64)
        problem = InitialValueProblem(Field(), y0, T, 1e-3, 1e-4, None, own, None)
        assert (problem.solver.rtol, problem.solver.atol) == (1e-3, 1e-4)


@pytest.mark.parametrize("interface", [odeint, odeint_adjoint])
def test_defaults_are_those_of_torchdiffeq(interface):
    parameters = inspect.signature(interface).parameters
    assert {name: parameters[name].default for name in ("rtol", "atol", "method")} == {
        "rtol": 1e-7, "atol": 1e-9, "method": None,
    }  # fmt: skip


def test_rk4_is_the_rule_of_three_eighths():
    """Stages at 0, 1/3, 2/3 and 1 of a step (Kutta 1901)."""
    times = []

    def field(t, y):
        times.append(float(t))
        return y * t

    y0, t = torch.ones(1, dtype=torch.float64), torch.tensor([0.0, 0.3], dtype=torch.float64)
    y1 = odeint(field, y0, t, method="rk4")[-1]
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.3])
    h = 0.3
    k1 = 0.0
    k2 = (1 + h * k1 / 3) * 0.1
    k3 = (1 + h * (k2 - k1 / 3)) * 0.2
    k4 = (1 + h * (k1 - k2 + k3)) * 0.3
    assert float(y1) == pytest.approx(1 + h * (k1 + 3 * k2 + 3 * k3 + k4) / 8, rel=1e-12)


def test_the_norm_of_a_tuple_is_that_of_its_worst_part():
    """A still part of a thousand numbers beside a moving one lets no step be longer."""
    moving, still = torch.ones(1, dtype=torch.float64), torch.zeros(1000, dtype=torch.float64)
    t = torch.tensor([0.0, 5.0], dtype=torch.float64)

    def evaluations(y0):
        calls = []

        def field(t, state):
            calls.append(t)
            return (-2 * state[0] * torch.sin(3 * t), *(0 * part for part in state[1:]))

        odeint(field, y0, t, rtol=1e-6, atol=1e-8)
        return len(calls)

    assert evaluations((moving, still)) == evaluations((moving,))


@pytest.mark.parametrize("chosen", [[], [0]])
def test_only_the_given_parameters_get_gradients(chosen):
    field = Field()
    own = list(field.parameters())
    y0 = torch.ones(3, dtype=torch.float64, requires_grad=True)
    odeint_adjoint(field, y0, T, adjoint_params=[own[i] for i in chosen]).sum().backward()
    assert [p.grad is not None for p in own] == [i in chosen for i in range(len(own))]


def test_the_backward_solve_has_its_own_tolerances():
    def evaluations(**tolerances):
        field, calls = Field(), []
        y0 = torch.ones(3, dtype=torch.float64)
        y = odeint_adjoint(field, y0, T, rtol=1e-9, atol=1e-9, **tolerances)
        field.register_forward_hook(lambda *_: calls.append(1))
        y.sum().backward()
        return len(calls)

    same = evaluations()
    assert evaluations(adjoint_rtol=1e-3, adjoint_atol=1e-3) < 0.8 * same
    assert evaluations(adjoint_rtol=1e-3) < same
    assert evaluations(adjoint_atol=1e-3) < same


def test_the_seminorm_saves_evaluations_of_the_backward_solve():
    def evaluations(**options):
        field = Field()
        calls = []
        field.register_forward_hook(lambda *_: calls.append(1))
        y0 = torch.randn(2, 3, dtype=torch.float64)
        odeint_adjoint(field, y0, T, rtol=1e-8, atol=1e-8, **options).sum().backward()
        return len(calls)

    assert evaluations(adjoint_options={"norm": "seminorm"}) < evaluations()


def test_wrong_arguments_are_rejected():
    with pytest.raises(ValueError, match="adjoint_params"):
        odeint_adjoint(lambda t, y: y, torch.ones(1), T)
    with pytest.raises(ValueError, match="options\\['solver'\\]"):
        odeint(lambda t, y: y, torch.ones(1), T, method="scipy_solver", options={"solver": "X"})


@pytest.mark.parametrize("interface", [odeint, odeint_adjoint])
def test_a_single_time_gives_the_start_with_a_time_axis(interface):
    y0 = torch.ones(2, 3, requires_grad=True)
    ys = interface(Field(), y0, torch.tensor([0.5]))
    assert ys.shape == (1, 2, 3)
    assert torch.equal(torch.autograd.grad(ys.sum(), y0)[0], torch.ones(2, 3))
    a, b = interface(Field(), (y0, y0[0]), torch.tensor([0.5]))
    assert (a.shape, b.shape) == ((1, 2, 3), (1, 3))


def test_scipys_methods_have_their_own_norm_and_warn_of_callbacks():
    y0 = (torch.ones(3, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    a, _ = odeint_adjoint(
        lambda t, y: (-y[0], -y[1]), y0, T, method="scipy_solver", adjoint_params=()
    )
    assert float(a[-1, 0]) == pytest.approx(math.exp(-1), abs=1e-5)
    with pytest.warns(UserWarning, match="does not call callback_step"):
        odeint_adjoint(Field(), y0[0], T, method="scipy_solver")


@pytest.mark.parametrize(
    ("t", "remedy"),
    [
        (torch.tensor([0.0, 1.0, 1.0, 2.0]), r"solve at t.unique\(\)"),
        (torch.tensor([0, 1]), r"write t.float\(\)"),
        (torch.ones(2, device="meta"), "make it on another one"),
    ],
)
def test_times_that_cannot_be_solved_at_name_the_remedy(t, remedy):
    with pytest.raises((AssertionError, TypeError), match=remedy):
        odeint(lambda t, y: -y, torch.ones(2), t)


def test_an_event_that_does_not_come_names_the_option_of_the_interface():
    with pytest.raises(AssertionError, match=r"no event occurred.*options\['max_num_steps'\]"):
        odeint_event(
            lambda t, y: -y, torch.ones(2), torch.tensor(0.0),
            event_fn=lambda t, y: y.sum() + 1, options={"max_num_steps": 20},
        )  # fmt: skip
