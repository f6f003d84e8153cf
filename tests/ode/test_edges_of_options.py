"""Options at the edges of what they are for: each is heeded, or rejected in one line."""

import math

import pytest
import torch

from node_experiments.ode import ControlInput, SolveError, Solver, solve
from node_experiments.ode.methods.newton import gmres


def decay(t, y):
    return -y


@pytest.mark.parametrize("part", [torch.float32, torch.int64])
def test_parts_of_a_derivative_keep_the_precision_of_their_state(part):
    y0 = (torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    with pytest.raises(ValueError, match=rf"derivative\[0\] must be .*float64; found {part}"):
        solve(lambda t, y: (-y[0].to(part), -y[1]), y0, [0.0, 1.0])
    halves = solve(lambda t, y: (-y[0].bfloat16(), -y[1]), y0, [0.0, 1.0]).ys
    assert float(halves[1][-1]) == pytest.approx(math.exp(-1), rel=1e-3)


@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_events_may_be_any_iterable(kind):
    solution = solve(decay, torch.ones(1), [0.0, 5.0], events=kind([lambda t, y: y - 0.5]))
    assert float(solution.ts[-1]) == pytest.approx(math.log(2), rel=1e-3)


@pytest.mark.parametrize("method", ["reversible_heun", "asynchronous_leapfrog", "leapfrog"])
def test_steps_that_carry_a_derivative_over_are_not_perturbed(method):
    with pytest.raises(ValueError, match="perturb=True is not for"):
        Solver(method, num_steps=2, perturb=True)


def test_samples_may_take_as_many_rounds_as_there_are():
    solver = Solver("dopri5", batching="independent", first_step=1.0, max_steps=1)
    assert solve(lambda t, y: 0 * y, torch.ones(2, 1), [0.0, 1.0], solver).status.ok
    with pytest.raises(SolveError, match="max_steps"):
        solve(lambda t, y: -50 * y, torch.ones(2, 1), [0.0, 1.0], solver)


def test_scipys_steps_are_counted_for_each_solve():
    """Those of one backward pass are no business of the next."""
    y0 = torch.ones(1, dtype=torch.float64, requires_grad=True)
    probe = solve(decay, y0, [0.0, 1.0], Solver("scipy_rk45", rtol=1e-6, atol=1e-6))
    probe.ys[-1].sum().backward()
    most = max(probe.stats.forward.accepted, probe.stats.backward.accepted)
    solver = Solver("scipy_rk45", rtol=1e-6, atol=1e-6, max_steps=most)
    ys = solve(decay, y0, [0.0, 1.0], solver).ys
    for _ in range(3):
        ys[-1].sum().backward(retain_graph=True)
    with pytest.raises(SolveError, match="max_steps"):
        solve(decay, y0, [0.0, 1.0], Solver("scipy_rk45", rtol=1e-6, atol=1e-6, max_steps=2))


@pytest.mark.parametrize("method", ["scipy_rk45", "scipy_lsoda", "dopri5"])
def test_a_first_step_longer_than_an_interval_is_shortened(method):
    y0 = torch.ones(1, dtype=torch.float64, requires_grad=True)
    solver = Solver(method, first_step=0.5, rtol=1e-8, atol=1e-8)
    solve(decay, y0, torch.linspace(0, 1, 11), solver).ys[-1].sum().backward()
    assert float(y0.grad) == pytest.approx(math.exp(-1), rel=1e-5)


@pytest.mark.parametrize("batching", ["joint", "independent"])
def test_an_estimated_first_step_is_no_shorter_than_the_shortest(batching):
    """The estimate is cautious: a step of the least size meets the tolerance."""
    solver = Solver("dopri5", min_step=0.05, batching=batching)
    solution = solve(decay, torch.ones(3, 1), [0.0, 10.0], solver)
    torch.testing.assert_close(
        solution.ys[-1], torch.full((3, 1), math.exp(-10)), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("gradient", ["adjoint", "backprop"])
def test_what_watches_may_draw_numbers(gradient):
    w = torch.ones(1, requires_grad=True)
    draws = []
    solution = solve(
        lambda t, y: -w * y, torch.ones(1), [0.0, 1.0], gradient=gradient,
        watch=lambda *step: draws.append(torch.rand(1)),
    )  # fmt: skip
    solution.ys[-1].sum().backward()
    assert draws
    assert float(w.grad) == pytest.approx(-math.exp(-1), rel=1e-2)
    # A field that draws is still found out.
    noisy = solve(
        lambda t, y: -y + torch.randn(1), torch.ones(1), [0.0, 1.0], gradient=gradient,
        watch=lambda *step: draws.append(torch.rand(1)),
    )  # fmt: skip
    assert noisy.status.ok


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_a_reversible_solve_is_the_same_one_without_gradients(method):
    w = torch.ones(1, dtype=torch.float64, requires_grad=True)
    y0 = torch.ones(2, dtype=torch.float64)
    solver = Solver(method, num_steps=4)

    def field(t, y):
        return -w * y * (1 + t)

    with_graph = solve(field, y0, [0.0, 1.0], solver, "reversible").ys
    with torch.no_grad():
        without = solve(field, y0, [0.0, 1.0], solver, "reversible").ys
    torch.testing.assert_close(with_graph, without, rtol=1e-14, atol=0)
    with torch.no_grad():
        other = solve(field, y0, [0.0, 1.0], solver, "backprop").ys
    assert float((other - without).abs().max()) > 1e-9
    # The event is on the solution that is returned.
    fine = Solver(method, num_steps=200)
    events = [lambda t, y: y[0] - 0.5]
    solution = solve(field, y0, [0.0, 2.0], fine, "reversible", events=events)
    assert float(solution.ys[-1][0].detach()) == pytest.approx(0.5, abs=1e-5)


def test_a_control_input_is_read_in_the_precision_of_the_time():
    """A step ends just before a jump, by less than the values can tell."""
    control = ControlInput(torch.tensor([0.0, 1.0]), torch.tensor([[1.0], [3.0]]), "constant")
    before = torch.tensor(1.0 - 2e-16, dtype=torch.float64)
    assert float(control(before)) == 1.0
    assert float(control(torch.tensor(1.0, dtype=torch.float64))) == 3.0
    assert control(before).dtype == torch.float32
    solution = solve(
        lambda t, y: control(t).double() * torch.ones_like(y),
        torch.zeros(1, dtype=torch.float64), [0.0, 2.0],
        Solver("dopri5", jump_t=control.jump_t, rtol=1e-9, atol=1e-9),
    )  # fmt: skip
    assert float(solution.ys[-1]) == pytest.approx(4.0, abs=1e-9)
    assert solution.stats.forward.rejected == 0


def test_gmres_of_large_numbers():
    generator = torch.Generator().manual_seed(0)
    matrix = torch.eye(40, dtype=torch.float64) + 0.1 * torch.randn(
        40, 40, dtype=torch.float64, generator=generator
    )
    b = 1e16 * torch.randn(40, dtype=torch.float64, generator=generator)
    found = gmres(lambda x: matrix @ x, b, 1e-10)
    torch.testing.assert_close(matrix @ found, b, rtol=1e-8, atol=1e8)
