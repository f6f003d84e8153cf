"""The drop-in's options, compared with closed forms and with what torchdiffeq documents."""

import math
import warnings

import pytest
import torch
import torchdiffeq
from torch import nn

from node_experiments.ode import SolveError
from node_experiments.ode.torchdiffeq import odeint, odeint_adjoint, odeint_event
from node_experiments.ode.torchdiffeq._impl.options import single_step

T = torch.tensor([0.0, 1.0], dtype=torch.float64)
ONE = torch.ones(1, dtype=torch.float64)
E = math.exp(-1)


def decay(t, y):
    return -y


class Rate(nn.Module):
    """dy/dt = -k y, also of tuples, with its evaluations counted."""

    def __init__(self, k=2.0):
        super().__init__()
        self.k = nn.Parameter(torch.tensor(k, dtype=torch.float64))
        self.evaluations = 0

    def forward(self, t, y):
        self.evaluations += 1
        return tuple(-self.k * part for part in y) if isinstance(y, tuple) else -self.k * y


@pytest.mark.parametrize(
    "tolerance",
    [
        torch.full((3,), 1e-8),
        torch.full((2, 3), 1e-8),
        torch.tensor(1e-8),
        [torch.full((3,), 1e-8)],
        (1e-8,),
    ],
)
@pytest.mark.parametrize("interface", [odeint, odeint_adjoint])
def test_tolerances_for_each_component(tolerance, interface):
    y0 = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    y = interface(Rate(1.0), y0, T, rtol=tolerance, atol=tolerance)[-1]
    assert y.tolist() == [[pytest.approx(E, abs=1e-6)] * 3] * 2
    assert float(torch.autograd.grad(y.sum(), y0)[0][0, 0]) == pytest.approx(E, abs=1e-6)


def test_a_loose_component_does_not_ask_for_steps():
    def field(t, y):
        return torch.stack([-y[0], torch.cos(50 * t)])

    def evaluations(atol):
        calls = []
        y0 = torch.ones(2, dtype=torch.float64)
        odeint(lambda t, y: (calls.append(1), field(t, y))[1], y0, T, rtol=0.0, atol=atol)
        return len(calls)

    loose = torch.tensor([1e-6, 1e3])
    assert evaluations(loose) < evaluations(torch.tensor([1e-6, 1e-6])) / 2
    # Components are those of the axes, however the state is stored.
    y0 = torch.ones(3, 2, dtype=torch.float64).t()
    atol = torch.tensor([[1e-6] * 3, [1e3] * 3])
    y = odeint(lambda t, y: torch.stack([-y[0], torch.cos(50 * t) + 0 * y[1]]), y0, T, atol=atol)
    assert float(y[-1, 0, 0]) == pytest.approx(E, abs=1e-5)


def test_tolerances_of_a_tuple_may_be_tensors_of_each_part():
    y0 = (ONE, torch.ones(2, 2, dtype=torch.float64))
    atol = (torch.tensor(1e-9), torch.full((2,), 1e-9))
    a, b = odeint(lambda t, y: (-y[0], -2 * y[1]), y0, T, rtol=[1e-9, 1e-9], atol=atol)
    assert float(a[-1]) == pytest.approx(E, abs=1e-7)
    assert float(b[-1, 1, 1]) == pytest.approx(math.exp(-2), abs=1e-7)
    with pytest.raises(ValueError, match="rtol has 3 numbers for a state of 2 tensors"):
        odeint(lambda t, y: y, y0, T, rtol=[1e-9] * 3)
    with pytest.raises(AssertionError, match="cannot require a gradient"):
        odeint(decay, ONE, T, rtol=torch.tensor(1e-3, requires_grad=True))


def test_tolerances_of_the_backward_solve_for_each_of_its_parts():
    def evaluations(rtol):
        field = Rate()
        y = odeint_adjoint(field, (ONE, ONE), T, adjoint_rtol=rtol, adjoint_atol=rtol)
        field.evaluations = 0
        (y[0][-1] + y[1][-1]).backward()
        assert float(field.k.grad) == pytest.approx(-2 * math.exp(-2), abs=1e-2)
        return field.evaluations

    # One for each of time, state, adjoint and the parameter.
    assert evaluations([1e-9] * 4) > evaluations([1e-4] * 4)
    assert evaluations([1e-4, 1e-4, 1e-4, 1e-9]) > evaluations([1e-4] * 4)


def test_max_num_steps_counts_from_output_to_output():
    many = torch.linspace(0, 30, 301, dtype=torch.float64)
    y = odeint(decay, ONE, many, options={"max_num_steps": 20})
    assert float(y[-1]) == pytest.approx(math.exp(-30), abs=1e-7)
    with pytest.raises(SolveError, match="max_num_steps") as caught:
        odeint(decay, ONE, many[[0, -1]], options={"max_num_steps": 20})
    assert isinstance(caught.value, AssertionError)


