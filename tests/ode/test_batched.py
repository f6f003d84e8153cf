"""A step size for every sample: the same answers as one by one."""

import math
import random

import pytest
import torch

from node_experiments.ode import Checkpoint, Discrete, SolveError, Solver, Status, solve
from node_experiments.ode.sample_step_size_control import SampleControl
from node_experiments.ode.step_size_control import AdaptiveControl
from tests.grids import by_turns


def field(t, y):
    """Van der Pol with an individual stiffness for every sample, which is part of its state."""
    a, b, mu = y.unbind(-1)
    t = t.reshape(-1)
    return torch.stack([b, mu * (1 - a**2) * b - a + 0.1 * torch.sin(t), 0 * mu], -1)


def samples(count=5):
    torch.manual_seed(0)
    y0 = torch.randn(count, 3, dtype=torch.float64)
    y0[:, 2] = torch.linspace(0.1, 20, count)
    return y0


T = torch.linspace(0, 3, 7, dtype=torch.float64)
SINGLE = Solver("tsit5", batching="independent")


@pytest.mark.parametrize(
    ("method", "controller"),
    by_turns(
        ["dopri5", "bosh3", "vern7", "adaptive_heun", "fehlberg45"],
        ["i", "pi", "pid"],
        kept=["dopri5", "bosh3", "adaptive_heun"],
    ),
)
def test_every_sample_gets_the_answer_that_it_gets_alone(method, controller):
    y0 = samples()
    options = {"rtol": 1e-4, "atol": 1e-5, "controller": controller}
    together = solve(field, y0, T, Solver(method, **options, batching="independent"))
    accepted = 0
    for i, start in enumerate(y0):
        alone = solve(field, start.unsqueeze(0), T, Solver(method, **options))
        torch.testing.assert_close(together.ys[:, i], alone.ys[:, 0], rtol=1e-6, atol=2e-6)
        accepted += alone.stats.forward.accepted
    assert together.stats.forward.accepted == accepted


def test_finished_samples_leave_the_batch():
    sizes = []

    def counting(t, y):
        sizes.append(len(y))
        return field(t, y)

    solve(counting, samples(), T, Solver(rtol=1e-6, batching="independent"))
    assert sizes[0] == 5
    assert sizes[-1] == 1
    sizes.remove(2)  # at the start: whether the samples are treated one by one
    sizes.remove(1)
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (lambda t, y: y.mean(0) - y, "of . of 5 samples it differs by"),
        (lambda t, y: -torch.cumsum(y, 0) * y, "of . of 5 samples it differs by"),
        (lambda t, y: torch.roll(y, 1, 0) - y, "of . of 5 samples it differs by"),
        (lambda t, y: y[:1] - y, "of . of 5 samples it differs by"),
        (lambda t, y: -torch.arange(5.0).double().view(5, 1) * y, "of 2 of 5 samples it raised: "),
    ],
)
def test_samples_that_depend_on_others_are_rejected(field, said):
    with pytest.raises(ValueError, match=f"treats the samples one by one.*; {said}"):
        solve(field, samples(), T, Solver(batching="independent"))


def test_random_numbers_differ_in_batches_of_other_sizes():
    noisy = lambda t, y: -y * torch.nn.functional.dropout(torch.ones_like(y))  # noqa: E731
    assert solve(noisy, samples(), T, Solver(batching="independent")).status.ok


def test_many_output_times_do_not_change_the_evaluations():
    def stats(count):
        times = torch.linspace(0, 3, count, dtype=torch.float64)
        # The interpolant of this method needs no further evaluations.
        return solve(field, samples(), times, Solver(batching="independent")).stats.forward

    assert stats(500) == stats(2)


def test_backwards_in_time():
    y0 = samples()
    back = torch.linspace(0, -0.2, 4, dtype=torch.float64)
    together = solve(field, y0, back, Solver(rtol=1e-5, batching="independent"))
    alone = solve(field, y0[2:3], back, Solver(rtol=1e-5))
    torch.testing.assert_close(together.ys[:, 2], alone.ys[:, 0], rtol=1e-9, atol=1e-9)


