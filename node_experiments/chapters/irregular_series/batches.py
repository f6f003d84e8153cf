"""Tasks on irregularly sampled series: what a model sees, and what it should predict.

Interpolation, extrapolation and classification as in Rubanova, Chen & Duvenaud 2019, section 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...data.ragged import RaggedSeries
from ...data.seeded_batches import epoch_generator
from ...data.time_series import (
    SeriesBatches,
    TimeSeries,
)
from ...errors import DataError
from .time_unit import UNKNOWN, TimeUnit

__all__ = ["ForecastBatch", "ForecastBatches", "Forecasts"]


# One draw at a time, while a model trains on what was drawn before; torch sorts without Python.
DRAWING = ThreadPoolExecutor(max_workers=1, thread_name_prefix="draw")


@dataclass
class ForecastBatch:
    """Observations, and what a model should predict from them.

    Both parts are packed: a hidden place comes after all observations of its sample and repeats
    the last time.

    Attributes:
        observed: What a model sees.
        target: What it should predict. Interpolation and classification: all points of the same
            series, also those that it sees. Extrapolation: the points after the observed part.
        label: The class of each series, shape `(batch,)`, or of each point of `target`, shape
            `(batch, time)`; long, -1 where there is none. None for data without labels.
    """

    observed: TimeSeries
    target: TimeSeries
    label: Tensor | None = None

    def __len__(self) -> int:
        return len(self.observed)

    @property
    def device(self) -> torch.device:
        """Where the samples are."""
        return self.observed.values.device

    def select(self, indices: Tensor) -> ForecastBatch:
        """The samples with these indices, in their order."""
        label = None if self.label is None else self.label[indices]
        return ForecastBatch(self.observed.select(indices), self.target.select(indices), label)

    def to(self, device: torch.device) -> ForecastBatch:
        """The same batch on another device."""
        label = None if self.label is None else self.label.to(device)
        return ForecastBatch(self.observed.to(device), self.target.to(device), label)


class Forecasts:
    """All samples of one part of the data, from which batches are put together.

    Args:
        series: All points.
        task: `interpolation`, `extrapolation` or `classification`.
        observed_fraction: Of the points that a model may see, how many it sees; rounded down, but
            at least one.
        observed_points: Or their number.
        cut: Of extrapolation: the last time that a model may see. Series without a point on
            either side are left out.
        seed: Of what is observed.
        divide_by_last: Divide the times of a batch by its last, as the official code does.
        time_unit: Of the times, for messages.

    Attributes:
        kept: Which of the series are not left out.

    Raises:
        DataError: No series is left.
    """

    def __init__(
        self,
        series: RaggedSeries,
        task: str,
        observed_fraction: float = 1.0,
        observed_points: int | None = None,
        cut: float | None = None,
        seed: int = 0,
        divide_by_last: bool = False,
        time_unit: TimeUnit = UNKNOWN,
    ) -> None:
        self.fraction, self.points, self.seed = observed_fraction, observed_points, seed
        self.divide_by_last = divide_by_last
        self.visible = self.target = series
        self.kept = torch.arange(len(series))
        if task == "extrapolation":
            assert cut is not None
            where = time_unit.text(cut)
            visible, target = series.keep(series.times <= cut), series.keep(series.times > cut)
            both = ((visible.lengths > 0) & (target.lengths > 0)).nonzero().squeeze(1)
            if not len(both):
                raise DataError(
                    f"no series has points on both sides of {where}, from where on it is to be "
                    "extrapolated; change dataset.extrapolate_from, or set "
                    "dataset.task=interpolation"
                )
            self.visible, self.target, self.kept = visible.take(both), target.take(both), both
        self._epoch = -1
        self._coming: tuple[int, Future[RaggedSeries]] | None = None
        self.draw(0)

    @property
    def device(self) -> torch.device:
        """Where the samples are."""
        return self.target.values.device

    def __len__(self) -> int:
        return len(self.target)

    def draw(self, epoch: int) -> None:
        """Draw again what a model sees; it depends on the seed and this number alone."""
        if epoch == self._epoch:
            return
        coming, self._coming = self._coming, None
        self._epoch = epoch
        if coming is not None and coming[0] == epoch:
            self.observed = coming[1].result()
        else:
            self.observed = self._drawn(epoch)

    def prepare(self, epoch: int) -> None:
        """Begin to draw for an epoch that will come, beside whatever happens until then."""
        self._coming = epoch, DRAWING.submit(self._drawn, epoch)

    def _drawn(self, epoch: int) -> RaggedSeries:
        lengths = self.visible.lengths
        if self.points is None:
            counts = (lengths * self.fraction + 1e-9).long().clamp(min=1)
        else:
            counts = lengths.clamp(max=self.points)
        if torch.equal(counts, lengths):
            return self.visible
        generator = epoch_generator(self.seed, epoch)
        return self.visible.draw(counts, generator)

    def select(self, indices: Tensor) -> ForecastBatch:
        """The samples with these indices, in their order."""
        observed, target = self.observed.pad(indices), self.target.pad(indices)
        if self.divide_by_last:
            last = target.times.max()
            last = last if bool(last > 0) else torch.ones_like(last)
            observed = replace(observed, times=observed.times / last)
            target = replace(target, times=target.times / last)
        return ForecastBatch(observed, target, self.target.labels(indices))


class ForecastBatches(SeriesBatches[ForecastBatch]):
    """Batches of series with about the same length.

    Args:
        redraw: Draw in every epoch again what a model sees of each series.
    """

    data: Forecasts

    def __init__(
        self,
        data: Forecasts,
        batch_size: int,
        shuffle: bool = False,
        passes: int = 1,
        seed: int = 0,
        redraw: bool = False,
    ) -> None:
        lengths = data.target.lengths
        ragged = int(lengths.min()) < int(lengths.max())
        super().__init__(data, batch_size, shuffle, passes, seed, lengths if ragged else None)
        self.redraw = redraw

    def __iter__(self) -> Iterator[ForecastBatch]:
        if self.redraw:
            self.data.draw(self.epoch)
            self.data.prepare(self.epoch + 1)
        yield from super().__iter__()
