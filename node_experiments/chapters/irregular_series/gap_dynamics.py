"""Dynamics of a recurrent state between two observations.

Each module maps states `(row, 2 * size)`, a mean and a standard deviation side by side, and a
separate gap for every row to the states after the gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ...nn.augmentation import append_zeros
from ...nn.ode_module import ODEModule
from ...nn.regularizers import RegularizedField
from ...ode import Gradient, Solver

__all__ = ["ConstantState", "Decay", "GapField", "GapFlow"]

FEW_ROWS = 256  # a step of fewer rows takes about the same time
FEWEST_COMPILED_ROWS = 32  # fewer are filled up to this number


class ConstantState(nn.Module):
    """Constant state between observations."""

    def start_pass(self, series: int) -> None:
        """Start a new pass over a batch of `series` series."""

    def forward(self, state: Tensor, gaps: Tensor, longest: float | None = None) -> Tensor:
        return state


class Decay(ConstantState):
    """Decay of the state by exp(-max(0, w gap + b)), with w and b per unit (Che et al. 2018).

    Args:
        size: Dimension of the mean.
        time_unit: Gaps are expressed in multiples of this.
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
    """Vector field dh/ds = gap * f(h), with the time of each row rescaled to s from 0 to 1."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, s: Tensor, h: Tensor, gaps: Tensor) -> Tensor:
        """Return dh/ds, shape `(row, size)`, for states h of this shape and gaps `(row, 1)`."""
        return gaps * self.net(h)


class RegularizedGapField(RegularizedField):
    """Field d(h, integrals)/ds = (gap, |gap|) * d(h, integrals)/dt, so integrals are over t."""

    def __call__(self, s: Tensor, state: Any, noise: Any, *args: Any) -> tuple[Tensor, Tensor]:
        (gaps,) = args
        # With gaps of 1, s equals t.
        velocity, integrands = super().__call__(s, state, noise, torch.ones_like(gaps))
        return gaps * velocity, gaps.abs() * integrands


class GapFlow(ODEModule):
    """ODE flow dh/dt = f(h) of the mean, for all rows at once (Rubanova et al. 2019, algorithm 1).

    With fixed steps each row takes as many steps as its own gap needs, whatever the others need,
    so that the prediction of a series does not depend on the rest of its batch. With adaptive
    steps all rows share a solve and its tolerance.

    A pass consists of all solves since `start_pass`. Its penalties are the integrals along all
    solution paths, over the time of the data and averaged over dimensions, summed and divided by
    the number of series: the mean over the batch of each series' total.

    Args:
        net: f, on states `(row, size)`.
        solver: How the ODE is solved. Step sizes are in units of t, and a number of steps is that
            over the whole `span`.
        span: Time from the first to the last point of all series.
        augment: Additional dimensions of the state of `net`, after those of the mean; they start
            at zero at every gap, and are not returned.
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
        self.start_pass(1)

    def start_pass(self, series: int) -> None:
        """Start a new pass over a batch of `series` series."""
        self.solves, self._series = [], series

    def forward(self, state: Tensor, gaps: Tensor, longest: float | None = None) -> Tensor:
        """States after the gaps.

        Args:
            gaps: Shape `(row,)`; negative gaps are integrated backwards in time.
            longest: The longest of the gaps, if the caller knows it.
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
            mean = self._solve(mean, gaps, self._adaptive(longest))
        elif longest <= (1 + 1e-6) * step:
            mean = self._solve(mean, gaps, self._in_steps())
        else:
            mean = self._solve_in_fixed_steps(mean, gaps, step)
        return torch.cat([mean[..., :size], std], -1)

    def _solve_in_fixed_steps(self, state: Tensor, gaps: Tensor, step: float) -> Tensor:
        """Advance each row by as many fixed steps as its gap needs.

        A solve costs as much as many steps of a few rows, which therefore share one: rows that
        need fewer steps are integrated along, and their states are read where they end. With many
        rows, the half with fewer steps ends first, and the others continue in another solve.

        Args:
            state: Shape `(row, size + augment)`.
        """
        needed = (gaps.abs() / step - 1e-6).ceil().clamp(min=1)
        needed, order = needed.sort(descending=True, stable=True)
        state, each = state[order], gaps[order] / needed
        steps = needed.int().tolist()  # descending
        left, done, ended = len(state), 0, []
        while left:
            until = steps[left // 2 if left > FEW_ROWS else 0]
            continuing = steps.index(until)
            stops = sorted(set(steps[continuing:left]))
            at = [len(stops)] * continuing + [1 + stops.index(n) for n in steps[continuing:left]]
            times = [0, *(stop - done for stop in stops)]
            state = self._solve(state, each[:left], self._in_steps(), times, at)
            ended.append(state[continuing:])
            state, left, done = state[:continuing], continuing, until
        return torch.cat(ended[::-1])[order.argsort()]

    def _solve(
        self,
        state: Tensor,
        gaps: Tensor,
        solver: Solver,
        times: Sequence[int] = (0, 1),
        at: Sequence[int] | None = None,
    ) -> Tensor:
        """Return the states at the end of one solve, and add its penalties.

        Args:
            gaps: The time of each row that corresponds to one unit of the solve's time.
            times: Output times of the solve.
            at: Index into `times` at which each row ends; the last when None.
        """
        rows = len(state)
        # Adaptive solvers are left out: rows of zeros would change the norm of their errors.
        if solver.compile and solver.fixed_steps:
            further = compiled_rows(rows) - rows
            state, gaps = pad(state, (0, 0, 0, further)), pad(gaps, (0, further))
        grid = state.new_tensor(times)
        states, integrals = self.integrate(state, grid, (gaps.unsqueeze(-1),), solver)
        states = states[:, :rows]
        ends = -1 if at is None else (torch.tensor(at, device=state.device), torch.arange(rows))
        if integrals is not None:
            self.add_penalties(integrals[ends].sum(0) / self._series)
        return states[ends]

    @property
    def _step_size(self) -> float | None:
        """Size of fixed steps, in units of t; None if the solver has none."""
        if self.solver.num_steps is not None:
            return self.span / self.solver.num_steps
        return self.solver.step_size

    def _in_steps(self) -> Solver:
        """The solver for time counted in steps."""
        return replace(self.solver, step_size=1.0, num_steps=None)

    def _adaptive(self, longest: float) -> Solver:
        """The solver for time rescaled to [0, 1], where 1 is the end of the longest gap."""
        solver = self.solver
        first = None if solver.first_step is None else solver.first_step / longest
        return replace(
            solver,
            first_step=first,
            min_step=solver.min_step / longest,
            max_step=solver.max_step / longest,
        )


def compiled_rows(rows: int) -> int:
    """Rows of the states of a compiled solve: a power of two, at least `FEWEST_COMPILED_ROWS`.

    Steps are compiled for one shape of states. As series end, ever fewer rows are left, and each
    number of them would be another shape.
    """
    return max(FEWEST_COMPILED_ROWS, 1 << (rows - 1).bit_length())
