"""Forecasts and classes of series, in the names and units of the data."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...config import ConfigError
from ...config.checks import first_names
from ...data.cell_text import text_of
from ...data.ragged import RaggedSeries
from ...data.table_file import PARQUET, TableFile
from ..prediction import Inputs, Prediction, Request, as_table
from .bands import bands, forecast_step, warn_of_uncalibrated_bands
from .centring import Centre
from .forecast_figure import forecast_figure
from .predict_source import prediction_source
from .requested_times import RequestedTimes, prediction_starts, requested_rows, requested_times
from .user_tables.measurements import Measurements
from .user_tables.series_schema import SeriesSchema
from .user_tables.table_times import times_of
from .user_tables.user_table import read_as_written, with_series

__all__ = ["predict_series", "predictions"]

log = logging.getLogger(__name__)

WHOLE_NUMBER = r"0|[1-9]\d{0,17}"
EARLY = 1e-6  # in model time: rounding of the first observation to single precision
FAR, FURTHEST = 2, 20  # training spans, beyond which to warn, and to predict nothing
SERIES_PER_SOLVE = 200  # series per solve, at most
MAX_SAMPLED_VALUES = 4_000_000  # at once


def predict_series(trained: Any, request: Request) -> Prediction:
    """Forecasts with bands, or class probabilities, of a user's series or of the test series.

    Raises:
        DataError: The table cannot be read with the schema of the checkpoint.
        ConfigError: Times or latent states are requested of a classifier.
    """
    model, data, device = trained.model, trained.data, trained.device
    schema, seen, table = prediction_source(trained, request.inputs)
    series = schema.series(seen)
    what = f"{len(seen)} series"
    if data.task == "classification":
        if request.times is not None or request.rows is not None or request.latent:
            raise ConfigError(
                "predict.times, rows and latent mean nothing for a classifier: the checkpoint was "
                "trained with dataset.task=classification"
            )
        by_time = data.label_per == "time"
        times = row_times(schema, seen, table) if by_time else None
        found = class_probabilities(model, schema, seen, series, times, device)
        return Prediction(in_user_form(found, schema, request.inputs, table), what)
    samples = request.samples
    warn_of_bands(model, schema.columns.features)
    starts = np.full(len(seen), data.span[0])
    if data.learned is not None:
        starts = prediction_starts(schema, seen)
    if request.rows is None:
        requested = requested_times(
            schema, seen, data.span, starts, request.times, request.after_last
        )
    else:
        requested = requested_rows(schema, seen, table_of_rows(request.rows, trained))
        what = f"{len(requested.series)} series"
    step = forecast_step(model, data)
    forecasts, latent = predictions(
        model, schema, seen, series, data.span, starts, requested, samples, step, device,
        request.latent, data.mean if data.centres else None,
    )  # fmt: skip
    autoregressive = not hasattr(model, "encode")
    any_time = not request.after_last and request.rows is None
    if autoregressive and data.task == "extrapolation" and any_time:
        log.warning(
            "%s predicts every value from the observations before it%s, and was trained on "
            "forecasts alone: use the values after the last observation of a series, or train "
            "with dataset.task=interpolation for those before it",
            trained.config.model.name,
            " and the mean of all (dataset.centre_series)" if data.centres else "",
        )
    return Prediction(
        in_user_form(forecasts, schema, request.inputs, table),
        what,
        lambda: forecast_figure(schema, seen, forecasts),
        None if latent is None else in_user_form(latent, schema, request.inputs, table),
    )


def table_of_rows(rows: Inputs, trained: Any) -> TableFile:
    """The table of `predict.rows`, in the format of the training table."""
    settings = trained.config.dataset
    if trained.data.learned is None:
        return as_table(rows)
    return with_series(as_table(rows, partial(read_as_written, settings=settings)), settings)


def warn_of_bands(model: Any, features: Sequence[str]) -> None:
    """Warn about bands whose noise is not calibrated, and thus too narrow for new series."""
    fitted = model.predictive_noise.calibrated.tolist()
    if not all(fitted):
        warn_of_uncalibrated_bands(
            first_names([name for name, done in zip(features, fitted, strict=True) if not done]),
            "training has not ended, had too few held-out values, or no validation series",
        )


def in_user_form(
    found: pd.DataFrame,
    schema: SeriesSchema,
    inputs: Inputs | None,
    table: TableFile | None = None,
) -> pd.DataFrame:
    """Convert names of series and times of day back to the form of the user's table.

    Args:
        table: The table that was read from the inputs or `dataset.path`; None for test series.
    """
    series_column, time_column = schema.form.series_column, schema.form.time_column
    found, given, in_days = found.copy(), pd.DataFrame(), False
    if isinstance(inputs, pd.DataFrame):
        given = TableFile.of(inputs).rows
    elif table is not None and Path(table.source).suffix.lower() in PARQUET:
        given = table.rows  # which tells numbers from words
    if table is not None and time_column in table.rows:
        in_days = bool(table.text(time_column).str.contains("day").any())
    series, times = given.get(series_column), given.get(time_column)
    if series is not None and series.dtype != object:
        names = series.drop_duplicates()
        given_names = dict(zip(text_of(names), names, strict=True))
        found[series_column] = found[series_column].map(given_names)
    elif series is None and found[series_column].str.fullmatch(WHOLE_NUMBER).all():
        # As when the written table is read.
        found[series_column] = found[series_column].astype(int)
    as_text = times is None or not pd.api.types.is_timedelta64_dtype(times)
    if time_column in found and as_text and pd.api.types.is_timedelta64_dtype(found[time_column]):
        text = str if in_days else clock_text
        texts = {x: text(x) for x in found[time_column].unique()}
        found[time_column] = found[time_column].map(texts)
    return found


def clock_text(time: pd.Timedelta) -> str:
    """Text of a time of day, or of a longer duration, such as `26:30:00`."""
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
    starts: np.ndarray,
    requested: RequestedTimes,
    samples: int,
    step: float,
    device: torch.device,
    with_latent: bool = False,
    usual: Tensor | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Mean and 90 % band of every feature, one row for each series and time.

    Args:
        series: The series of `seen`, as read by `schema.series`.
        span: First and last model time of training.
        starts: Model time at which the predictions of each series of `seen` start.
        step: Model time between two steps of a forecast; see `bands.forecast_step`.
        usual: As in `Forecasts`.

    Returns:
        A frame of the requested rows with the columns of series and times, named as in training,
        and three columns for each feature: its name, and the name with `_q05` and `_q95`. They are
        empty before the first observation, where predictions start, and beyond `FURTHEST` training
        spans. Also, if `with_latent`, a frame of series, times and the latent trajectory `z1`,
        `z2`, ... from the mean of z0; otherwise None.
    """
    at, labels = requested.at, requested.labels
    asked = np.arange(at.size) if requested.rows is None else requested.rows
    features, undo = schema.columns.features, schema.value_scaling.undo
    count = at.shape[1]
    per_series = samples * count * len(features)
    per_solve = max(1, min(SERIES_PER_SOLVE, MAX_SAMPLED_VALUES // per_series))
    names = pd.Series(seen.names, dtype=object)
    length = (span[1] - span[0]) or 1.0
    furthest = span[0] + FURTHEST * length
    before, after = at < starts[requested.series, None] - EARLY, at > furthest
    early, late = (int(each.ravel()[asked].sum()) for each in (before, after))
    reach = (float(at.max()) - span[0]) / length if at.size else 0.0
    if reach > FAR:
        log.warning(
            "forecasts reach %.3g times as far as the training series do; beyond them the bands "
            "are not calibrated, and likely too narrow",
            reach,
        )
    frames, latent = [], []
    for places in torch.arange(len(at)).split(per_solve):
        chosen = torch.from_numpy(requested.series[places.numpy()])
        wanted = torch.from_numpy(at[places.numpy()])
        model_times = wanted.clamp(max=furthest).float().to(device)
        observed = series.take(chosen).to(device).pad(torch.arange(len(chosen)))
        level: Tensor | float = 0.0
        if usual is not None:
            centre = Centre.of(observed, usual.to(device))
            observed, level = centre.model_input(observed), centre.level
        empty = torch.from_numpy((before | after)[places.numpy()]).unsqueeze(-1)
        found = [
            undo((x + level).double().cpu()).masked_fill(empty, torch.nan).flatten(0, 1).numpy()
            for x in bands(model, observed, model_times, samples, step)
        ]
        of_rows = names[chosen.numpy()].repeat(count).to_numpy()
        rows = {schema.form.series_column: of_rows, schema.form.time_column: labels(places)}
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
            "%d rows are before the first observation of their series, where predictions start, "
            "and are empty",
            early,
        )
    if late:
        log.warning(
            "%d rows are later than %d times the span of the training series, too far for the "
            "model to predict, and are empty",
            late,
            FURTHEST,
        )
    return (
        pd.concat(frames, ignore_index=True).iloc[asked].reset_index(drop=True),
        pd.concat(latent, ignore_index=True).iloc[asked].reset_index(drop=True)
        if with_latent
        else None,
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
        series: The series of `seen`, as read by `schema.series`.
        times: Times of all rows of `seen`, as returned by `row_times`; None for one class per
            series.
    """
    assert schema.classes is not None
    frames = []
    for start in range(0, len(seen), SERIES_PER_SOLVE):
        chosen = torch.arange(start, min(start + SERIES_PER_SOLVE, len(seen)))
        some, all_of_them = series.take(chosen).to(device), torch.arange(len(chosen))
        observed = (some if times is None else some.with_values()).pad(all_of_them)
        asked = some.pad(all_of_them).times
        if hasattr(model, "encode"):
            z0, _ = model.encode(observed)
            states = model.states(z0.unsqueeze(0), asked)
            logits = model.classify(z0.unsqueeze(0), states)[0]
        else:
            logits = model.classify(model.read(observed), asked)
        probabilities = logits.softmax(-1).cpu().numpy()
        for row, i in enumerate(chosen.tolist()):
            columns: dict[str, Any] = {schema.form.series_column: seen.names[i]}
            of_rows = probabilities[row]
            if times is not None:
                first, last = int(seen.offsets[i]), int(seen.offsets[i + 1])
                of_rows = of_rows[: last - first]
                columns[schema.form.time_column] = schema.times.unparse(times[first:last])
            else:
                of_rows = of_rows[None]
            for place, name in enumerate(schema.classes):
                columns[f"probability of {name}"] = of_rows[:, place]
            frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def row_times(schema: SeriesSchema, seen: Measurements, table: TableFile | None) -> np.ndarray:
    """The time of each row, in the form of `SeriesTimes.raw`, shape `(row,)`.

    Measurements store times since the first one of a series. Their sum with the first time may
    differ in its last digits from the time in the table, so the nearest time there is returned.

    Args:
        table: The table that the series come from; None for test series.
    """
    elapsed = (
        np.round(seen.times * 1e9).astype(np.int64) if schema.times.in_seconds else seen.times
    )
    found = np.repeat(seen.origins, np.diff(seen.offsets)) + elapsed
    if table is None:
        return found
    known = np.unique(times_of(table, schema.form, schema.columns.time_kind))
    after = np.searchsorted(known, found).clip(1, len(known) - 1)
    low, high = known[after - 1], known[after]
    return np.where(found - low < high - found, low, high)
