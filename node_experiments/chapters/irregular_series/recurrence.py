"""A recurrence over series that are each observed at their own times.

It steps over the index of the observation: step k reads the k-th observation of every series that
has one, after a separate gap for each. Series are sorted by length, so that those that have
ended drop out, and no step is spent on padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...data.time_series import TimeSeries
from .gap_dynamics import ConstantState, GapFlow
from .gru_unit import GRUUnit, tanh_mlp
from .imputation import Imputation

__all__ = ["Recurrence", "States", "reversed_in_time"]


@dataclass
class Observations:
    """Packed observations of a batch of series.

    Attributes:
        times: Shape `(batch, time)`, ascending, unobserved ones at the end.
        values: Shape `(batch, time, dim)`; zero where `features` is false.
        features: Whether each feature is observed, shape `(batch, time, dim)`.
        counts: Number of observed times of each sample, shape `(batch,)`.
        static: Static features of each series, shape `(batch, static)`; or None.
    """

    times: Tensor
    values: Tensor
    features: Tensor
    counts: Tensor
    static: Tensor | None = None

    @classmethod
    def of(cls, series: TimeSeries) -> Observations:
        """Pack series; their unobserved entries are ignored."""
        series = series.packed()
        features = series.observed_features
        values = series.values.masked_fill(~features, 0)
        times = series.times.expand(len(values), -1).to(values.dtype)
        return cls(times, values, features, series.mask.sum(1), series.static)

    @property
    def gaps(self) -> Tensor:
        """Time since the previous observation, 0 for the first, shape `(batch, time)`."""
        gaps = torch.diff(self.times, dim=1, prepend=self.times[:, :1])
        places = torch.arange(gaps.shape[1], device=gaps.device)
        return gaps.masked_fill(places >= self.counts.unsqueeze(1), 0)


def reversed_in_time(seen: Observations) -> Observations:
    """The same observations from the last to the first, with negated times."""
    places = torch.arange(seen.times.shape[1], device=seen.times.device)
    order = (seen.counts.unsqueeze(1) - 1 - places).remainder(len(places))
    wide = order.unsqueeze(-1).expand_as(seen.values)
    return Observations(
        -seen.times.gather(1, order),
        seen.values.gather(1, wide),
        seen.features.gather(1, wide),
        seen.counts,
        seen.static,
    )


@dataclass
class States:
    """The states of a recurrence before the first and right after each observation.

    Attributes:
        rows: All states, shape `(row, 2 * size)`; the first rows are the initial states.
        row_index: Row of the state after 0, 1, 2, ... observations, shape `(batch, time + 1)`.
        times: Time of each of these states, shape `(batch, time + 1)`: that of the initial state,
            then of each observation; infinity beyond the last.
        counts: Number of observations of each sample, shape `(batch,)`.
        static: As in `Observations`.
    """

    rows: Tensor
    row_index: Tensor
    times: Tensor
    counts: Tensor
    static: Tensor | None = None

    def at(self, times: Tensor, including: bool) -> tuple[Tensor, Tensor]:
        """The latest state before each of the times, and the time that has passed since.

        Args:
            times: Shape `(batch, time)` or `(1, time)`.
            including: Whether an observation at exactly this time counts as before it.

        Returns:
            Shapes `(batch, time, 2 * size)` and `(batch, time)`.
        """
        times = times.to(self.times.dtype).expand(len(self.row_index), -1).contiguous()
        before = torch.searchsorted(self.times[:, 1:].contiguous(), times, right=including)
        elapsed = times - self.times.gather(1, before)
        return self.after(before), elapsed.clamp(min=0)

    def after(self, counts: Tensor) -> Tensor:
        """States after `counts` observations, `(batch, time)`; shape `(..., 2 * size)`."""
        return self.rows[self.row_index.gather(1, counts)]

    def last(self) -> tuple[Tensor, Tensor]:
        """The state after all observations, `(batch, 2 * size)`, and its time, `(batch,)`."""
        end = self.counts.unsqueeze(1)
        return self.rows[self.row_index.gather(1, end)[:, 0]], self.times.gather(1, end)[:, 0]


class Recurrence(nn.Module):
    """A GRU that reads observations, with dynamics of its state between them.

    Args:
        dim: Features per observation.
        size: Dimension of the state's mean.
        hidden: Hidden units of the gates.
        between: Dynamics of the state between observations.
        time_unit: If set, also read the time since the last observation, in multiples of this.
        imputation: Fills in features that are missing at an observed time; zeros when None.
        batching: `independent`, or `union`: a flow takes one solve between any two successive
            distinct times of the batch. Both compute the same; the second needs as many solves as
            there are distinct times.
        static: Number of static features. The initial state is a linear function of them, and
            they are read with every observation.
    """

    def __init__(
        self,
        dim: int,
        size: int,
        hidden: int,
        between: ConstantState | GapFlow,
        time_unit: float | None = None,
        imputation: Imputation | None = None,
        batching: str = "independent",
        static: int = 0,
    ) -> None:
        super().__init__()
        self.size, self.time_unit = size, time_unit
        self.unit = GRUUnit(2 * dim + (time_unit is not None) + static, size, hidden)
        self.initial = tanh_mlp([static, size]) if static else None
        self.between, self.imputation = between, imputation
        self.batching = batching

    def forward(self, seen: Observations, start: float) -> States:
        """Read all observations; return the states before the first and after each of them.

        Args:
            start: Time of the initial state, which is zero without static features.
        """
        self.between.start_pass(len(seen.times))
        values = seen.values if self.imputation is None else self.imputation(seen)
        inputs = self.read(values, seen.features, seen.gaps, seen.static)
        union = self.batching == "union" and isinstance(self.between, GapFlow)
        rows, row_index = (self._step_by_time if union else self._step_by_index)(seen, inputs)
        first = torch.full_like(seen.times[:, :1], start)
        places = torch.arange(seen.times.shape[1], device=seen.times.device)
        hidden = places >= seen.counts.unsqueeze(1)
        times = torch.cat([first, seen.times.masked_fill(hidden, torch.inf)], 1)
        return States(rows, row_index, times, seen.counts, seen.static)

    def read(
        self, values: Tensor, features: Tensor, gaps: Tensor, static: Tensor | None
    ) -> Tensor:
        """Input of the GRU: values and features `(batch, ..., dim)`, gaps `(batch, ...)`."""
        parts = [values, features.to(values.dtype)]
        if self.time_unit is not None:
            parts.append((gaps / self.time_unit).to(values.dtype).unsqueeze(-1))
        if self.initial is not None:
            assert static is not None
            wide = static.to(values.dtype).view(len(static), *[1] * (values.dim() - 2), -1)
            parts.append(wide.expand(*values.shape[:-1], -1))
        return torch.cat(parts, -1)

    def initial_states(self, inputs: Tensor, static: Tensor | None) -> Tensor:
        """The initial states: one for all samples, or one for each.

        Args:
            inputs: Determine dtype and device of the states.

        Returns:
            Shape `(1 or batch, 2 * size)`.
        """
        if self.initial is None:
            return inputs.new_zeros(1, 2 * self.size)
        assert static is not None
        mean = self.initial(static.to(inputs.dtype))
        return torch.cat([mean, torch.zeros_like(mean)], -1)

    def gaps_between(self, seen: Observations) -> tuple[Tensor, Tensor]:
        """The gap before each observation, `(batch, time)`, and the longest at each index."""
        return seen.gaps, seen.gaps.amax(0)

    def _step_by_index(self, seen: Observations, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Step over the index of the observation."""
        batch, longest = seen.times.shape
        order = seen.counts.argsort(descending=True, stable=True)
        rank = torch.empty_like(order).scatter_(0, order, torch.arange(batch, device=order.device))
        places = torch.arange(longest, device=order.device)
        active = (seen.counts.unsqueeze(1) > places).sum(0)
        gaps, longest_gaps = self.gaps_between(seen)
        inputs, gaps = inputs[order].transpose(0, 1), gaps[order].t()
        start = self.initial_states(inputs, seen.static)
        state = start.expand(batch, -1)[order]
        rows = [start]
        for k, (left, gap) in enumerate(zip(active.tolist(), longest_gaps.tolist(), strict=True)):
            state = state[:left]
            if k:
                state = self.between(state, gaps[k, :left], gap)
            state = self.unit(state, inputs[k, :left])
            rows.append(state)
        first = len(start) + active.cumsum(0) - active
        index = (first + rank.unsqueeze(1)).masked_fill(places >= seen.counts.unsqueeze(1), 0)
        return torch.cat(rows), torch.cat([initial_rows(start, index), index], 1)

    def _step_by_time(self, seen: Observations, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Step over the distinct times of the batch, all samples at once."""
        batch, longest = seen.times.shape
        places = torch.arange(longest, device=seen.times.device)
        mask = places < seen.counts.unsqueeze(1)
        grid, index = torch.unique(seen.times[mask], return_inverse=True)
        sample, number = mask.nonzero(as_tuple=True)
        x = inputs.new_zeros(len(grid), batch, inputs.shape[-1])
        x[index, sample] = inputs[sample, number]
        observed = torch.zeros(len(grid), batch, dtype=torch.bool, device=grid.device)
        observed[index, sample] = True
        started, continues = observed.cummax(0).values, observed.flip(0).cummax(0).values.flip(0)
        start = self.initial_states(inputs, seen.static)
        state = start.expand(batch, -1)
        rows = [start]
        gaps = [0.0, *torch.diff(grid).tolist()]
        for k, gap in enumerate(gaps):
            if k:
                inside = started[k - 1] & continues[k]
                state = self.between(state, gap * inside.to(state.dtype), gap)
            state = torch.where(observed[k].unsqueeze(1), self.unit(state, x[k]), state)
            rows.append(state)
        row_index = torch.zeros(batch, longest + 1, dtype=torch.long, device=grid.device)
        row_index[:, :1] = initial_rows(start, row_index)
        row_index[sample, number + 1] = len(start) + index * batch + sample
        return torch.cat(rows), row_index


def initial_rows(start: Tensor, row_index: Tensor) -> Tensor:
    """The row of each sample's initial state, shape `(batch, 1)`."""
    if len(start) == 1:
        return torch.zeros_like(row_index[:, :1])
    return torch.arange(len(start), device=row_index.device).unsqueeze(1)
