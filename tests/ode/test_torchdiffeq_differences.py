"""Where the drop-in differs from torchdiffeq by intent: a test for each row of ode/README.md.

What both do alike, and closed forms of what torchdiffeq gets right, is tested beside it.
"""

import importlib
import math
import warnings

import pytest
import torch
from torch import nn

from node_experiments.ode import SolveError, torchdiffeq
from node_experiments.ode.torchdiffeq import odeint, odeint_adjoint, odeint_dense, odeint_event

T = torch.tensor([0.0, 1.0], dtype=torch.float64)
ONE = torch.ones(1, dtype=torch.float64)
E = math.exp(-1)


def decay(t, y):
    return -y


class Decay(nn.Module):
    def __init__(self):
        super().__init__()
        self.k = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, t, y):
        return -self.k * y


# --- the same as there


def test_names_that_are_imported_from_torchdiffeq():
    assert torchdiffeq.__version__ == "0.2.5"
    inner = importlib.import_module("node_experiments.ode.torchdiffeq._impl.odeint")
    assert {"dopri5", "rk4", "gl6", "scipy_solver", "fixed_adams"} <= set(inner.SOLVERS)
    assert inner.odeint is odeint
    outer = importlib.import_module("node_experiments.ode.torchdiffeq._impl.adjoint")
    assert outer.odeint_adjoint is odeint_adjoint
    assert len(outer.find_parameters(nn.Linear(1, 1))) == 2


@pytest.mark.parametrize("method", ["dopri5", "rk4"])
def test_a_derivative_of_another_precision_is_converted_to_that_of_the_state(method):
    options = {"step_size": 0.1} if method == "rk4" else {}
    y0 = torch.ones(2, dtype=torch.float32)
    for other in (torch.float64, torch.bfloat16):
        y = odeint(lambda t, y, d=other: -y.to(d), y0, T.float(), method=method, options=options)
        assert y.dtype == torch.float32
        assert float(y[-1, 0]) == pytest.approx(E, abs=1e-2)
    with pytest.raises(ValueError, match="complex"):
        odeint(lambda t, y: 1j * y, y0, T, method=method, options=options)


def test_a_tuple_of_several_precisions_is_promoted():
    y0 = (torch.ones(2, dtype=torch.float32), ONE)
    a, b = odeint(lambda t, y: (-y[0], -2 * y[1]), y0, T)
    assert a.dtype == b.dtype == torch.float64
    assert float(a[-1, 0]) == pytest.approx(E, abs=1e-6)
    assert float(b[-1]) == pytest.approx(E**2, abs=1e-6)


def test_parts_of_a_derivative_are_reshaped_to_those_of_the_state():
    y0 = (torch.ones(3, 1, dtype=torch.float64), ONE)
    a, _ = odeint(lambda t, y: [-y[0].flatten(), -y[1]], y0, T)
    assert a.shape == (2, 3, 1)
    assert float(a[-1, 0]) == pytest.approx(E, abs=1e-6)
    with pytest.raises(ValueError, match="shape"):
        odeint(lambda t, y: (-y[1], -y[0]), y0, T)


def test_fixed_steps_broadcast_the_derivative_and_adaptive_ones_do_not():
    y0 = torch.zeros(4, 3, dtype=torch.float64)
    y = odeint(lambda t, y: torch.ones(3, dtype=y.dtype), y0, T, method="euler")
    assert torch.equal(y[-1], torch.ones_like(y0))
    with pytest.raises(ValueError, match="shape"):
        odeint(lambda t, y: torch.ones(3, dtype=y.dtype), y0, T)


@pytest.mark.parametrize("method", ["dopri5", "euler"])
def test_a_batch_of_no_samples(method):
    layer = nn.Linear(3, 3)
    y = odeint(lambda t, y: layer(y), torch.ones(0, 3), torch.linspace(0, 1, 4), method=method)
    assert y.shape == (4, 0, 3)
    y.sum().backward()
    assert torch.equal(layer.weight.grad, torch.zeros(3, 3))


