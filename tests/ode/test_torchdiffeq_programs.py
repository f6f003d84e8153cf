"""What programs do around `odeint`, on both packages: reshape outputs, look up times, ..."""

import gc
import weakref

import numpy as np
import pytest
import torch
import torchdiffeq as theirs
from torch import nn

from node_experiments.ode import solve
from node_experiments.ode import torchdiffeq as ours

BOTH = (ours, theirs)
T = torch.tensor([0.0, 0.5, 1.0])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(2, 2)

    def forward(self, t, y):
        return torch.tanh(self.linear(y))


def negative(t, y):
    return -y


@pytest.mark.parametrize("function", ["odeint", "odeint_adjoint"])
@pytest.mark.parametrize("method", ["rk4", "dopri5"])
@pytest.mark.parametrize(
    "y0",
    [
        torch.rand(2, 2, 9).transpose(1, 2),
        torch.rand(2, 3, 4, 2).permute(0, 3, 1, 2).to(memory_format=torch.channels_last),
        torch.rand(4, 1).expand(4, 2),
    ],
    ids=["transposed", "channels last", "expanded"],
)
def test_outputs_are_contiguous_whatever_the_state_is(function, method, y0):
    field = nn.Module()
    field.forward = negative
    ys = getattr(ours, function)(field, y0, T, method=method)
    assert ys.is_contiguous()
    assert ys.view(len(T), -1).shape == (3, y0.numel())
    assert solve(negative, y0, T).ys.is_contiguous()


def test_parts_of_outputs_can_be_changed_in_place():
    y = torch.ones(2, requires_grad=True)
    a, b = ours.odeint(lambda t, s: (-s[0], s[1]), (y, torch.ones(1)), T, method="rk4")
    a[0] = 0.0
    b[1:] *= 2
    (a.sum() + b.sum()).backward()
    assert torch.equal(y.grad[0], y.grad[1])
    assert float(y.grad[0]) == pytest.approx(float(torch.exp(-T[1:]).sum()), rel=1e-3)


class Recorder(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))
        self.times = []

    def forward(self, t, y):
        self.times.append(float(t.detach()))
        return self.weight * y


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sign", [1, -1])
def test_steps_of_one_size_are_at_the_same_times_to_the_last_bit(dtype, sign):
    torch.manual_seed(0)
    for step in (0.05, 0.1, 1 / 3, 0.07, 0.013):
        for start, end in ((0.0, 1.0), (0.3, 1.7), (-2.0, 0.5)):
            t = sign * torch.tensor([start, start + 0.4 * (end - start), end], dtype=dtype)
            seen = []
            for package in BOTH:
                field = Recorder().to(dtype)
                options = {"step_size": step}
                y0 = torch.ones(1, dtype=dtype)
                package.odeint(field, y0, t, method="euler", options=options)
                # theirs may end with a step of size 0
                seen.append([time for time in field.times if time != float(t[-1])])
            assert seen[0] == seen[1]


def test_steps_of_the_backward_solve_start_again_at_every_output():
    seen = []
    for package in BOTH:
        field = Recorder()
        ys = package.odeint_adjoint(
            field, torch.ones(1, requires_grad=True), torch.tensor([0.0, 0.4, 1.0]),
            method="euler", options={"step_size": 0.07}, adjoint_params=(field.weight,),
        )  # fmt: skip
        field.times.clear()
        ys.sum().backward()
        seen.append([t for t in field.times if min(abs(t - x) for x in (0.0, 0.4, 1.0)) > 1e-6])
    assert seen[0] == pytest.approx(seen[1], abs=1e-6)
    assert len(seen[0]) >= 12


