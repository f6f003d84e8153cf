"""Random numbers that another thread draws while a solve runs are not the vector field's."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import torch

from node_experiments.ode import Solver, solve

T = torch.tensor([0.0, 1.0])
Y0 = torch.ones(2)


@contextmanager
def another_thread():
    """A thread that draws a number whenever it is asked to, as one that loads data."""
    ask, answer = threading.Semaphore(0), threading.Semaphore(0)
    running = True

    def work():
        while True:
            ask.acquire()
            if not running:
                return
            torch.rand(())
            answer.release()

    def draw():
        ask.release()
        answer.acquire()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield draw
    finally:
        running = False
        ask.release()
        thread.join()


@pytest.mark.parametrize("method", ["dopri5", "bosh3"])
def test_numbers_drawn_between_the_first_evaluations(method):
    """They are taken neither for the vector field's nor are they drawn again."""
    expected = solve(lambda t, y: -y, Y0, T, method).ys
    torch.manual_seed(0)
    with another_thread() as draw:
        calls = []

        def field(t, y):
            calls.append(t)
            if len(calls) == 1:
                draw()
            return -y

        torch.testing.assert_close(solve(field, Y0, T, method).ys, expected, rtol=0, atol=0)
    after = torch.rand(())
    torch.manual_seed(0)
    torch.rand(())
    assert torch.equal(after, torch.rand(()))


def test_numbers_drawn_later_are_told_and_the_solution_is_right():
    with another_thread() as draw:
        calls = []

        def field(t, y):
            calls.append(t)
            if len(calls) == 10:
                draw()
            return -y

        with pytest.warns(UserWarning, match="by another thread or by the vector field"):
            solution = solve(field, Y0, T, Solver("rk4", num_steps=8))
    expected = solve(lambda t, y: -y, Y0, T, Solver("rk4", num_steps=8)).ys
    torch.testing.assert_close(solution.ys, expected, rtol=0, atol=0)


@pytest.mark.parametrize("draws", [torch.rand_like, lambda y: torch.dropout(y, 0.5, True)])
@pytest.mark.parametrize("gradient", ["adjoint", "discrete"])
def test_a_vector_field_that_draws_beside_another_thread_draws_the_same_again(draws, gradient):
    with another_thread():
        torch.manual_seed(0)
        y0 = Y0.clone().requires_grad_()
        seen = []

        def field(t, y):
            noise = draws(torch.ones_like(y))
            seen.append(noise.clone())
            return noise * y

        ys = solve(field, y0, T, Solver("rk4", num_steps=4), gradient).ys
        (grad,) = torch.autograd.grad(ys[-1].sum(), y0)
    assert all(torch.equal(noise, seen[0]) for noise in seen)
    torch.testing.assert_close(grad, ys[-1].detach() / Y0)


def test_without_another_thread_late_draws_are_rejected(monkeypatch):
    monkeypatch.setattr(threading, "active_count", lambda: 1)  # the test runner has some
    calls = []

    def field(t, y):
        calls.append(t)
        return -y + (0 * torch.rand(()) if len(calls) > 5 else 0)

    with pytest.raises(ValueError, match="drew random numbers at some evaluations and none at"):
        solve(field, Y0, T, Solver("rk4", num_steps=8))


@pytest.mark.parametrize("gradient", ["discrete", "checkpoint", "adjoint", "interpolated"])
def test_hooks_of_parameters_run_once_whatever_other_threads_do(gradient):
    torch.manual_seed(0)
    net = torch.nn.Linear(2, 2)
    plain = copy.deepcopy(net)
    for p in net.parameters():
        p.register_hook(lambda g: 2 * g)

    def gradients(net, y, method=gradient):
        solver = Solver("dopri5", rtol=1e-4)
        ys = solve(lambda t, y: torch.tanh(net(y)), y, T, solver, method).ys
        return torch.autograd.grad(ys[-1].sum(), list(net.parameters()))

    starts = list(torch.randn(16, 3, 2))
    with ThreadPoolExecutor(4) as pool:
        solved = [pool.submit(gradients, net, y) for y in starts]
        recorded = [pool.submit(gradients, net, y, "backprop") for y in starts]
        for y, one, other in zip(starts, solved, recorded, strict=True):
            for found, direct, expected in zip(
                one.result(), other.result(), gradients(plain, y), strict=True
            ):
                torch.testing.assert_close(found, 2 * expected)
                torch.testing.assert_close(direct, 2 * expected, rtol=1e-2, atol=1e-2)


def test_hooks_can_be_removed_and_added_after_a_backward_pass():
    weight = torch.tensor(0.5, requires_grad=True)
    calls = []
    handles = [weight.register_hook(lambda g, i=i: calls.append(i)) for i in range(2)]

    def called():
        calls.clear()
        solution = solve(lambda t, y: -weight * y, Y0, T, "dopri5", "discrete")
        solution.ys[-1].sum().backward()
        return list(calls)

    assert called() == [0, 1]
    handles[0].remove()
    assert called() == [1]
    handles.append(weight.register_hook(lambda g: calls.append(2)))
    assert called() == [1, 2]
    for handle in handles[1:]:
        handle.remove()
    assert called() == []


def test_hooks_of_other_tensors_run_inside_the_field():
    """A hook that one solve disabled still runs where another field differentiates by itself."""
    inner = torch.tensor(2.0, requires_grad=True)
    inner.register_hook(lambda g: 3 * g)
    y = Y0.clone().requires_grad_()
    solve(lambda t, y: -inner * y, y, T, "dopri5", "discrete").ys.sum().backward()

    def field(t, y):
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(inner**2, inner)
        return -slope.detach() / 12 * y

    rate = torch.tensor(1.0, requires_grad=True)

    def scaled(t, y):
        return rate * field(t, y)

    solution = solve(scaled, y, T, "dopri5", "discrete", parameters=[rate])
    (grad,) = torch.autograd.grad(solution.ys[-1].sum(), rate)
    torch.testing.assert_close(grad, -2 * torch.exp(torch.tensor(-1.0)), rtol=1e-3, atol=1e-3)
