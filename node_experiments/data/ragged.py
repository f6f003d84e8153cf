"""Series of unequal lengths, stored one after another and padded only when batched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ..errors import DataError
from .time_series import TimeSeries

__all__ = ["RaggedSeries", "ragged"]


@dataclass
class RaggedSeries:
    """Points of all series in flat tensors; series `i` is `offsets[i]` to `offsets[i + 1]`.

    Attributes:
        times: Strictly increasing within a series, shape `(point,)`.
        values: Zero where not observed, shape `(point, dim)`.
        offsets: Shape `(series + 1,)`, on the CPU.
        feature_mask: True where observed, shape `(point, dim)`; None when all are.
        label: Class of each series, shape `(series,)`, or of each point, shape `(point,)`; long,
            -1 where there is none.
        label_per: `series`, `time`, or None without labels.
        static: Constant features of each series, such as age, `(series, static)`; or None.
    """

    times: Tensor
    values: Tensor
    offsets: Tensor
    feature_mask: Tensor | None = None
    label: Tensor | None = None
    label_per: str | None = None
    static: Tensor | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def dim(self) -> int:
        """Number of features of a point."""
        return self.values.shape[1]

    @property
    def lengths(self) -> Tensor:
        """Number of points of each series, shape `(series,)`, on the CPU."""
        return self.offsets.diff()

    @property
    def series_of_point(self) -> Tensor:
        """Index of the series that each point belongs to, shape `(point,)`, on the CPU."""
        return torch.arange(len(self)).repeat_interleave(self.lengths)

    @cached_property
    def shared_times(self) -> Tensor | None:
        """The times `(1, time)` that all series have, or None when they differ."""
        longest = int(self.lengths.max())
        if int(self.lengths.min()) < longest:
            return None
        table = self.times.view(len(self), longest)
        return table[:1] if bool((table == table[0]).all()) else None

    def to(self, device: torch.device) -> RaggedSeries:
        """The same series on another device."""
        mask, label, static = self.feature_mask, self.label, self.static
        return replace(
            self,
            times=self.times.to(device),
            values=self.values.to(device),
            feature_mask=None if mask is None else mask.to(device),
            label=None if label is None else label.to(device),
            static=None if static is None else static.to(device),
        )

    def take(self, series: Tensor) -> RaggedSeries:
        """The series with the given indices, in this order."""
        lengths = self.lengths[series]
        offsets = offsets_of(lengths)
        starts = (self.offsets[:-1][series] - offsets[:-1]).repeat_interleave(lengths)
        points = starts + torch.arange(int(offsets[-1]))
        by = series if self.label_per == "series" else points
        static = None if self.static is None else self.static[series.to(self.static.device)]
        return self._gather(points, offsets, by, static)

    def keep(self, kept: Tensor) -> RaggedSeries:
        """Only the points where `kept`, shape `(point,)`, is True; series may become empty."""
        points = kept.nonzero().squeeze(1)
        lengths = torch.bincount(self.series_of_point[points.cpu()], minlength=len(self))
        by = torch.arange(len(self)) if self.label_per == "series" else points
        return self._gather(points, offsets_of(lengths), by, self.static)

    def with_values(self) -> RaggedSeries:
        """Only the points at which a feature was observed; series may become empty."""
        return self if self.feature_mask is None else self.keep(self.feature_mask.any(1))

    def _gather(
        self, points: Tensor, offsets: Tensor, labelled: Tensor, static: Tensor | None
    ) -> RaggedSeries:
        points = points.to(self.times.device)
        mask, label = self.feature_mask, self.label
        return RaggedSeries(
            self.times[points],
            self.values[points],
            offsets,
            None if mask is None else mask[points],
            None if label is None else label[labelled.to(label.device)],
            self.label_per,
            static,
        )

    def draw(self, counts: Tensor, generator: torch.Generator) -> RaggedSeries:
        """Draw `counts` points of each series, without replacement.

        Args:
            counts: Shape `(series,)`, at most `lengths`.
        """
        series = self.series_of_point
        keys = torch.rand(len(series), generator=generator, dtype=torch.float64)
        # Sorting number + key shuffles the points of each series among themselves.
        order = (series + keys).argsort()
        rank = torch.arange(len(series)) - self.offsets[:-1][series]
        kept = torch.zeros(len(series), dtype=torch.bool)
        kept[order] = rank < counts[series]
        return self.keep(kept)

    def pad(self, series: Tensor) -> TimeSeries:
        """The series with the given indices, padded to the longest of them."""
        chosen = series.cpu()
        lengths, starts = self.lengths[chosen], self.offsets[:-1][chosen]
        longest = int(lengths.max())
        place = torch.arange(longest).expand(len(chosen), -1)
        complete = int(lengths.min()) == longest
        # Padding repeats the last point, so that times never decrease.
        points = (starts.unsqueeze(1) + place.minimum(lengths.unsqueeze(1) - 1)).to(
            self.times.device
        )
        mask = (place < lengths.unsqueeze(1)).to(self.times.device)
        values, features = self.values[points], self.feature_mask
        if features is not None:
            features = features[points] & mask.unsqueeze(-1)
        if not complete:
            values = values.masked_fill(~mask.unsqueeze(-1), 0)
        times = self.times[points] if self.shared_times is None else self.shared_times
        static = None if self.static is None else self.static[series.to(self.static.device)]
        return TimeSeries(times, values, mask, complete, features, static)

    def labels(self, series: Tensor) -> Tensor | None:
        """Labels of the series with the given indices, `(batch,)`, or of their points, padded."""
        if self.label is None or self.label_per == "series":
            return None if self.label is None else self.label[series.to(self.label.device)]
        chosen = series.cpu()
        lengths, starts = self.lengths[chosen].unsqueeze(1), self.offsets[:-1][chosen].unsqueeze(1)
        place = torch.arange(int(lengths.max()))
        points = starts + place.minimum(lengths - 1)
        label = self.label[points.to(self.label.device)]
        return label.masked_fill((place >= lengths).to(label.device), -1)


def offsets_of(lengths: Tensor) -> Tensor:
    """Start of each series and end of the last one, shape `(series + 1,)`."""
    return torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])


def ragged(
    times: Tensor,
    values: Tensor,
    lengths: Tensor,
    feature_mask: Tensor | None = None,
    label: Tensor | None = None,
    label_per: str | None = None,
    static: Tensor | None = None,
) -> RaggedSeries:
    """Make validated series from flat tensors; values that were not observed become 0.

    Raises:
        DataError: A series without points, times that do not increase strictly as float32, or
            numbers that are not finite.
    """
    if feature_mask is not None:
        values = values.masked_fill(~feature_mask, 0)
    series = RaggedSeries(
        times.float(),
        values.float(),
        offsets_of(lengths.long()),
        feature_mask,
        label,
        label_per,
        static,
    )
    if bool((lengths < 1).any()):
        raise DataError(f"series {int((lengths < 1).nonzero()[0])} has no observation")
    bad = ~(series.times.isfinite() & series.values.isfinite().all(1))
    number = series.series_of_point
    if bool(bad.any()):
        raise DataError(f"series {int(number[bad.nonzero()[0]])} has a number that is not finite")
    falling = (series.times.diff() <= 0) & (number.diff() == 0)
    if bool(falling.any()):
        point = int(falling.nonzero()[0])
        raise DataError(
            f"the times of a series must rise strictly; series {int(number[point])} has "
            f"{float(series.times[point + 1])} after {float(series.times[point])}"
        )
    return series