def test_gradients_are_those_of_solving_one_by_one():
    y0 = samples(3).requires_grad_()
    options = {"rtol": 1e-4, "atol": 1e-5}
    together = solve(field, y0, T, Solver(**options, batching="independent"), "backprop")
    (found,) = torch.autograd.grad(together.ys.square().sum(), y0)
    expected = torch.zeros_like(y0)
    for i in range(3):
        alone = solve(field, y0[i : i + 1], T, Solver(**options), "backprop")
        expected += torch.autograd.grad(alone.ys.square().sum(), y0)[0]
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


def test_a_failing_sample_ends_the_solve_with_its_status():
    def explode(t, y):
        return y**2

    y0 = torch.tensor([[0.1], [1.0]], dtype=torch.float64)
    with pytest.raises(SolveError) as caught:
        solve(explode, y0, T, Solver(batching="independent", max_steps=500))
    status = caught.value.solution.status
    assert status in (Status.STEP_UNDERFLOW, Status.NON_FINITE, Status.MAX_STEPS)


def test_the_sample_that_is_furthest_behind_is_named():
    """Both need more steps than they may take, and the first ten times as many."""

    def waves(t, y):
        frequency = y[:, 1]
        wave = frequency * torch.cos(frequency * t.reshape(-1))
        return torch.stack([wave, torch.zeros_like(wave)], -1)

    y0 = torch.tensor([[0.0, 3000.0], [0.0, 300.0]], dtype=torch.float64)
    reached = []
    for start, batching in ((y0, "independent"), (y0[:1], "joint")):
        with pytest.raises(SolveError) as caught:
            solve(waves, start, T, Solver(batching=batching, max_steps=100))
        reached.append(float(str(caught.value).partition("stopped at t=")[2].split()[0]))
    assert reached[0] == pytest.approx(reached[1], rel=1e-4)


