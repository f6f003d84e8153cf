"""Data of an experiment on irregular series: split and scaled series as batches of a task."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...data.ragged import RaggedSeries
from ...data.scaling import Scaling
from ...data.time_series import SeriesBatches
from ...errors import DataError
from .batches import ForecastBatch, ForecastBatches, Forecasts
from .settings import ForecastingConfig
from .time_unit import UNKNOWN, TimeUnit

__all__ = [
    "ForecastData",
    "balanced_weights",
    "first_series",
    "forecast_data",
    "label_counts",
    "log",
]


log = logging.getLogger(__name__)


@dataclass
class ForecastData:
    """Data of an experiment on irregular series.

    Attributes:
        train, validation, test: Batches of each part; `validation` is None without such series.
        dim: Features per point.
        classes: Number of classes; None for data without labels.
        label_per: What a label belongs to: `series`, `time`, or None.
        span: First and last time of all series, observed and target, in the model's units.
        mean_gap: Mean time between two observations of a training series, in the same units.
        target_gap: Mean time between two targets of a training series; in extrapolation, the
            first gap is that from the last observation to the first target.
        mean: Mean of each feature over the training series, in the model's units, `(feature,)`.
        of_table: Whether the series are those of a table, whose owner sees the error of each
            feature in its unit.
        task: `interpolation`, `extrapolation` or `classification`.
        features: The name of each feature; empty when unknown.
        test_names: The name of each test series in the order of `test`; empty when unknown.
        time_unit: Unit in which the model's times are shown, e.g. in figures.
        scaling: Scaling that was applied to the values; None if they are unscaled.
        learned: What a checkpoint stores about the training data, as plain values.
        source: What the dataset's figures and predictions need from its file, e.g. a schema.
        measures: Further errors in units of the dataset, computed from the predicted means and
            their batch: by name, the errors of single predictions, whose mean is the metric.
        static: Number of static features that a model reads, which do not change within a series.
        centres: Whether values are relative to the level of their series; see `Centre`.
        cut: Time up to which a model sees a series that it extrapolates, in the model's units;
            training series that are cut at random times have others.
        class_counts: Number of labels by the name of the part and the name of the class.
        class_weights: Weight of each class in the training loss; None: all equal.
    """

    train: SeriesBatches[ForecastBatch]
    validation: SeriesBatches[ForecastBatch] | None
    test: ForecastBatches
    dim: int
    classes: int | None
    label_per: str | None
    span: tuple[float, float]
    mean_gap: float
    target_gap: float
    mean: Tensor
    task: str
    features: tuple[str, ...] = ()
    test_names: tuple[str, ...] = ()
    time_unit: TimeUnit = UNKNOWN
    scaling: Scaling | None = None
    learned: dict[str, Any] | None = None
    source: Any = None
    measures: Callable[[Tensor, ForecastBatch], dict[str, Tensor]] | None = None
    static: int = 0
    centres: bool = False
    cut: float = 0.5
    class_counts: dict[str, dict[str, int]] | None = None
    class_weights: tuple[float, ...] | None = None
    of_table: bool = False


def forecast_data(
    parts: tuple[RaggedSeries, RaggedSeries, RaggedSeries],
    settings: ForecastingConfig,
    seed: int = 0,
    device: torch.device | None = None,
    classes: int | None = None,
    normalise_times_per_batch: bool = False,
    features: tuple[str, ...] = (),
    time_unit: TimeUnit = UNKNOWN,
    scaling: Scaling | None = None,
    span: tuple[float, float] | None = None,
    mean_gap: float | None = None,
    target_gap: float | None = None,
    mean: Tensor | None = None,
    allow_small: bool = False,
    class_names: tuple[str, ...] | None = None,
    extrapolate_from: float | None = None,
) -> ForecastData:
    """Build the batches of a task from series that are split and scaled.

    Args:
        parts: Training, validation and test series; the validation part may be empty.
        settings: The observed points of training series are drawn in every epoch (`redraw`), those
            of the others once. For extrapolation, `extrapolate_from` is the fraction of the time
            from the first to the last point of all series that is observed; with `random_cuts`,
            training series are instead cut at random times.
        seed: Seed of the observed points and of the order of the series.
        features, time_unit, scaling: As in `ForecastData`; the unit is that of the series.
        class_names: Names of the classes; their indices when None.
        extrapolate_from: Replaces the value in the settings.
        span, mean_gap, target_gap, mean: Those of the data that a model was trained on; of these
            series when None.
        allow_small: Whether fewer training series than the batch size are allowed, as one batch.

    Raises:
        DataError: Sizes that do not fit the data.
    """
    train, validation, test = parts
    train = first_series(train, settings.train_size, "train")
    test = first_series(test, settings.test_size, "test")
    centres = centres_series(settings)
    counts = weights = None
    if classes is not None:
        names = class_names or tuple(map(str, range(classes)))
        named = {"train": train, "validation": validation, "test": test}
        counts = {name: label_counts(part, names) for name, part in named.items()}
        if settings.class_weights == "balanced":
            weights = balanced_weights(list(counts["train"].values()))
    times = torch.cat([train.times, validation.times, test.times])
    first, last = span or (float(times.min()), float(times.max()))
    fraction = settings.extrapolate_from if extrapolate_from is None else extrapolate_from
    cut = first + fraction * (last - first)
    scale = last if normalise_times_per_batch and last > 0 else 1.0
    undivided = replace(time_unit, scale=time_unit.scale / scale)
    mean = (mean_values(train) if mean is None else mean).to(device)
    counted_before = mean_gap is not None  # the training series, when the checkpoint was trained

    def forecasts(part: RaggedSeries, number: int) -> Forecasts:
        part = part if device is None else part.to(device)
        of_part = 3 * seed + number  # independent draws of the observed points of each part
        found = Forecasts(
            part,
            settings.task,
            settings.observed_fraction,
            settings.observed_points,
            None if number == 0 and settings.random_cuts else cut,
            of_part,
            normalise_times_per_batch,
            undivided,
            mean if centres else None,
        )
        if number > 0 or not counted_before:
            name = ("training", "validation", "test")[number]
            warn_of_left_out(found, len(part), name, undivided.text(cut))
        return found

    training = forecasts(train, 0)
    batch_size = settings.batch_size
    if allow_small or len(training) < batch_size <= len(train):
        # Series with nothing to extrapolate have been left out.
        batch_size = min(batch_size, len(training))
    if mean_gap is None:
        mean_gap = mean_difference(training.observed) or (last - first) or 1.0
    if target_gap is None:
        target_gap = mean_target_gap(training, settings.task) or mean_gap
    return ForecastData(
        train=ForecastBatches(training, batch_size, True, settings.passes, seed, settings.redraw),
        validation=(
            ForecastBatches(forecasts(validation, 1), settings.eval_batch_size)
            if len(validation)
            else None
        ),
        test=ForecastBatches(forecasts(test, 2), settings.eval_batch_size),
        dim=train.dim,
        classes=classes,
        label_per=train.label_per,
        span=(first / scale, last / scale),
        mean_gap=mean_gap / scale,
        target_gap=target_gap / scale,
        mean=mean,
        task=settings.task,
        features=features,
        time_unit=(
            TimeUnit("fraction of the batch's last") if normalise_times_per_batch else time_unit
        ),
        scaling=scaling,
        static=read_static(
            0 if train.static is None else train.static.shape[1], settings, train.dim
        ),
        centres=centres,
        cut=cut / scale,
        class_counts=counts,
        class_weights=weights,
    )


def warn_of_left_out(kept: Forecasts, count: int, name: str, cut: str) -> None:
    """Warn of the series of a part, of this number in all, that have nothing to extrapolate."""
    if len(kept) == count:
        return
    reason = (
        "a single point, and are left out (dataset.random_cuts)"
        if kept.cuts_at_random
        else f"no point before, or none after, {cut}, where extrapolation starts, and are left "
        "out (dataset.extrapolate_from)"
    )
    log.warning("%d of %d %s series have %s", count - len(kept), count, name, reason)


def read_static(count: int, settings: ForecastingConfig, dim: int) -> int:
    """Number of static features of a model: those of the data, and the levels of the series."""
    return count + (dim if centres_series(settings) else 0)


def centres_series(settings: ForecastingConfig) -> bool:
    """Whether values are relative to the level of their series."""
    return bool(getattr(settings, "centre_series", False))


def mean_difference(series: RaggedSeries) -> float:
    """Mean time between two points of a series; 0 if all series have a single point."""
    gaps = series.times.diff()[(series.series_of_point.diff() == 0).to(series.times.device)]
    return float(gaps.mean()) if len(gaps) else 0.0


def mean_target_gap(training: Forecasts, task: str) -> float:
    """Mean time between two targets, as in `ForecastData`; 0 if there are none."""
    observed, target = training.observed, training.target
    if task != "extrapolation":
        return mean_difference(target)
    spans = target.times[target.offsets[1:] - 1] - observed.times[observed.offsets[1:] - 1]
    return float(spans.double().sum()) / len(target.times)


def mean_values(part: RaggedSeries) -> Tensor:
    """Mean of each feature over its observed values, shape `(feature,)`; 0 without any."""
    mask = torch.ones_like(part.values) if part.feature_mask is None else part.feature_mask
    total = (part.values * mask).sum(0, dtype=torch.float64)
    return (total / mask.sum(0, dtype=torch.float64).clamp(min=1)).to(part.values)


def label_counts(part: RaggedSeries, names: Sequence[str]) -> dict[str, int]:
    """Number of labels of each class in a part."""
    label = torch.zeros(0, dtype=torch.long) if part.label is None else part.label.flatten()
    counts = torch.bincount(label[label >= 0], minlength=len(names))
    return dict(zip(names, counts.tolist(), strict=True))


def balanced_weights(counts: Sequence[int]) -> tuple[float, ...]:
    """Class weights that give every class the same total weight.

    The weight is labels / (classes * labels of the class), as in scikit-learn's `balanced`.

    >>> balanced_weights([30, 10])
    (0.6666666666666666, 2.0)
    """
    return tuple(sum(counts) / (len(counts) * max(count, 1)) for count in counts)


def first_series(part: RaggedSeries, size: int | None, name: str) -> RaggedSeries:
    """The first `size` series of a part.

    Raises:
        DataError: There are fewer, or none at all.
    """
    if size is not None and size > len(part):
        raise DataError(
            f"dataset.{name}_size={size} is more than the {len(part)} series of this part"
        )
    if not len(part):
        raise DataError(f"no series is left for the {name} part; more data is needed")
    return part if size is None else part.take(torch.arange(size))