def test_wrong_times_are_assertions():
    for t in ([0.0, 1.0], torch.tensor([0.0, 0.0]), torch.tensor([0.0, 1.0, 0.5]), T[:, None]):
        with pytest.raises(AssertionError):
            odeint(decay, ONE, t)
    with pytest.raises(TypeError, match="floats"):
        odeint(decay, ONE, torch.tensor([0, 1]))


def test_dense_output_with_gradients():
    y0 = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    solution = odeint_dense(decay, y0, torch.tensor(0.0), torch.tensor(1.0))
    for time in (0.0, 0.3, 0.71, 1.0):
        t = torch.tensor(time, dtype=torch.float64, requires_grad=True)
        y = solution(t)
        assert y.tolist() == pytest.approx([math.exp(-time), 2 * math.exp(-time)], abs=1e-6)
        dy0, dt = torch.autograd.grad(y.sum(), (y0, t), retain_graph=True)
        assert dy0.tolist() == pytest.approx([math.exp(-time)] * 2, abs=1e-6)
        assert float(dt) == pytest.approx(-3 * math.exp(-time), abs=1e-6)
    assert solution(torch.linspace(0, 1, 5)).shape == (5, 2)
    back = odeint_dense(decay, y0, 1.0, 0.0)
    assert float(back(0.5)[0].detach()) == pytest.approx(math.exp(0.5), abs=1e-6)


@pytest.mark.parametrize("moved", [0, 1])
def test_dense_output_says_which_times_have_no_gradient(moved):
    ends = [torch.tensor(end, requires_grad=i == moved) for i, end in enumerate((0.0, 1.0))]
    with pytest.warns(UserWarning, match="no gradients of t0 and t1"):
        solution = odeint_dense(decay, ONE, *ends)
    with pytest.warns(UserWarning, match="no gradient with respect to the times"):
        solution(torch.tensor([0.2, 0.5], requires_grad=True))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        odeint_dense(decay, ONE, *ends)(torch.tensor([0.2, 0.5], requires_grad=True))


# --- derivatives with respect to times


def problem(dtype=torch.float64):
    """y' = -k y (1 + t) with its solution y0 exp(-k (t - s + (t^2 - s^2) / 2))."""
    inputs = [torch.tensor(x, dtype=dtype, requires_grad=True) for x in (0.7, 1.3, 0.2, 1.1)]

    def exact(k, y0, s, t):
        return y0 * torch.exp(-k * (t - s + (t**2 - s**2) / 2))

    def solved(k, y0, s, t):
        options = {"rtol": 1e-10, "atol": 1e-10}
        middle = (s.detach() + t.detach()) / 2
        times = torch.stack([s, middle, t])
        ys = odeint(lambda t, y: -k * y * (1 + t), y0.reshape(1), times, **options)
        return ys[-1].sum()

    return inputs, exact, solved


def test_second_derivatives_with_respect_to_times_state_and_parameters():
    inputs, exact, solved = problem()

    unused = {"allow_unused": True, "materialize_grads": True}

    def hessian(f):
        first = torch.autograd.grad(f(*inputs), inputs, create_graph=True)
        return torch.stack(
            [
                torch.stack(torch.autograd.grad(g, inputs, retain_graph=True, **unused))
                for g in first
            ]
        )

    torch.testing.assert_close(hessian(solved), hessian(exact), rtol=1e-5, atol=1e-6)


def test_a_penalty_on_the_rate_trains_a_parameter():
    k = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    t = T.clone().requires_grad_()
    y = odeint(lambda t, y: -k * y, ONE, t)[-1].sum()
    (rate,) = torch.autograd.grad(y, t, create_graph=True)
    (found,) = torch.autograd.grad(rate[1], k)
    assert float(found) == pytest.approx((0.7 - 1) * math.exp(-0.7), abs=1e-6)


