"""Norms, observers and solvers of the backward solve that a user gives."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from node_experiments.ode import Adjoint, Solver, solve
from tests.grids import pairwise

T = torch.tensor([0.0, 1.0], dtype=torch.float64)


class Decay(nn.Module):
    """y' = -sum(w) y for every tensor of a state; the gradient of sum(y(1)) is -n exp(-1)."""

    def __init__(self, parameters: int):
        super().__init__()
        self.w = nn.Parameter(torch.full((parameters,), 1 / parameters, dtype=torch.float64))

    def forward(self, t: Tensor, y: object) -> object:
        k = -self.w.sum()
        if isinstance(y, dict):
            return {name: k * part for name, part in y.items()}
        return tuple(k * part for part in y) if isinstance(y, tuple) else k * y


def ones(*shape: int) -> Tensor:
    return torch.ones(*shape, dtype=torch.float64)


STATES = {
    "tensor": ones(5, 3),
    "tuple": (ones(1), ones(2)),
    "dict": {"b": ones(2), "a": ones(2, 2)},
    "complex": ones(3).to(torch.complex128),
}


def parts(y: object) -> list[Tensor]:
    if isinstance(y, dict):
        return list(y.values())
    return list(y) if isinstance(y, tuple) else [y]


@pytest.mark.parametrize(
    ("kind", "parameters", "method"),
    pairwise(STATES, [1, 3, 4, 15], ["dopri5", "bosh3", "adams", "trbdf2", "reversible_heun"]),
)
def test_a_norm_sees_nothing_but_states(kind: str, parameters: int, method: str) -> None:
    y0, field = STATES[kind], Decay(parameters)
    solver = Solver(method, rtol=1e-5, atol=1e-7)

    def norm(y: object) -> Tensor:
        assert [p.shape for p in parts(y)] == [p.shape for p in parts(y0)]
        assert not isinstance(y0, dict) or list(y) == list(y0)
        return torch.stack([p.abs().max() for p in parts(y)]).max()

    gradient = Adjoint(seminorm=False)
    y = solve(field, y0, T, solver, gradient, norm=norm).ys
    sum(part[-1].sum().real for part in parts(y)).backward()
    n = sum(p.numel() for p in parts(y0))
    expected = torch.full_like(field.w, -n * math.exp(-1))
    torch.testing.assert_close(field.w.grad, expected, rtol=2e-3, atol=0)


def test_a_norm_without_parameters() -> None:
    y0 = ones(3).requires_grad_()
    y = solve(
        lambda t, y: -y, y0, T, "dopri5", Adjoint(seminorm=False), norm=lambda y: y.abs().max()
    )
    y.ys[-1].sum().backward()
    torch.testing.assert_close(y0.grad, math.exp(-1) * ones(3), rtol=1e-5, atol=0)


@pytest.mark.parametrize("kind", STATES)
def test_norm_of_the_augmented_state(kind: str) -> None:
    y0, field, calls = STATES[kind], Decay(7), []

    def norm(y: object, adjoint: object, gradients: tuple[Tensor, ...]) -> Tensor:
        shapes = [p.shape for p in parts(y0)]
        assert [p.shape for p in parts(y)] == [p.shape for p in parts(adjoint)] == shapes
        assert [g.shape for g in gradients] == [(7,)]
        calls.append(1)
        return torch.stack([x.abs().max() for x in (*parts(y), *parts(adjoint), *gradients)]).max()

    y = solve(field, y0, T, "dopri5", Adjoint(norm=norm)).ys
    sum(part[-1].sum().real for part in parts(y)).backward()
    assert calls
    n = sum(p.numel() for p in parts(y0))
    expected = torch.full_like(field.w, -n * math.exp(-1))
    torch.testing.assert_close(field.w.grad, expected, rtol=1e-5, atol=0)