def test_the_adjoint_of_an_event_with_steps_of_one_size():
    """The backward solve starts at the event, and not at the time that gives the direction."""
    gradients = []
    for package in BOTH:
        field, y0 = Recorder().double(), torch.tensor([2.0, 0.0]).double().requires_grad_()
        field.forward = lambda t, y, f=field: torch.stack(
            [-f.weight * 0.6 * y[0] * torch.cos(t / 3) ** 2, y[0]]
        )
        time, ys = package.odeint_event(
            field, y0, torch.tensor(0.0, dtype=torch.float64),
            event_fn=lambda t, y: y[0] - 0.5, odeint_interface=package.odeint_adjoint,
            method="rk4", options={"step_size": 0.01}, atol=1e-10,
        )  # fmt: skip
        loss = time + ys[-1].square().sum()
        gradients.append(torch.autograd.grad(loss, [y0, field.weight]))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_a_control_is_looked_up_at_the_same_indices():
    control = torch.tensor([float(i % 2) for i in range(101)])

    def driven(t, y):
        return control[int(t / 0.05)] * torch.ones(1)

    t, options = torch.tensor([0.0, 1.0]), {"step_size": 0.05}
    ends = [p.odeint(driven, torch.zeros(1), t, method="euler", options=options) for p in BOTH]
    torch.testing.assert_close(*ends)


@pytest.mark.parametrize(
    ("field", "options", "words"),
    [
        (lambda t, y: y**3 * 100, {}, "underflow in dt"),
        (lambda t, y: y * torch.nan, {}, "underflow in dt"),
        (lambda t, y: torch.sin(1e4 * t) * y, {"max_num_steps": 5}, "max_num_steps exceeded"),
    ],
    ids=["diverges", "nan", "steps"],
)
def test_messages_hold_the_words_that_programs_look_for(field, options, words):
    for package in BOTH:
        with pytest.raises(AssertionError, match=words):
            package.odeint(field, torch.ones(2), T, method="dopri5", options=options)


SHAPES = {
    "row": ((2,), lambda t, y: torch.mm(y.reshape(1, 2), -torch.eye(2))),
    "number for one component": ((1,), lambda t, y: -y[0]),
    "vector for a row": ((1, 3), lambda t, y: -y.reshape(3)),
    "vector for a number": ((), lambda t, y: -y.reshape(1)),
}


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
@pytest.mark.parametrize("case", SHAPES)
def test_derivatives_whose_shape_differs_by_axes_of_length_one(case, method):
    shape, field = SHAPES[case]
    y0 = torch.rand(shape)
    ends = [p.odeint(field, y0, T, method=method) for p in BOTH]
    torch.testing.assert_close(*ends, rtol=1e-5, atol=1e-6)


def test_derivatives_with_other_values_are_still_rejected():
    for wrong in (lambda t, y: y[:1].expand(2, 2), lambda t, y: y[:, :1]):
        with pytest.raises(ValueError, match="must return a derivative like its state"):
            ours.odeint(wrong, torch.ones(3, 2), T)


def test_numbers_and_rows_as_derivatives():
    y0 = torch.ones(2)
    ends = [p.odeint(lambda t, y: 1.0, y0, T, method="euler") for p in BOTH]
    torch.testing.assert_close(*ends)
    state = (torch.rand(3, 2),)
    rows = [p.odeint(lambda t, s: -s[0], state, T, method="rk4")[0] for p in BOTH]
    torch.testing.assert_close(*rows)
    pair = (torch.rand(2), torch.rand(3))
    joined = [p.odeint(lambda t, s: (-torch.cat(s),), pair, T, method="rk4") for p in BOTH]
    for a, b in zip(*joined, strict=True):
        torch.testing.assert_close(a, b)
    with pytest.raises(ValueError, match="must be a tuple"):
        ours.odeint(lambda t, s: (s[0],) * 3, pair, T, method="rk4")


@pytest.mark.parametrize(
    "tolerances",
    [
        {"rtol": 1e-4, "atol": np.array([1e-4, 1e-6])},
        {"rtol": np.float32(1e-4), "atol": np.float64(1e-6)},
        {"rtol": 1e-4, "atol": [1e-4, 1e-6]},
        {"rtol": torch.tensor([1e-4, 1e-5]), "atol": 1e-6},
    ],
    ids=["array", "numpy numbers", "list", "tensor"],
)
def test_tolerances_of_components(tolerances):
    y0 = torch.tensor([1.0, 2.0], dtype=torch.float64)
    as_tensors = {k: torch.as_tensor(v, dtype=torch.float64) for k, v in tolerances.items()}
    found = ours.odeint(negative, y0, T.double(), **tolerances)
    assert torch.equal(found, ours.odeint(negative, y0, T.double(), **as_tensors))
    with pytest.raises(ValueError, match="rtol must be a number, or several; found None"):
        ours.odeint(negative, y0, T.double(), rtol=None)