def test_second_derivatives_of_a_tuple_state_and_of_one_without_parameters():
    t = T.clone().requires_grad_()
    a, b = odeint(lambda t, y: (t * y[0], torch.ones_like(y[1])), (ONE, ONE), t)
    (g,) = torch.autograd.grad((a[-1] + b[-1]).sum(), t, create_graph=True)
    (h,) = torch.autograd.grad(g[1], t)
    assert float(h[1]) == pytest.approx(2 * math.exp(0.5), abs=1e-5)


def test_tensors_of_the_solver_are_on_the_device_of_the_state():
    for method in ("euler", "rk4", "dopri5"):
        with torch.device("meta"):  # the default of tensors that are made without a device
            y0 = torch.ones(2, device="cpu")
            y = odeint(decay, y0, torch.tensor([0.0, 0.125], device="cpu"), method=method)
        assert float(y[-1, 0]) == pytest.approx(math.exp(-0.125), abs=0.01)
    with pytest.raises(ValueError, match="'meta' and has no values"):
        odeint(decay, torch.ones(2, device="meta"), T.float())


# --- different by intent


@pytest.mark.parametrize("method", ["euler", "dopri5"])
def test_a_field_that_changes_its_arguments_is_rejected(method):
    for field in (lambda t, y: y.mul_(-1), lambda t, y: t.add_(1) * y):
        y0 = ONE.clone()
        with pytest.raises(ValueError, match="in place"):
            odeint(field, y0, T, method=method)
        assert torch.equal(y0, ONE)


@pytest.mark.parametrize("interface", [odeint, odeint_adjoint])
def test_a_derivative_that_lost_its_graph_is_rejected(interface):
    class NumPy(nn.Module):
        def forward(self, t, y):
            return torch.from_numpy(-y.detach().numpy())

    with pytest.raises(ValueError, match="in no graph"):
        interface(NumPy(), ONE.clone().requires_grad_(), T)
    with torch.no_grad():
        y = interface(NumPy(), ONE, T)
    assert float(y[-1]) == pytest.approx(E, abs=1e-6)


def test_a_hook_of_a_parameter_runs_once_on_the_whole_gradient():
    field, seen = Decay(), []
    field.k.register_hook(seen.append)
    odeint_adjoint(field, ONE, T)[-1].sum().backward()
    assert [float(g) for g in seen] == pytest.approx([-E], abs=1e-5)


def test_adams_methods_have_order_4_and_correct_once():
    calls = []

    def field(t, y):
        calls.append(1)
        return -y

    def error(steps):
        options = {"step_size": 1 / steps, "max_order": 12, "max_iters": 10}
        y = odeint(field, ONE, T, method="implicit_adams", options=options)
        return abs(float(y[-1]) - E)

    assert math.log2(error(20) / error(40)) == pytest.approx(4, abs=0.5)
    with pytest.warns(UserWarning, match="rk4 is taken"):
        y = odeint(
            decay, ONE, T, method="explicit_adams", options={"step_size": 0.5, "max_order": 2}
        )
    rk4 = odeint(decay, ONE, T, method="rk4", options={"step_size": 0.5})
    assert float(y[-1]) == float(rk4[-1])


def test_random_numbers_are_the_same_at_every_evaluation_of_a_solve():
    drawn = []

    def field(t, y):
        drawn.append(float(torch.randn(())))
        return -y

    torch.manual_seed(0)
    for interface in (odeint, lambda *a: odeint_adjoint(*a, adjoint_params=())):
        drawn.clear()
        interface(field, ONE, T)
        assert len(set(drawn)) == 1


