"""Forecasts and classes of series, in the names and units of the data."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...config import ConfigError
from ...config.checks import some_of
from ...data.ragged import RaggedSeries
from ...data.table_file import PARQUET, TableFile
from ..prediction import Inputs, Prediction, Request
from .bands import bands
from .forecast_figure import forecast_figure
from .measurements import Measurements
from .predict_source import source_of
from .series_schema import SeriesSchema
from .table_cells import text_of
from .table_times import times_of

__all__ = ["predict_series", "predictions"]

log = logging.getLogger(__name__)

WHOLE_NUMBER = r"0|[1-9]\d{0,17}"
EARLY = 1e-6  # of the span: single precision puts no time before the first observation
FAR, FURTHEST = 2, 20  # spans of training, after which a warning is due, and nothing predicted
POINTS = 50  # of a forecast over the time span of training, when no times are asked for
TOGETHER = 200  # series in one solve, at most
NUMBERS = 4_000_000  # drawn at once


def predict_series(trained: Any, request: Request) -> Prediction:
    """Forecasts with bands, or class probabilities, of a user's series or of the test series.

    Raises:
        DataError: The table cannot be read by what the checkpoint learned.
        ConfigError: Times for a classifier.
    """
    model, data, device = trained.model, trained.data, trained.device
    schema, seen, table = source_of(trained, request.inputs)
    series = schema.series(seen)
    of = f"{len(seen)} series"
    if data.task == "classification":
        if request.times is not None or request.latent:
            raise ConfigError(
                "predict.times and predict.latent mean nothing for a classifier: the checkpoint "
                "was trained with dataset.task=classification"
            )
        by_time = data.label_per == "time"
        times = own_times(schema, seen, table) if by_time else None
        found = class_probabilities(model, schema, seen, series, times, device)
        return Prediction(as_given(found, schema, request.inputs, table), of)
    samples = request.samples
    warn_of_bands(model, schema.columns.features)
    forecasts, latent = predictions(
        model, schema, seen, series, data.span, request.times, samples, data.mean_gap, device,
        request.latent, request.after_last,
    )  # fmt: skip
    return Prediction(
        as_given(forecasts, schema, request.inputs, table),
        of,
        lambda: forecast_figure(schema, seen, forecasts),
        None if latent is None else as_given(latent, schema, request.inputs, table),
    )


def warn_of_bands(model: Any, features: Sequence[str]) -> None:
    """Warn where a band has the noise of training, too narrow for series that are new."""
    fitted = model.predictive_noise.calibrated.tolist()
    if not all(fitted):
        log.warning(
            "the 90 %% band of %s is not calibrated and likely too narrow: training had too few "
            "held-out values, or no validation series",
            some_of([name for name, done in zip(features, fitted, strict=True) if not done]),
        )


def as_given(
    found: pd.DataFrame,
    schema: SeriesSchema,
    inputs: Inputs | None,
    table: TableFile | None = None,
) -> pd.DataFrame:
    """Names of series and times of day as the user's table has them.

    Args:
        table: What was read of the inputs, or of `dataset.path`; None of test series.
    """
    of_series, of_times = schema.form.series_column, schema.form.time_column
    given, in_days = pd.DataFrame(), False
    if isinstance(inputs, pd.DataFrame):
        given = TableFile.of(inputs).rows
    elif table is not None and Path(table.source).suffix.lower() in PARQUET:
        given = table.rows  # whose numbers and words are known apart
    if table is not None and of_times in table.rows:
        in_days = bool(text_of(table.rows[of_times]).str.contains("day").any())
    series, times = given.get(of_series), given.get(of_times)
    if series is not None and series.dtype != object:
        names = series.drop_duplicates()
        found[of_series] = found[of_series].map(dict(zip(text_of(names), names, strict=True)))
    elif series is None and found[of_series].str.fullmatch(WHOLE_NUMBER).all():
        found[of_series] = found[of_series].astype(int)  # as a table is read again
    written = times is None or not pd.api.types.is_timedelta64_dtype(times)
    if of_times in found and written and pd.api.types.is_timedelta64_dtype(found[of_times]):
        text = str if in_days else clock_text
        found[of_times] = found[of_times].map({x: text(x) for x in found[of_times].unique()})
    return found


def clock_text(time: pd.Timedelta) -> str:
    """A time of day, or a longer one, as `26:30:00`."""
    value = pd.Timedelta(time).value
    seconds, fraction = divmod(abs(value), 10**9)
    sign = "-" if value < 0 else ""
    text = f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return text + (f".{fraction:09d}".rstrip("0") if fraction else "")


def predictions(
    model: Any,
    schema: SeriesSchema,
    seen: Measurements,
    series: RaggedSeries,
    span: tuple[float, float],
    times: Sequence[Any] | None,
    samples: int,
    gap: float,
    device: torch.device,
    with_latent: bool = False,
    after_last: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Mean and 90 % band of every feature, one row for each series and time.

    Args:
        series: As `schema.series` reads `seen`.
        span: First and last model time of training.
        times, after_last: As in `asked_times`.
        gap: Mean model time between two observations in training.

    Returns:
        The columns of series and of times as they are called in training, and for each feature
        its name and `_q05` and `_q95` behind it, empty before the first observation, from where on
        a model predicts, and much later; with latent trajectories, from the mean of z0, also
        series, times and `z1`, `z2`, ...
    """
    at, labels = asked_times(schema, seen, span, times, after_last)
    features, undo = schema.columns.features, schema.value_scaling.undo
    count = at.shape[1]
    together = max(1, min(TOGETHER, NUMBERS // (samples * count * len(features))))
    names = pd.Series(seen.names, dtype=object)
    length = (span[1] - span[0]) or 1.0
    furthest = span[0] + FURTHEST * length
    of_all = (float(at.max()) - span[0]) / length if at.size else 0.0
    if of_all > FAR:
        log.warning(
            "forecasts reach %.3g times as far as the training series do; beyond them the bands "
            "are not calibrated, and likely too narrow",
            of_all,
        )
    frames, latent, early, late = [], [], 0, 0
    for chosen in torch.arange(len(seen)).split(together):
        wanted = torch.from_numpy(at[chosen.numpy()])
        model_times = wanted.clamp(max=furthest).float().to(device)
        observed = series.take(chosen).to(device).pad(torch.arange(len(chosen)))
        before, after = wanted < span[0] - EARLY, wanted > furthest
        early, late = early + int(before.sum()), late + int(after.sum())
        empty = (before | after).unsqueeze(-1)
        found = [
            undo(x.double().cpu()).masked_fill(empty, torch.nan).flatten(0, 1).numpy()
            for x in bands(model, observed, model_times, samples, gap)
        ]
        of_rows = names[chosen.numpy()].repeat(count).to_numpy()
        rows = {schema.form.series_column: of_rows, schema.form.time_column: labels(chosen)}
        columns: dict[str, Any] = dict(rows)
        for place, feature in enumerate(features):
            of_feature = [x[:, place] for x in found]
            columns |= zip((feature, f"{feature}_q05", f"{feature}_q95"), of_feature, strict=True)
        frames.append(pd.DataFrame(columns))
        if with_latent:
            states = model.states(model.encode(observed)[0].unsqueeze(0), model_times)[0]
            by_dim = states.flatten(0, 1).cpu().numpy().T
            latent.append(pd.DataFrame(rows | {f"z{k + 1}": z for k, z in enumerate(by_dim)}))
    if early:
        log.warning(
            "%d rows are before the first observation of their series, from where on the model "
            "predicts, and are empty",
            early,
        )
    if late:
        log.warning(
            "%d rows are later than %d times the span of the training series, of which the model "
            "knows nothing, and are empty",
            late,
            FURTHEST,
        )
    return (
        pd.concat(frames, ignore_index=True),
        pd.concat(latent, ignore_index=True) if with_latent else None,
    )


def asked_times(
    schema: SeriesSchema,
    seen: Measurements,
    span: tuple[float, float],
    times: Sequence[Any] | None,
    after_last: bool = False,
) -> tuple[np.ndarray, Callable[[Tensor], pd.Series]]:
    """Model times `(series, time)`, and those of some series as the user writes them.

    Args:
        times: In the table's units, for every series; a grid over the span when None.
        after_last: Whether they count from the last observation of each series, of dates in hours.

    Raises:
        DataError: Times that are not of the kind of the table's.
    """
    units = schema.times
    origins = units.origins(seen)[:, None]
    if times is None:
        even = np.linspace(span[0], span[1], POINTS)
        if units.in_seconds:
            raw = units.whole(even, origins)
            return units.to_model(raw, origins), lambda chosen: units.written(raw[chosen])
        grid = np.broadcast_to(even, (len(seen), POINTS))
        return grid, lambda chosen: units.to_user(grid[chosen], origins[chosen])
    if after_last:
        ahead = units.after_last(seen, np.unique(np.asarray(times, np.float64)))
        return units.to_model(ahead, origins), lambda chosen: units.written(ahead[chosen])
    raw = np.sort(units.raw(pd.Series(list(dict.fromkeys(times)))))
    return (
        units.to_model(raw, origins),
        lambda chosen: units.written(np.tile(raw, len(chosen))),
    )


def class_probabilities(
    model: Any,
    schema: SeriesSchema,
    seen: Measurements,
    series: RaggedSeries,
    times: np.ndarray | None,
    device: torch.device,
) -> pd.DataFrame:
    """The probability of each class, one row for each series, or for each time of it.

    Args:
        series: As `schema.series` reads `seen`.
        times: Of all rows of `seen`, as `own_times` gives them; None of classes of series.
    """
    assert schema.classes is not None
    frames = []
    for start in range(0, len(seen), TOGETHER):
        chosen = torch.arange(start, min(start + TOGETHER, len(seen)))
        observed = series.take(chosen).to(device).pad(torch.arange(len(chosen)))
        if hasattr(model, "encode"):
            z0, _ = model.encode(observed)
            states = model.states(z0.unsqueeze(0), observed.times)
            logits = model.classify(z0.unsqueeze(0), states)[0]
        else:
            logits = model.classify(model.read(observed), observed.times)
        shares = logits.softmax(-1).cpu().numpy()
        for row, i in enumerate(chosen.tolist()):
            columns: dict[str, Any] = {schema.form.series_column: seen.names[i]}
            of_series = shares[row]
            if times is not None:
                first, last = int(seen.offsets[i]), int(seen.offsets[i + 1])
                of_series = of_series[: last - first]
                columns[schema.form.time_column] = schema.times.written(times[first:last])
            else:
                of_series = of_series[None]
            for place, name in enumerate(schema.classes):
                columns[f"probability of {name}"] = of_series[:, place]
            frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def own_times(schema: SeriesSchema, seen: Measurements, table: TableFile | None) -> np.ndarray:
    """The time of each row, as `SeriesTimes.raw` gives it, shape `(row,)`.

    Measurements keep times since the first of a series. These and the first add up to a time
    that may differ in its last digits from that of the table, which is the nearest one there.

    Args:
        table: Where the series come from; None of test series.
    """
    since = np.round(seen.times * 1e9).astype(np.int64) if schema.times.in_seconds else seen.times
    found = np.repeat(seen.origins, np.diff(seen.offsets)) + since
    if table is None:
        return found
    known = np.unique(times_of(table, schema.form, schema.columns.time_kind))
    after = np.searchsorted(known, found).clip(1, len(known) - 1)
    low, high = known[after - 1], known[after]
    return np.where(found - low < high - found, low, high)