@pytest.mark.parametrize("tolerance", [None, 0, 0.0])
@pytest.mark.parametrize("function", ["odeint", "odeint_adjoint"])
def test_fixed_steps_use_no_tolerances(function, tolerance):
    field, y0 = Net(), torch.ones(2, requires_grad=True)
    gradients = []
    for value in (tolerance, 1e-3):
        ys = getattr(ours, function)(field, y0, T, method="rk4", rtol=value, atol=value)
        gradients.append(torch.autograd.grad(ys.sum(), [y0, *field.parameters()]))
    assert all(map(torch.equal, *gradients))


def test_a_field_may_hold_a_weak_proxy():
    class Trainer:
        pass

    field, trainer = Net(), Trainer()
    field.trainer = weakref.proxy(trainer)
    alive = ours.odeint_adjoint(field, torch.ones(2), T, method="rk4")
    del trainer
    gc.collect()
    assert torch.equal(alive, ours.odeint_adjoint(field, torch.ones(2), T, method="rk4"))


def test_an_output_at_one_time_is_no_view_of_the_state():
    y0 = torch.ones(2)
    ours.odeint(negative, y0, T[:1]).add_(1)
    assert torch.equal(y0, torch.ones(2))


def test_replicas_of_data_parallel_get_their_gradients():
    gradients = []
    for package in BOTH:
        field = Net()
        replica, linear = field._replicate_for_data_parallel(), field.linear
        replica._modules["linear"] = copy = linear._replicate_for_data_parallel()
        copy.weight, copy.bias = linear.weight * 1, linear.bias * 1
        ys = package.odeint_adjoint(replica, torch.ones(2), T, method="rk4")
        ys.square().sum().backward()
        gradients.append([linear.weight.grad, linear.bias.grad])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_an_event_is_evaluated_once_in_a_fixed_step():
    counts = []
    for package in BOTH:
        calls = []

        def event(t, y, calls=calls):
            calls.append(float(t.detach()))
            return y - 0.5

        time, _ = package.odeint_event(
            negative, torch.ones(1), torch.tensor(0.0), event_fn=event, method="euler",
            options={"step_size": 0.001}, atol=1e-6,
        )  # fmt: skip
        assert float(time) == pytest.approx(0.6931, abs=1e-3)
        counts.append(len(calls))
    assert counts[0] < 1.1 * counts[1]


def test_advice_names_arguments_of_this_interface():
    context = nn.Linear(2, 2)(torch.ones(2))

    class Captured(Net):
        def forward(self, t, y):
            return super().forward(t, y) + context

    with pytest.raises(ValueError, match=r"pass it in adjoint_params or .*, or use odeint"):
        ours.odeint_adjoint(Captured(), torch.ones(2), T, method="rk4")

    class Normalised(Net):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(2)

        def forward(self, t, y):
            return self.norm(super().forward(t, y))

    with pytest.raises(ValueError, match=r"or use odeint$"):
        ours.odeint_adjoint(Normalised(), torch.ones(3, 2), T, method="rk4")


def test_the_adjoint_of_a_tuple_with_numbers_and_its_options_on_the_graph():
    gradients = []
    for package in BOTH:
        field = Net()
        field.forward = lambda t, s, f=field: (torch.tanh(f.linear(s[0])), -s[1])
        y0 = (torch.ones(3, 2, requires_grad=True), torch.tensor(1.0, requires_grad=True))
        ys = package.odeint_adjoint(field, y0, T, rtol=1e-6, atol=1e-6)
        node = ys[0].grad_fn.next_functions[0][0].next_functions[0][0]
        assert callable(node.adjoint_options["norm"])
        loss = ys[0][-1].square().sum() + ys[1][-1]
        gradients.append(torch.autograd.grad(loss, [*y0, *field.parameters()]))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