def test_a_tensor_that_would_get_no_gradient_is_an_error_of_the_adjoint():
    encoder = nn.Linear(1, 1, dtype=torch.float64)

    class Field(nn.Module):
        def forward(self, t, y):
            return -y * self.context

    field = Field()
    field.context = encoder(ONE)
    with pytest.raises(ValueError, match="computed outside"):
        odeint_adjoint(field, ONE.clone().requires_grad_(), T)
    odeint(field, ONE, T)[-1].sum().backward()
    assert encoder.weight.grad is not None


def test_batch_statistics_that_count_evaluations_are_an_error_of_the_adjoint():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(2)

        def forward(self, t, y):
            return -self.norm(y)

    with pytest.raises(ValueError, match="BatchNorm1d"):
        odeint_adjoint(Field(), torch.randn(4, 2), T)
    assert odeint_adjoint(Field().eval(), torch.randn(4, 2), T).shape == (2, 4, 2)


def test_values_that_are_not_finite_are_an_error_also_with_fixed_steps():
    for method in ("euler", "dopri5"):
        with pytest.raises(SolveError, match="NaN") as caught:
            odeint(lambda t, y: y / 0, ONE, T, method=method)
        assert isinstance(caught.value, AssertionError)


def test_a_truth_value_is_an_event_where_it_changes():
    for event_fn in (lambda t, y: y > 0.5, lambda t, y: y < 0.5):
        te, _ = odeint_event(decay, ONE, T[0], event_fn=event_fn)
        assert float(te) == pytest.approx(math.log(2), abs=1e-7)


def test_the_time_of_an_event_has_gradients_without_odeint_event():
    y0 = ONE.clone().requires_grad_()
    te, _ = odeint(decay, y0, T, event_fn=lambda t, y: y - 0.5)
    assert float(torch.autograd.grad(te, y0)[0]) == pytest.approx(1.0, abs=1e-6)


def test_the_vector_field_is_not_evaluated_beyond_the_last_time():
    seen = []
    odeint(lambda t, y: (seen.append(float(t)), -y)[1], ONE, T)
    assert max(seen) <= 1.0


def test_times_of_steps_are_double_whatever_the_option_says():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = odeint(decay, ONE, T, options={"dtype": torch.float32})
    assert float(y[-1]) == pytest.approx(E, abs=1e-6)


def test_an_adjoint_whose_state_was_not_recovered_warns():
    field = Decay()
    t = torch.tensor([0.0, 40.0], dtype=torch.float64)
    y = odeint_adjoint(field, ONE, t, rtol=1e-4, atol=1e-4)
    with pytest.warns(UserWarning, match="solved y backwards"):
        y[-1].sum().backward()


def test_states_may_be_lists_and_dicts():
    y = odeint(lambda t, y: {"a": -y["a"], "b": [-2 * y["b"][0]]}, {"a": ONE, "b": [ONE]}, T)
    assert float(y["b"][0][-1]) == pytest.approx(E**2, abs=1e-6)


def test_an_event_that_does_not_come_is_an_error():
    def never(t, y):
        return y.sum() + 1

    steps = []

    class Counted(Decay):
        def callback_step(self, t, y, dt):
            steps.append(t)

    options = {"max_num_steps": 7, "max_step": 0.1}
    with pytest.raises(SolveError, match="no event occurred"), torch.no_grad():
        odeint_event(Counted(), ONE, torch.tensor(0.0), event_fn=never, options=options)
    assert len(steps) == 7


def test_the_step_is_known_when_its_callback_is_called():
    calls = []

    class Reported(Decay):
        def forward(self, t, y):
            calls.append("evaluation")
            return super().forward(t, y)

        def callback_step(self, t, y, dt):
            calls.append("step")

        def callback_accept_step(self, t, y, dt):
            calls.append("accepted")

    with torch.no_grad():
        odeint(Reported(), ONE, T, rtol=1e-3, atol=1e-3)
    first = calls.index("step")
    assert calls[first - 6 : first + 2] == ["evaluation"] * 6 + ["step", "accepted"]