def test_a_step_of_the_least_size_is_accepted():
    def slide(t, y):
        return -torch.sign(y - t / 2)

    sizes = []

    class Slide(nn.Module):
        def forward(self, t, y):
            return slide(t, y)

        def callback_accept_step(self, t, y, dt):
            sizes.append(float(dt))

    t = torch.tensor([0.0, 2.0], dtype=torch.float64)
    y = odeint(Slide(), ONE, t, rtol=1e-6, atol=1e-6, options={"min_step": 1e-3})
    assert float(y[-1]) == pytest.approx(1.0, abs=5e-3)
    assert min(sizes[:-1]) >= 1e-3 * (1 - 1e-9)
    with pytest.raises(SolveError, match="NaN"):
        odeint(lambda t, y: y / 0 * 0, ONE, T, options={"min_step": 1e-3})


def test_perturb_sees_a_jump_at_a_grid_point_from_inside_of_every_step():
    def field(t, y):
        return torch.where(t < 1, 2.0, 4.0) * torch.ones_like(y)

    t = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    for method in ("euler", "heun2", "rk4", "midpoint", "trapezoid"):
        options = {"step_size": 1.0, "perturb": True}
        for times, exact in ((t, 6.0), (t.flip(0), -6.0)):
            y = odeint(field, 0 * ONE, times, method=method, options=options)
            assert float(y[-1]) == pytest.approx(exact), (method, exact)


@pytest.mark.parametrize("flushes", [False, True])
def test_perturb_also_holds_in_the_backward_solve(flushes):
    """Training flushes subnormal numbers, one of which is the next one after 0, to 0."""
    seen = []
    y0 = ONE.clone().requires_grad_()

    def field(t, y):
        seen.append(float(t))
        return -y

    options = {"step_size": 0.5, "perturb": True}
    torch.set_flush_denormal(flushes)
    try:
        y = odeint_adjoint(field, y0, T, method="rk4", options=options, adjoint_params=())
        y[-1].sum().backward()
    finally:
        torch.set_flush_denormal(False)
    assert not {0.0, 0.5, 1.0} & set(seen)


def test_values_between_fixed_steps_are_linear_unless_cubic_ones_are_asked_for():
    t = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64)

    def values(**options):
        return odeint(lambda t, y: 2 * t + 0 * y, 0 * ONE, t, method="midpoint", options=options)

    linear = values(step_size=0.5)
    assert linear.flatten().tolist() == pytest.approx([0.0, 0.125, 0.25, 1.0])
    cubic = values(step_size=0.5, interp="cubic")
    assert cubic.flatten().tolist() == pytest.approx([0.0, 0.0625, 0.25, 1.0])
    with pytest.raises(ValueError, match="linear or cubic"):
        values(step_size=0.5, interp="foo")


@pytest.mark.filterwarnings("ignore:the adjoint method solved y backwards")
def test_gradients_go_through_linear_values():
    t = torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)
    for interface in (odeint, odeint_adjoint):
        field = Rate()
        y = interface(field, ONE, t, method="euler", options={"step_size": 0.5})
        (g,) = torch.autograd.grad(y[1].sum(), field.k)
        # y(1/4) = 1 - k / 4 on the line; its adjoint is solved from there by one Euler step
        expected = -0.25 if interface is odeint else -0.25 * (1 - 0.25 * 2)
        assert float(g) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("dopri5", {"step_size": 0.5}),
        ("dopri5", {"stepsize": 0.5}),
        ("euler", {"step_size": 0.1, "first_step": 0.1}),
        ("rk4", {"step_size": 0.1, "jump_t": torch.tensor([0.5])}),
        ("scipy_solver", {"safety": 0.5}),
    ],
)
def test_options_that_a_method_does_not_use_are_warned_of(method, options):
    with pytest.warns(UserWarning, match="does not use the options"):
        y = odeint(decay, ONE, T, method=method, options=options)
    assert float(y[-1]) == pytest.approx(E, abs=0.05)


def test_a_step_size_does_not_make_an_adaptive_method_take_fixed_steps():
    with pytest.warns(UserWarning, match="step_size"):
        y = odeint(lambda t, y: -2 * y, ONE, 4 * T, options={"step_size": 2.0})
    assert float(y[-1]) == pytest.approx(math.exp(-8), abs=1e-6)


