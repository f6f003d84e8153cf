"""Properties that hold for every problem, tried on random ones."""

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from node_experiments.ode import Solver, solve

METHODS = ["dopri5", "tsit5", "vern7", "dopri8", "bosh3", "adams", "kvaerno5"]
FAST = settings(max_examples=12, deadline=None)


class Network:
    """A small random vector field that depends on time."""

    def __init__(self, seed, size=3):
        generator = torch.Generator().manual_seed(seed)
        self.a = torch.randn(size, size, generator=generator, dtype=torch.float64) / size**0.5
        self.b = torch.randn(size, generator=generator, dtype=torch.float64)
        self.y0 = torch.randn(4, size, generator=generator, dtype=torch.float64)

    def __call__(self, t, y):
        return torch.tanh(y @ self.a.T + self.b * torch.sin(2 * t))


seeds = st.integers(0, 10_000)
methods = st.sampled_from(METHODS)
spans = st.floats(0.1, 3.0)


def times(*values):
    return torch.tensor(values, dtype=torch.float64)


def tight(method):
    tolerance = 1e-6 if method == "bosh3" else 1e-9
    return Solver(method, rtol=tolerance, atol=tolerance), 1000 * tolerance


@FAST
@given(seeds, methods, spans)
def test_there_and_back(seed, method, span):
    field = Network(seed)
    solver, slack = tight(method)
    there = solve(field, field.y0, times(0, span), solver).ys[-1]
    back = solve(field, there, times(span, 0), solver).ys[-1]
    torch.testing.assert_close(back, field.y0, rtol=slack, atol=slack)


@FAST
@given(seeds, methods, spans, st.floats(0.05, 0.95))
def test_splitting_the_interval(seed, method, span, place):
    field = Network(seed)
    solver, slack = tight(method)
    whole = solve(field, field.y0, times(0, span), solver).ys[-1]
    middle = solve(field, field.y0, times(0, place * span), solver).ys[-1]
    split = solve(field, middle, times(place * span, span), solver).ys[-1]
    torch.testing.assert_close(split, whole, rtol=slack, atol=slack)


@FAST
@given(seeds, st.sampled_from(["dopri5", "tsit5", "dopri8"]), spans, st.integers(-3, 3))
def test_an_affine_change_of_time_by_a_power_of_two_changes_nothing_but_time(
    seed, method, span, power
):
    field, scale = Network(seed), 2.0**power

    def scaled(s, y):
        return field(s / scale, y) / scale

    solver = Solver(method, rtol=1e-5, atol=1e-5, first_step=0.01)
    other = Solver(method, rtol=1e-5, atol=1e-5, first_step=0.01 * scale)
    plain = solve(field, field.y0, times(0, span), solver)
    slow = solve(scaled, field.y0, times(0, span * scale), other)
    torch.testing.assert_close(slow.ys, plain.ys, rtol=1e-13, atol=1e-13)
    assert slow.stats.forward.accepted == plain.stats.forward.accepted


@FAST
@given(seeds, methods, st.permutations(range(4)))
def test_permuting_the_batch_permutes_the_answer(seed, method, order):
    field = Network(seed)
    solver, slack = tight(method)
    plain = solve(field, field.y0, times(0, 1.0), solver).ys
    permuted = solve(field, field.y0[list(order)], times(0, 1.0), solver).ys
    torch.testing.assert_close(permuted, plain[:, list(order)], rtol=slack, atol=slack)


@FAST
@given(seeds, st.sampled_from(["dopri5", "bosh3", "vern7"]), spans)
def test_independent_batching_equals_solving_one_by_one(seed, method, span):
    field = Network(seed)

    def samples(t, y):
        return field(t.reshape(-1, 1), y)

    ts = times(0, 0.3 * span, span)
    together = solve(
        samples, field.y0, ts, Solver(method, rtol=1e-5, atol=1e-6, batching="independent")
    )
    for i in range(4):
        alone = solve(field, field.y0[i : i + 1], ts, Solver(method, rtol=1e-5, atol=1e-6))
        torch.testing.assert_close(together.ys[:, i], alone.ys[:, 0], rtol=1e-9, atol=1e-9)


@FAST
@given(seeds, methods, st.sampled_from(["i", "pi", "pid"]))
def test_a_tighter_tolerance_gives_a_smaller_error(seed, method, controller):
    assume(method != "adams" or controller == "i")  # it controls its steps by their order
    field = Network(seed)
    exact = solve(field, field.y0, times(0, 3.0), Solver("dopri8", rtol=1e-13, atol=1e-13)).ys[-1]

    def error(tolerance):
        solver = Solver(method, rtol=tolerance, atol=tolerance, controller=controller)
        return float((solve(field, field.y0, times(0, 3.0), solver).ys[-1] - exact).abs().max())

    loose, strict = error(1e-3), error(1e-6)
    assert strict < 1e-3
    assert strict < max(0.2 * loose, 1e-6)
