"""What happens to the state of a recurrence between two observations.

Each way maps states `(row, 2 * size)`, a mean and a standard deviation side by side, and a gap of
its own for every row to the states after the gap.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..ode import Gradient, Solver, SolveStats, solve

__all__ = ["Decay", "GapField", "GapFlow", "Hold"]


class Hold(nn.Module):
    """Nothing happens."""

    def begin(self) -> None:
        """A new pass over a batch begins."""

    def forward(self, state: Tensor, gaps: Tensor, longest: float | None = None) -> Tensor:
        return state


class Decay(Hold):
    """exp(-max(0, w gap + b)) times the state, each unit at a rate of its own (Che et al. 2018).

    Args:
        size: Numbers of the mean.
        time_unit: Gaps are read in multiples of this.
    """

    def __init__(self, size: int, time_unit: float) -> None:
        super().__init__()
        self.time_unit = time_unit
        self.rate = nn.Parameter(torch.full((size,), 0.1))
        self.bias = nn.Parameter(torch.full((size,), 0.01))

    def forward(self, state: Tensor, gaps: Tensor, longest: float | None = None) -> Tensor:
        scaled = (gaps / self.time_unit).unsqueeze(-1)
        factor = torch.exp(-(self.rate * scaled + self.bias).clamp(min=0))
        return state * torch.cat([factor, factor], -1)


class GapField(nn.Module):
    """dh/ds = gap * f(h): the time of each row, rescaled so that s runs from 0 to 1."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, s: Tensor, h: Tensor, gaps: Tensor) -> Tensor:
        """States `(row, size)` and gaps `(row, 1)`."""
        return gaps * self.net(h)


class GapFlow(Hold):
    """The mean follows dh/dt = f(h), one solve for all rows (Rubanova et al. 2019, algorithm 1).

    Args:
        net: f, on states `(row, size)`.
        solver: How the ODE is solved. Steps are in units of t, and a number of steps is that over
            the whole `span`: a row with a shorter gap takes as many as the longest gap needs.
        span: Time from the first to the last point of all series.

    Attributes:
        stats: Evaluations and steps of all solves since `begin`.
    """

    def __init__(self, net: nn.Module, solver: Solver, gradient: Gradient, span: float) -> None:
        super().__init__()
        self.field = GapField(net)
        self.solver, self.gradient, self.span = solver, gradient, span
        self._solves: list[SolveStats] = []

    def begin(self) -> None:
        self._solves = []

    @property
    def stats(self) -> SolveStats:
        total = SolveStats()
        for stats in self._solves:
            for whole, part in ((total.forward, stats.forward), (total.backward, stats.backward)):
                whole.evaluations += part.evaluations
                whole.accepted += part.accepted
                whole.rejected += part.rejected
                whole.smallest_step = min(whole.smallest_step, part.smallest_step)
                whole.largest_step = max(whole.largest_step, part.largest_step)
        return total

    def forward(self, state: Tensor, gaps: Tensor, longest: float | None = None) -> Tensor:
        """States after the gaps.

        Args:
            gaps: Shape `(row,)`; negative ones run backwards.
            longest: Of the gaps, when the caller knows it; it sets the number of steps.
        """
        if longest is None:
            longest = float(gaps.abs().max()) if len(gaps) else 0.0
        if longest == 0 or not len(state):
            return state
        mean, std = state.chunk(2, -1)
        mean = mean.float() if torch.is_autocast_enabled(mean.device.type) else mean
        unit = mean.new_tensor([0.0, 1.0])
        gaps = gaps.to(mean).unsqueeze(-1)
        solution = solve(
            self.field, mean, unit, self._solver(longest), self.gradient, args=(gaps,)
        )
        self._solves.append(solution.stats)
        return torch.cat([solution.ys[-1], std], -1)

    def _solver(self, longest: float) -> Solver:
        """The solver for time that is rescaled to [0, 1], where 1 is the longest gap."""
        solver = self.solver
        step = solver.step_size
        if solver.num_steps is not None:
            step = self.span / solver.num_steps
        if step is not None:
            steps = max(1, math.ceil(longest / step - 1e-6))
            return replace(solver, step_size=None, num_steps=steps)
        first = None if solver.first_step is None else solver.first_step / longest
        return replace(
            solver,
            first_step=first,
            min_step=solver.min_step / longest,
            max_step=solver.max_step / longest,
        )