def test_callbacks_of_the_backward_solve_see_no_gradients_of_parameters():
    seen = []

    class Reported(Decay):
        def callback_step_adjoint(self, t, state, dt):
            seen.append([part.shape for part in state])

    y0 = torch.ones(3, dtype=torch.float64)
    odeint_adjoint(Reported(), y0, T)[-1].sum().backward()
    assert seen
    assert all(shapes == [(), (3,), (3,)] for shapes in seen)


def test_the_grid_of_the_backward_solve_is_made_before_the_forward_solve():
    events = []

    def grid(func, y0, t):
        events.append(("grid", tuple(y0.shape), t.tolist()))
        return torch.linspace(float(t[0]), float(t[-1]), 5, dtype=torch.float64)

    class Reported(Decay):
        def forward(self, t, y):
            events.append("evaluation")
            return super().forward(t, y)

    y0 = torch.ones(3, dtype=torch.float64)
    odeint_adjoint(Reported(), y0, T, method="euler", options={"grid_constructor": grid})
    assert [event for event in events if event != "evaluation"] == [
        ("grid", (3,), [0.0, 1.0]),
        ("grid", (3,), [1.0, 0.0]),
    ]
    assert "evaluation" not in events[:2]


@pytest.mark.parametrize("interface", [odeint, odeint_adjoint])
@pytest.mark.parametrize("y0", [1.0, None, [1.0, 2.0], (), "a", (ONE, 1.0), (ONE, None)])
def test_a_state_that_is_none_is_an_error_in_words(interface, y0):
    options = {} if interface is odeint else {"adjoint_params": ()}
    with pytest.raises(ValueError, match="y0 must be a tensor, or a tuple"):
        interface(decay, y0, T, **options)


@pytest.mark.parametrize("derivative", [None, 1.0, 3])
def test_a_derivative_of_a_tuple_that_is_none_is_an_error_in_words(derivative):
    with pytest.raises(ValueError, match="must be a tuple or list of length 2; found"):
        odeint(lambda t, y: derivative, (ONE, ONE), T)


@pytest.mark.parametrize("interface", [odeint, odeint_adjoint])
def test_an_event_at_the_start_has_a_gradient(interface):
    """y' = -y from y0 is at the level c = y0 at once; the time is ln(y0 / c)."""
    y0, c = ONE.clone().requires_grad_(), ONE.clone().requires_grad_()
    options = {} if interface is odeint else {"adjoint_params": (c,)}
    time, ys = odeint_event(
        decay,
        y0,
        T[0],
        event_fn=lambda t, y: torch.cat([y - c, y + 5]),
        odeint_interface=interface,
        **options,
    )
    assert time.item() == 0.0
    grads = torch.autograd.grad(time + 2 * ys[-1].sum(), (y0, c))
    assert [grad.item() for grad in grads] == pytest.approx([1.0, -1.0 + 2.0])


def test_the_start_is_not_changed_by_an_event_that_changes_its_state():
    y0 = ONE.clone()
    with pytest.raises(ValueError, match="an event changed the state in place"):
        odeint_event(decay, y0, T[0], event_fn=lambda t, y: y.sub_(0.5))
    assert torch.equal(y0, ONE)


@pytest.mark.parametrize("method", ["dopri5", "rk4", "scipy_solver"])
def test_a_parameter_that_is_not_read_has_a_gradient_of_zeros(method):
    """As in torchdiffeq; `solve` gives it none."""

    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.read, self.unread = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, t, y):
            return self.read(y)

    field, options = Field(), {"solver": "RK45"} if method == "scipy_solver" else None
    y0, t = torch.ones(2), torch.tensor([0.0, 1.0])
    for _ in range(2):
        field.zero_grad()
        odeint_adjoint(field, y0, t, method=method, options=options)[-1].sum().backward()
        assert bool((field.unread.weight.grad == 0).all())
        assert bool((field.read.weight.grad != 0).any())