def test_options_that_exclude_each_other():
    both = {"step_size": 0.1, "grid_constructor": lambda f, y, t: t}
    with pytest.raises(ValueError, match="step_size and grid_constructor"):
        odeint(decay, ONE, T, method="rk4", options=both)
    short = {"grid_constructor": lambda f, y, t: torch.tensor([0.0, 0.5])}
    with pytest.raises(AssertionError, match="grid_constructor"):
        odeint(decay, ONE, T, method="rk4", options=short)
    with pytest.raises(ValueError, match="adjoint_options"):
        odeint_adjoint(
            Rate(), ONE, T, method="euler", options={"step_size": 0.1}, adjoint_method="rk4"
        )


@pytest.mark.parametrize(
    "arguments",
    [
        {"adjoint_method": "rk4", "adjoint_options": {"step_size": 0.05}},
        {"method": "rk4", "options": {"step_size": 0.05}, "adjoint_method": "dopri5",
         "adjoint_options": {}},
        {"adjoint_method": "bosh3", "adjoint_rtol": 1e-6, "adjoint_atol": 1e-6},
        {"adjoint_options": {"jump_t": torch.tensor([0.5])}},
    ],
)  # fmt: skip
def test_the_backward_solve_has_its_own_method_and_options(arguments):
    field = Rate()
    odeint_adjoint(field, ONE, T, **arguments)[-1].sum().backward()
    assert float(field.k.grad) == pytest.approx(-math.exp(-2), rel=1e-4)


@pytest.mark.filterwarnings("ignore:the adjoint method solved y backwards")
def test_options_are_inherited_by_the_backward_solve_unless_it_has_some():
    def evaluations(**arguments):
        field = Rate()
        y = odeint_adjoint(field, ONE, T, method="euler", options={"step_size": 0.1}, **arguments)
        field.evaluations = 0
        y[-1].sum().backward()
        return field.evaluations

    assert evaluations() == 10
    assert evaluations(adjoint_options={"step_size": 0.01}) == 100
    # Without a step size there is one step from output to output.
    assert evaluations(adjoint_options={}) == 1


def test_a_grid_constructor_is_called_for_the_intervals_of_the_backward_solve():
    asked = []

    def grid(f, y, t):
        asked.append(t.tolist())
        return torch.linspace(float(t[0]), float(t[-1]), 11, dtype=torch.float64)

    y0 = ONE.clone().requires_grad_()
    y = odeint_adjoint(
        decay, y0, T, method="euler", options={"grid_constructor": grid}, adjoint_params=()
    )
    y[-1].sum().backward()
    assert asked == [[0.0, 1.0], [1.0, 0.0]]
    assert float(y0.grad) == pytest.approx(0.9**10)


@pytest.mark.parametrize("is_tuple", [False, True])
def test_the_norm_of_the_backward_solve_is_called_with_the_tuple_of_its_parts(is_tuple):
    shapes = []

    def norm(parts):
        shapes.append([tuple(part.shape) for part in parts])
        return max(part.abs().max() for part in parts)

    a, b = torch.ones(3, dtype=torch.float64), torch.ones(2, 2, dtype=torch.float64)
    field = Rate()
    y = odeint_adjoint(field, (a, b) if is_tuple else a, T, adjoint_options={"norm": norm})
    (y[0][-1].sum() + y[1][-1].sum() if is_tuple else y[-1].sum()).backward()
    count = 7 if is_tuple else 3
    assert float(field.k.grad) == pytest.approx(-count * math.exp(-2), rel=1e-5)
    state = [(3,), (2, 2)] if is_tuple else [(3,)]
    assert shapes[0] == [(), *state, *state, ()]


def test_a_frozen_parameter_is_no_part_of_the_norm_and_this_is_said():
    frozen = torch.ones(2)
    options = {"norm": lambda parts: max(part.abs().max() for part in parts)}
    with pytest.warns(UserWarning, match="need no gradient"):
        odeint_adjoint(decay, ONE, T, adjoint_params=(frozen,), adjoint_options=options)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("method", ["dopri5", "rk4"])
def test_callbacks_of_both_solves(method, reverse):
    forward, backward = [], []

    class Watched(Rate):
        def callback_step(self, t, y, dt):
            forward.append((t, y, dt))

        def callback_step_adjoint(self, t, y, dt):
            backward.append((t, y, dt))

    y0, t = torch.ones(2, dtype=torch.float32), torch.tensor([1.0, 0.0] if reverse else [0.0, 1.0])
    options = {"step_size": 0.25} if method == "rk4" else {}
    y = odeint_adjoint(Watched(), y0, t, method=method, options=options)
    y[-1].sum().backward()
    for steps, first in ((forward, t[0]), (backward, t[1])):
        assert float(steps[0][0]) == float(first)
        assert sum(float(dt) for *_, dt in steps) >= 1 - 1e-6
        assert all(float(dt) > 0 for *_, dt in steps)
    assert forward[0][0].dtype == (torch.float64 if method == "dopri5" else torch.float32)
    assert [tuple(part.shape) for part in backward[0][1]] == [(), (2,), (2,)]


