"""What happens to the state of a recurrence between two observations.

Each way maps states `(row, 2 * size)`, a mean and a standard deviation side by side, and a gap of
its own for every row to the states after the gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ...nn.augmentation import append_zeros
from ...nn.ode_module import ODEModule
from ...nn.regularizers import RegularizedField
from ...ode import (
    Gradient,
    Solver,
)

__all__ = ["Decay", "GapField", "GapFlow", "Hold"]

FEW_ROWS = 256  # a step of fewer takes about as long


class Hold(nn.Module):
    """Nothing happens."""

    def begin(self, series: int) -> None:
        """A new pass over a batch of so many series begins."""

    def forward(self, state: Tensor, gaps: Tensor, longest: float | None = None) -> Tensor:
        return state


class Decay(Hold):
    """exp(-max(0, w gap + b)) times the state, each unit at its own rate (Che et al. 2018).

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


class RegularizedGapField(RegularizedField):
    """d(h, integrals)/ds = (gap, |gap|) * d(h, integrals)/dt: the integrals are those over t."""

    def __call__(self, s: Tensor, state: Any, noise: Any, *args: Any) -> tuple[Tensor, Tensor]:
        (gaps,) = args
        # Where every gap is 1, s is t.
        velocity, integrands = super().__call__(s, state, noise, torch.ones_like(gaps))
        return gaps * velocity, gaps.abs() * integrands


class GapFlow(ODEModule):
    """The mean follows dh/dt = f(h), all rows at once (Rubanova et al. 2019, algorithm 1).

    With fixed steps each row takes as many as its own gap needs, whatever the others need, so that
    what a model says of a series does not depend on those that it is read with. With steps of
    adaptive size all rows share a solve, and its tolerance.

    A pass is all solves since `begin`. Its penalties are the integrals along every path that they
    take, over the time of the data and as a mean over dimensions, summed and divided by the number
    of series: a mean over the batch of what each series covers.

    Args:
        net: f, on states `(row, size)`.
        solver: How the ODE is solved. Steps are in units of t, and a number of steps is that over
            the whole `span`.
        span: Time from the first to the last point of all series.
        augment: Dimensions that the state of `net` has after those of the mean; they start at
            zero at every gap, and are not returned.
    """

    regularized_field = RegularizedGapField

    def __init__(
        self,
        net: nn.Module,
        solver: Solver,
        gradient: Gradient,
        span: float,
        augment: int = 0,
    ) -> None:
        super().__init__(GapField(net), solver, gradient)
        self.span, self.augment = span, augment
        self.begin(1)

    def begin(self, series: int) -> None:
        """A new pass over a batch of so many series begins."""
        self.solves, self._series = [], series

    def forward(self, state: Tensor, gaps: Tensor, longest: float | None = None) -> Tensor:
        """States after the gaps.

        Args:
            gaps: Shape `(row,)`; negative ones run backwards.
            longest: Of the gaps, when the caller knows it.
        """
        if longest is None:
            longest = float(gaps.abs().max()) if len(gaps) else 0.0
        if longest == 0 or not len(state):
            return state
        mean, std = state.chunk(2, -1)
        mean = mean.float() if torch.is_autocast_enabled(mean.device.type) else mean
        size = mean.shape[-1]
        mean, gaps = append_zeros(mean, self.augment), gaps.to(mean)
        step = self._step_size
        if step is None:
            mean = self._solved(mean, gaps, self._adaptive(longest))
        elif longest <= (1 + 1e-6) * step:
            mean = self._solved(mean, gaps, self._in_steps())
        else:
            mean = self._stepped(mean, gaps, step)
        return torch.cat([mean[..., :size], std], -1)

    def _stepped(self, state: Tensor, gaps: Tensor, step: float) -> Tensor:
        """Each row by as many steps as its gap needs.

        A solve costs as much as many steps of a few rows, which therefore share one: those that
        need fewer steps are carried along, and read where they end. Of many rows half end before
        the others go on.

        Args:
            state: Shape `(row, size + augment)`.
        """
        needed = (gaps.abs() / step - 1e-6).ceil().clamp(min=1)
        needed, order = needed.sort(descending=True, stable=True)
        state, each = state[order], gaps[order] / needed
        steps = needed.int().tolist()  # falling
        left, done, ended = len(state), 0, []
        while left:
            until = steps[left // 2 if left > FEW_ROWS else 0]
            going_on = steps.index(until)
            stops = sorted(set(steps[going_on:left]))
            at = [len(stops)] * going_on + [1 + stops.index(n) for n in steps[going_on:left]]
            times = [0, *(stop - done for stop in stops)]
            state = self._solved(state, each[:left], self._in_steps(), times, at)
            ended.append(state[going_on:])
            state, left, done = state[:going_on], going_on, until
        return torch.cat(ended[::-1])[order.argsort()]

    def _solved(
        self,
        state: Tensor,
        gaps: Tensor,
        solver: Solver,
        times: Sequence[int] = (0, 1),
        at: Sequence[int] | None = None,
    ) -> Tensor:
        """States by one solve, whose penalties are added.

        Args:
            gaps: What a unit of the solve's time is to each row.
            times: Of the solve.
            at: The place in `times` where each row ends; the last when None.
        """
        grid = state.new_tensor(times)
        states, integrals = self.integrate(state, grid, (gaps.unsqueeze(-1),), solver)
        ends = -1 if at is None else (torch.tensor(at, device=state.device), torch.arange(len(at)))
        if integrals is not None:
            self.add_penalties(integrals[ends].sum(0) / self._series)
        return states[ends]

    @property
    def _step_size(self) -> float | None:
        """Of fixed steps, in units of t."""
        if self.solver.num_steps is not None:
            return self.span / self.solver.num_steps
        return self.solver.step_size

    def _in_steps(self) -> Solver:
        """The solver for time that is counted in steps."""
        return replace(self.solver, step_size=1.0, num_steps=None)

    def _adaptive(self, longest: float) -> Solver:
        """The solver for time that is rescaled to [0, 1], where 1 is the longest gap."""
        solver = self.solver
        first = None if solver.first_step is None else solver.first_step / longest
        return replace(
            solver,
            first_step=first,
            min_step=solver.min_step / longest,
            max_step=solver.max_step / longest,
        )