@pytest.mark.parametrize("back", [False, True])
def test_the_sample_that_failed_is_named_and_not_one_that_is_slow(back):
    def field(t, y):
        t = t.reshape(-1)
        slow = 3000 * torch.cos(3000 * t)
        fails = torch.where(t.abs() > 0.5, math.nan, 1.0)
        return torch.where(y[:, 1] > 0, slow, fails).unsqueeze(1) * torch.tensor([1.0, 0.0])

    y0 = torch.tensor([[0.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    with pytest.raises(SolveError) as caught:
        solve(field, y0, -T if back else T, Solver(batching="independent"))
    assert caught.value.solution.status is Status.NON_FINITE
    reached = float(str(caught.value).partition("stopped at t=")[2].split()[0])
    assert reached == pytest.approx(-0.5 if back else 0.5, rel=1e-3)


@pytest.mark.parametrize(
    ("method", "gradient"),
    by_turns(
        # First derivatives are the last stage, another evaluation, predicted; dense stages.
        ["dopri5", "fehlberg45", "adaptive_heun", "vern7", "tsit5", "bosh3"],
        ["discrete", Checkpoint(3), Checkpoint()],
        kept=["dopri5", "adaptive_heun", "vern7"],
    ),
)
@pytest.mark.parametrize("end", [3.0, -0.2])
def test_recorded_steps_have_the_gradient_of_backpropagation(method, gradient, end):
    """Of states inside steps, with respect to state, argument and parameter; rejections too."""
    solver = Solver(method, rtol=1e-4, atol=1e-5, batching="independent", first_step=1.0)
    weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    times = torch.linspace(0, end, 7, dtype=torch.float64)

    def gradients(way):
        y0 = samples().requires_grad_()
        shift = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
        solution = solve(
            lambda t, y, shift: field(t, y) * weight + shift * y,
            y0,
            times,
            solver,
            way,
            args=(shift,),
        )
        assert solution.stats.forward.rejected > 0
        loss = (solution.ys.sin() * torch.arange(1.0, 8.0).view(-1, 1, 1)).sum()
        return torch.autograd.grad(loss, [y0, shift, weight])

    for found, expected in zip(gradients(gradient), gradients("backprop"), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_recorded_steps_of_nested_states_and_of_single_numbers():
    rates = torch.tensor([0.1, 1.0, 20.0], dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    solver = Solver("tsit5", rtol=1e-9, atol=1e-11, batching="independent")

    def decay(t, y):
        return -y[1].view(-1) * y[0], 0 * y[1]

    y0 = torch.ones(3, dtype=torch.float64)
    ys, _ = solve(decay, (y0, rates[:, None]), t, solver, "discrete").ys
    (found,) = torch.autograd.grad(ys.sum(), rates)
    expected = -(t[:, None] * torch.exp(-rates * t[:, None])).sum(0)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-6, atol=1e-8)


def test_checkpoints_bound_what_is_kept():
    def kept(gradient):
        tensors = []
        y0 = samples().requires_grad_()
        keep = torch.autograd.graph.saved_tensors_hooks(
            lambda x: tensors.append(x) or x, tensors.append
        )
        with keep:
            solve(field, y0, T, Solver("dopri5", rtol=1e-6, batching="independent"), gradient)
        return sum(x.numel() for x in tensors)

    assert kept(Checkpoint(4)) <= 4 * samples().numel()
    assert kept("discrete") > 20 * samples().numel()
    assert kept("backprop") > 10 * kept("discrete")


def test_recorded_steps_find_what_they_differentiate():
    weight = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    solver = Solver(batching="independent")
    solution = solve(lambda t, y: -weight * y, samples(2), T, solver, "discrete")
    (found,) = torch.autograd.grad(solution.ys[-1].sum(), weight)
    (expected,) = torch.autograd.grad((samples(2) * torch.exp(-weight * T[-1])).sum(), weight)
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-5)


def test_recorded_steps_reject_a_tensor_whose_gradient_would_be_lost():
    encoder, code = torch.nn.Linear(3, 3).double(), {}
    decay = lambda t, y: -y * code["rate"]  # noqa: E731
    y0, solver = samples(2).requires_grad_(), Solver(batching="independent")
    code["rate"] = torch.ones(3, dtype=torch.float64)
    solution = solve(decay, y0, T, solver, "discrete")
    code["rate"] = code["rate"] + 0 * encoder(code["rate"])  # the same values, in a graph
    with pytest.raises(ValueError, match="gradient would be lost"):
        solution.ys[-1].sum().backward()


def test_recorded_steps_cannot_draw_other_numbers():
    noisy = lambda t, y: -y * torch.nn.functional.dropout(torch.ones_like(y))  # noqa: E731
    y0 = samples().requires_grad_()
    with pytest.raises(ValueError, match=r"draws other random numbers.*gradient='backprop'"):
        solve(noisy, y0, T, Solver(batching="independent"), "discrete")


@pytest.mark.parametrize(
    ("options", "gradient", "message"),
    [
        ({"num_steps": 3}, "backprop", "adaptive steps"),
        ({}, Discrete(retain_graphs=True), r"gradient\.retain_graphs=True is not for"),
        *(
            ({}, name, f"'discrete' or 'checkpoint'; found gradient='{name}'; use")
            for name in ("adjoint", "interpolated", "reversible")
        ),
    ],
)
def test_what_it_cannot_do_is_rejected(options, gradient, message):
    y0 = samples(2).requires_grad_()
    with pytest.raises(ValueError, match=message):
        solve(field, y0, T, Solver(**options, batching="independent"), gradient)
    with pytest.raises(ValueError, match="explicit Runge-Kutta"):
        Solver("kvaerno3", batching="independent")


@pytest.mark.parametrize("method", ["dopri5", "bosh3", "vern7", "fehlberg45"])
def test_a_rejected_step_that_overflowed_is_in_no_gradient(method):
    """In float32 the first trial of the second sample is infinite, and so is its derivative."""
    y0 = torch.tensor([[1.0], [20.0]], requires_grad=True)
    t = torch.tensor([0.0, 0.5, 1.0])
    solver = Solver(method, batching="independent", first_step=0.5)
    solution = solve(lambda t, y: -torch.sinh(y), y0, t, solver, "backprop")
    assert solution.stats.forward.rejected > 0
    (found,) = torch.autograd.grad(solution.ys[-1].sum(), y0)
    # tanh(y / 2) = tanh(y0 / 2) exp(-t)
    start = y0.detach().double().requires_grad_()
    exact = 2 * torch.atanh(torch.tanh(start / 2) * math.exp(-1))
    (wanted,) = torch.autograd.grad(exact.sum(), start)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-3, atol=1e-4)


def test_times_that_require_a_gradient_are_rejected():
    t = T.clone().requires_grad_()
    with pytest.raises(ValueError, match="no gradient with respect to t"):
        solve(field, samples(2), t, Solver(batching="independent"), "backprop")


@pytest.mark.parametrize("controller", ["i", "pi", "pid"])
def test_the_control_of_a_sample_is_that_of_a_whole_state(controller):
    rng = random.Random(0)
    solver = Solver(controller=controller, max_step=0.3, min_factor=0.3)
    whole = AdaptiveControl(0.0, 1e6, 0.1, 5, solver)
    samples = SampleControl(0.0, 1e6, torch.full((2,), 0.1, dtype=torch.float64), 5, solver)
    for _ in range(200):
        rare = rng.choice([math.inf, math.nan, 0.0])
        ratio = rare if rng.random() < 0.1 else 10 ** rng.uniform(-4, 1)
        h = whole.t_next - whole.t
        assert (samples.t_next - samples.t).tolist() == pytest.approx([h, h], rel=1e-9)
        accepted = whole.judge(h, ratio)
        every = samples.judge(samples.t_next - samples.t, torch.full_like(samples.h, ratio))
        assert every.tolist() == [accepted] * 2


@pytest.mark.parametrize("method", ["dopri5", "bosh3", "tsit5"])
def test_samples_may_be_single_numbers(method):
    """A state of shape (batch,), also beside others, forward and backward in time."""
    rates = torch.tensor([0.1, 1.0, 20.0], dtype=torch.float64)
    solver = Solver(method, rtol=1e-7, atol=1e-9, batching="independent")
    y0 = torch.ones(3, dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    wanted = torch.exp(-rates * t[:, None])
    both = solve(
        lambda t, y: (-y[1].view(-1) * y[0], 0 * y[1]), (y0, rates[:, None]), t, solver, "backprop"
    )
    alone = solve(lambda t, y: -y, y0, t, solver, "backprop")
    assert torch.allclose(both.ys[0], wanted, atol=1e-5)
    assert torch.allclose(alone.ys, torch.exp(-t)[:, None].expand(3, 3), atol=1e-5)
    (grad,) = torch.autograd.grad(alone.ys[-1].sum(), y0)
    assert torch.allclose(grad, torch.exp(-t[-1]).expand(3), atol=1e-5)
    back = solve(lambda t, y: -y, alone.ys[-1].detach(), t.flip(0), solver, "backprop")
    assert torch.allclose(back.ys[-1], torch.ones(3, dtype=torch.float64), atol=1e-5)


def test_single_numbers_that_stop_being_finite():
    def field(t, y):
        return torch.where(t > 0.5, math.nan, -1.0) * y

    with pytest.raises(SolveError, match=r"t=0\.5"):
        solve(field, torch.ones(3, dtype=torch.float64), T, SINGLE)


def test_a_coupling_that_is_zero_at_the_start_is_seen():
    def field(t, y):
        return -y + torch.sin(t).reshape(-1, 1) * (y.mean(0, keepdim=True) - y)

    with pytest.raises(ValueError, match="treats the samples one by one"):
        solve(field, torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([0.0, 5.0]), SINGLE)