@pytest.mark.parametrize("method", ["euler", "scipy_solver"])
def test_callbacks_that_a_method_does_not_call_are_warned_of(method):
    class Watched(Rate):
        def callback_reject_step(self, t, y, dt):
            raise AssertionError

    with pytest.warns(UserWarning, match="does not call callback_reject_step"):
        odeint_adjoint(Watched(), ONE, T, method=method)


@pytest.mark.parametrize("solver", ["LSODA", "BDF", "Radau", "RK45", "RK23", "DOP853"])
def test_all_methods_of_scipy(solver):
    y = odeint(decay, ONE, T, method="scipy_solver", options={"solver": solver})
    assert float(y[-1]) == pytest.approx(E, abs=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        odeint(decay, ONE, T, method="scipy_solver", options={"solver": solver})


def test_scipy_records_no_graph_and_says_so():
    y0 = ONE.clone().requires_grad_()
    with pytest.warns(UserWarning, match="without gradients"):
        y = odeint(decay, y0, T, method="scipy_solver")
    assert not y.requires_grad


@pytest.mark.parametrize("t0", [0.0, [0.0], [[0.0]]])
def test_the_start_of_an_event_solve_has_any_shape(t0):
    t0 = torch.tensor(t0, dtype=torch.float64, requires_grad=True)
    te, ys = odeint_event(decay, ONE, t0, event_fn=lambda t, y: y - 0.5)
    assert te.shape == ()
    assert ys.shape == (2, 1)
    assert float(te.detach()) == pytest.approx(math.log(2), abs=1e-7)
    assert float(torch.autograd.grad(te, t0)[0].sum()) == pytest.approx(1.0, abs=1e-6)


def test_an_event_that_is_zero_at_the_start_ends_the_solve_there():
    y0 = ONE.clone().requires_grad_()
    te, ys = odeint_event(decay, y0, torch.tensor(0.5), event_fn=lambda t, y: y - 1.0)
    assert float(te.detach()) == 0.5
    assert ys.flatten().tolist() == [1.0, 1.0]


def test_an_event_that_does_not_come_is_an_error():
    with pytest.raises(SolveError):
        odeint_event(
            lambda t, y: y / (1 + t) ** 2, ONE, torch.tensor(0.0), event_fn=lambda t, y: y + 1
        )
    options = {"max_num_steps": 50}
    with pytest.raises(SolveError, match="max_num_steps"):
        odeint_event(decay, ONE, T[0], event_fn=lambda t, y: y + 1, options=options)
    with pytest.raises(AssertionError, match="step_size"):
        odeint_event(decay, ONE, T[0], event_fn=lambda t, y: y - 0.5, method="rk4")
    with pytest.raises(ValueError, match="2 times"):
        odeint(decay, ONE, torch.linspace(0, 1, 3), event_fn=lambda t, y: y - 0.5)


def test_a_smallest_step_that_scipy_has_not_is_said():
    options = {"solver": "RK45", "min_step": 2}
    with pytest.warns(UserWarning, match="SciPy's RK45 has no min_step, which is left out"):
        odeint(lambda t, y: -y, torch.ones(2), T, method="scipy_solver", options=options)
    odeint(lambda t, y: -y, torch.ones(2), T, method="scipy_solver", options={"min_step": 2})


def test_an_unknown_method_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"method='rk5' is unknown; did you mean 'rk4'"):
        odeint(lambda t, y: -y, torch.ones(1), torch.tensor([0.0, 1.0]), method="rk5")


@pytest.mark.parametrize("method", ["euler", "rk4"])
def test_a_loop_of_single_steps_makes_its_solver_once(method):
    """Programs step from observation to observation; making a solver takes as long as the step."""
    single_step.cache_clear()
    times = torch.linspace(0, 1, 101, dtype=torch.float64) ** 2
    y = theirs = torch.ones(3, dtype=torch.float64)
    for i in range(100):
        y = odeint(lambda t, y: -t * y, y, times[i : i + 2], method=method)[-1]
        theirs = torchdiffeq.odeint(lambda t, y: -t * y, theirs, times[i : i + 2], method=method)[
            -1
        ]
    assert single_step.cache_info().misses == 1
    torch.testing.assert_close(y, theirs, rtol=1e-12, atol=1e-12)
