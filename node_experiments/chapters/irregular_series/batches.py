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
from ...data.time_series import SeriesBatches, TimeSeries
from ...errors import DataError
from .centring import Centre
from .time_unit import UNKNOWN, TimeUnit

__all__ = ["ForecastBatch", "ForecastBatches", "Forecasts"]


# Draws the next epoch's observations while a model trains; torch sorts without holding the GIL.
DRAWING = ThreadPoolExecutor(max_workers=1, thread_name_prefix="draw")


@dataclass
class ForecastBatch:
    """Observed points of a batch of series, and the points to be predicted from them.

    Both parts are packed: unobserved entries come after all observations of their series and
    repeat the last time.

    Attributes:
        observed: Points that a model reads.
        target: Points that it should predict. Interpolation and classification: all points of the
            same series, including the observed ones and those that have only a label.
            Extrapolation: the points after the observed ones.
        label: The class of each series, shape `(batch,)`, or of each point of `target`, shape
            `(batch, time)`; long, -1 where there is none. None for data without labels.
        centre: What was subtracted from the values of both; None if nothing was.
    """

    observed: TimeSeries
    target: TimeSeries
    label: Tensor | None = None
    centre: Centre | None = None

    def __len__(self) -> int:
        return len(self.observed)

    @property
    def device(self) -> torch.device:
        """Device of the samples."""
        return self.observed.values.device

    def select(self, indices: Tensor) -> ForecastBatch:
        """The samples with these indices, in this order."""
        label = None if self.label is None else self.label[indices]
        centre = None if self.centre is None else self.centre.select(indices)
        return ForecastBatch(
            self.observed.select(indices), self.target.select(indices), label, centre
        )

    def to(self, device: torch.device) -> ForecastBatch:
        """The same batch on another device."""
        label = None if self.label is None else self.label.to(device)
        centre = None if self.centre is None else self.centre.to(device)
        return ForecastBatch(self.observed.to(device), self.target.to(device), label, centre)