def test_the_norm_of_the_augmented_state_decides_the_steps() -> None:
    def evaluations(factor: float) -> int:
        field = Decay(2)
        gradient = Adjoint(norm=lambda y, a, g: factor * torch.cat([y, a, *g]).abs().max())
        solution = solve(field, ones(2), T, "dopri5", gradient)
        solution.ys[-1].sum().backward()
        return solution.stats.backward.evaluations

    assert evaluations(1e4) > 2 * evaluations(1.0)


@pytest.mark.parametrize("kind", STATES)
@pytest.mark.parametrize("solver", [Solver("dopri5"), Solver("rk4", num_steps=4)])
def test_steps_of_the_backward_solve_are_watched(kind: str, solver: Solver) -> None:
    y0, steps = STATES[kind], []
    gradient = Adjoint(watch=lambda t, h, pair, accepted: steps.append((t, h, pair, accepted)))
    solution = solve(Decay(2), y0, T, solver, gradient)
    sum(part[-1].sum().real for part in parts(solution.ys)).backward()
    assert steps[0][0] == 1.0
    assert all(h < 0 for _, h, _, _ in steps)
    assert sum(accepted for *_, accepted in steps) == solution.stats.backward.accepted
    assert math.isclose(sum(h for _, h, _, accepted in steps if accepted), -1.0)
    for _, _, (y, adjoint), _ in steps:
        for x in (y, adjoint):
            assert [p.shape for p in parts(x)] == [p.shape for p in parts(y0)]


@pytest.mark.parametrize(
    ("forward", "backward", "tolerance"),
    [
        (Solver("dopri5"), Solver("rk4", step_size=0.05), 1e-5),
        (Solver("dopri5"), Solver("rk4", num_steps=20), 1e-5),
        (Solver("rk4", num_steps=20), Solver("dopri5"), 1e-5),
        (Solver("euler", step_size=1e-3), Solver("adams"), 2e-3),
        (Solver("adams"), Solver("trbdf2"), 1e-4),
        (Solver("dopri5"), Solver("scipy_bdf"), 1e-3),
        (Solver("scipy_vode_adams"), Solver("rk4", step_size=0.05), 1e-4),
        (Solver("leapfrog", step_size=0.01), Solver("tsit5"), 1e-3),
    ],
)
def test_a_solver_for_the_backward_solve(
    forward: Solver, backward: Solver, tolerance: float
) -> None:
    if forward.method == "leapfrog":  # the harmonic oscillator, q(1) = cos 1
        y0 = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
        field = lambda t, y: torch.stack([y[1], -y[0]])  # noqa: E731
        solve(field, y0, T, forward, Adjoint(solver=backward)).ys[-1, 0].backward()
        expected = torch.tensor([math.cos(1), math.sin(1)], dtype=torch.float64)
        torch.testing.assert_close(y0.grad, expected, rtol=tolerance, atol=0)
        return
    field = Decay(2)
    solution = solve(field, ones(2), T, forward, Adjoint(solver=backward))
    solution.ys[-1].sum().backward()
    expected = torch.full_like(field.w, -2 * math.exp(-1))
    torch.testing.assert_close(field.w.grad, expected, rtol=tolerance, atol=0)
    if backward.fixed_steps:
        assert solution.stats.backward.accepted == 20


def test_limits_of_the_backward_solver() -> None:
    solution = solve(Decay(1), ones(1), T, "dopri5", Adjoint(solver=Solver("dopri5", max_steps=1)))
    with pytest.raises(RuntimeError, match="of the backward solve"):
        solution.ys[-1].sum().backward()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(solver=Solver("rk4", step_size=0.1), method="rk4"), "are both set"),
        (dict(solver=Solver("dopri5"), rtol=1e-3), "are both set"),
        (dict(solver=Solver("dopri5", batching="independent")), "batching"),
        (dict(method="rk4"), "step_size"),
        (dict(method="leapfrog"), "takes fixed steps"),
        (dict(method="scipy_bdf", watch=lambda *args: None), "gradient.watch"),
    ],
)
def test_options_that_do_not_fit_are_rejected_before_the_solve(
    options: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        solve(Decay(1), ones(1), T, "dopri5", Adjoint(**options))