class Forecasts:
    """All samples of one part of the data, from which batches are assembled.

    Args:
        series: All points.
        task: `interpolation`, `extrapolation` or `classification`.
        observed_fraction: Fraction of the visible points that a model observes; their number is
            rounded down, but at least one.
        observed_points: Number of observed points; replaces the fraction.
        cut: For extrapolation, the last time that a model may see. Series without points on both
            sides of it are left out. When None, each series has its own cut, which is drawn
            uniformly between its first and last point, again in each epoch; series of a single
            point are left out.
        seed: Seed of the choice of observed points.
        normalise_times_per_batch: Divide the times of a batch by its last time, as the official
            code does.
        time_unit: Unit of the times, for messages.
        usual: Mean of each feature over the training series, if values are relative to the level
            of their series; see `Centre`.

    Attributes:
        kept: Indices of the series that are not left out.

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
        normalise_times_per_batch: bool = False,
        time_unit: TimeUnit = UNKNOWN,
        usual: Tensor | None = None,
    ) -> None:
        self.usual = usual
        self.fraction, self.points, self.seed = observed_fraction, observed_points, seed
        self.normalise_times_per_batch = normalise_times_per_batch
        self.visible = self.target = series
        self.kept = torch.arange(len(series))
        self.cuts_at_random = task == "extrapolation" and cut is None
        if self.cuts_at_random:
            self.kept = (series.lengths > 1).nonzero().squeeze(1)
            if not len(self.kept):
                raise DataError(
                    "no series has two points, and dataset.random_cuts needs one to observe and "
                    "one to forecast; set dataset.task=interpolation, or check the series column"
                )
            self.visible = self.target = series.take(self.kept)
        elif task == "extrapolation":
            assert cut is not None
            where = time_unit.text(cut)
            visible, target = series.keep(series.times <= cut), series.keep(series.times > cut)
            both = ((visible.lengths > 0) & (target.lengths > 0)).nonzero().squeeze(1)
            if not len(both):
                raise DataError(
                    f"no series has points on both sides of {where}, where extrapolation starts; "
                    "change dataset.extrapolate_from, or set dataset.task=interpolation"
                )
            self.visible, self.target, self.kept = visible.take(both), target.take(both), both
        elif task == "classification" and series.label_per == "time":
            # A point may have a label alone, which would still change the state of a model.
            self.visible = series.with_values()
        self.lengths = self.target.lengths
        self._epoch = -1
        self._coming: tuple[int, Future[tuple[RaggedSeries, RaggedSeries]]] | None = None
        self.draw(0)

    @property
    def device(self) -> torch.device:
        """Device of the samples."""
        return self.target.values.device

    def __len__(self) -> int:
        return len(self.target)

    def draw(self, epoch: int) -> None:
        """Draw what is observed in an epoch; it depends only on the seed and `epoch`."""
        if epoch == self._epoch:
            return
        coming, self._coming = self._coming, None
        self._epoch = epoch
        if coming is not None and coming[0] == epoch:
            self.observed, self.target = coming[1].result()
        else:
            self.observed, self.target = self._drawn(epoch)

    def prepare(self, epoch: int) -> None:
        """Start to draw what is observed in a later epoch in the background."""
        self._coming = epoch, DRAWING.submit(self._drawn, epoch)

    def _drawn(self, epoch: int) -> tuple[RaggedSeries, RaggedSeries]:
        """The observed and the target points of an epoch."""
        generator = epoch_generator(self.seed, epoch)
        visible, target = self.visible, self.target
        if self.cuts_at_random:
            visible, target = cut_at_random(visible, generator)
        lengths = visible.lengths
        if self.points is None:
            counts = (lengths * self.fraction + 1e-9).long().clamp(min=1)
        else:
            counts = lengths.clamp(max=self.points)
        if torch.equal(counts, lengths):
            return visible, target
        return visible.draw(counts, generator), target

    def select(self, indices: Tensor) -> ForecastBatch:
        """The samples with these indices, in this order."""
        observed, target = self.observed.pad(indices), self.target.pad(indices)
        if self.normalise_times_per_batch:
            last = target.times.max()
            last = last if bool(last > 0) else torch.ones_like(last)
            observed = replace(observed, times=observed.times / last)
            target = replace(target, times=target.times / last)
        label = self.target.labels(indices)
        if self.usual is None:
            return ForecastBatch(observed, target, label)
        centre = Centre.of(observed, self.usual)
        return ForecastBatch(centre.model_input(observed), centre.subtract(target), label, centre)


def cut_at_random(
    series: RaggedSeries, generator: torch.Generator
) -> tuple[RaggedSeries, RaggedSeries]:
    """Cut each series at a time drawn uniformly between its first and last point.

    Args:
        series: Series of at least two points each.

    Returns:
        The points up to the cut and those after it, at least one of each series in both.
    """
    starts, ends = series.offsets[:-1], series.offsets[1:] - 1
    times = series.times.double().cpu()
    drawn = torch.rand(len(series), generator=generator, dtype=torch.float64)
    cuts = times[starts] + drawn * (times[ends] - times[starts])
    before = times <= cuts[series.series_of_point]
    before[ends] = False  # also if the sum was rounded up to the last time
    return series.keep(before), series.keep(~before)


class ForecastBatches(SeriesBatches[ForecastBatch]):
    """Batches of series with about the same length.

    Args:
        redraw: Draw what is observed of each series again in every epoch.
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
        lengths = data.lengths
        ragged = int(lengths.min()) < int(lengths.max())
        super().__init__(data, batch_size, shuffle, passes, seed, lengths if ragged else None)
        self.redraw = redraw

    def __iter__(self) -> Iterator[ForecastBatch]:
        if self.redraw:
            self.data.draw(self.epoch)
            self.data.prepare(self.epoch + 1)
        yield from super().__iter__()
