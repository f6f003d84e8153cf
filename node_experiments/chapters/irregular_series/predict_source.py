"""The series to predict from: a user's table, or the observed points of the test series."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ...data.table_file import TableFile
from ...files import matching_files
from ..prediction import Inputs, as_table
from .csv_series import restored_schema
from .shipped.mimic_demo import first_hours
from .shipped.pbcseq import logarithms_of_visits
from .user_tables.later_tables import warn_of_far_series
from .user_tables.measurements import Measurements
from .user_tables.series_schema import SeriesSchema
from .user_tables.table_format import Columns, TableFormat
from .user_tables.user_table import (
    hash_of_files,
    read_as_written,
    read_user_table,
    user_file,
    with_series,
)
from .user_tables.windows import latest_window

__all__ = ["prediction_source"]

log = logging.getLogger(__name__)

# Preprocessing of a table by dataset, given its settings and the features of the model.
PREPARED: dict[str, Callable[..., TableFile]] = {
    "mimic_demo": first_hours,
    "pbcseq": logarithms_of_visits,
}


def prediction_source(
    trained: Any, inputs: Inputs | None
) -> tuple[SeriesSchema, Measurements, TableFile | None]:
    """The schema of a checkpoint, the series to predict from, and their table.

    Args:
        inputs: A table like the one that the model was trained on; for datasets of the package
            that are not tables, one with the columns `series` and `time` and the features. When
            None, the table of `dataset.path`; without one, the test series, which have no table.

    Raises:
        DataError: The table cannot be read.
    """
    data, settings = trained.data, trained.config.dataset
    if data.learned is None:
        schema = schema_of(data)
        if inputs is None:
            return schema, test_series(data, schema), None
        table = as_table(inputs)
        return schema, schema.read(table), table
    schema = restored_schema(settings, data.learned)
    if inputs is None and settings.path is None and data.source is not None:
        return schema, test_series_of_table(data), None
    if inputs is None:
        table = read_user_table(settings)
    else:
        as_written = partial(read_as_written, settings=settings)
        table = with_series(as_table(inputs, as_written), settings)
    if settings.name in PREPARED:
        table = PREPARED[settings.name](table, settings, schema.columns.features)
    seen = schema.read(table)
    file = user_file(settings) if inputs is None else inputs
    if isinstance(file, Path) and hash_of_files(matching_files(file)) == data.learned["sha256"]:
        log.warning(
            "%s: the model was trained on most of the series in this file; mode=eval tests it on "
            "the others",
            table.source,
        )
    if settings.observed_window is not None:
        seen = latest_window(seen, settings.observed_window * schema.columns.duration_unit)
    warn_of_far_series(table.source, schema, seen, data.span[1], data.mean_gap)
    return schema, seen, table


def schema_of(data: Any) -> SeriesSchema:
    """Schema of a dataset of the package that is not a table; times are in the dataset's unit."""
    features = data.features or tuple(f"x{n + 1}" for n in range(data.dim))
    shift, scale = (0.0,) * data.dim, (1.0,) * data.dim
    if data.scaling is not None:
        shift, scale = (tuple(x.tolist()) for x in (data.scaling.shift, data.scaling.scale))
    forecasts = data.test.data
    last = float(forecasts.target.times.max()) if forecasts.normalise_times_per_batch else 1.0
    classes = None if data.classes is None else tuple(map(str, range(data.classes)))
    form = TableFormat(
        value_columns=features,
        label_per=data.label_per or "series",
        every_row=data.task == "classification" and data.label_per == "time",
    )
    time_scale = data.time_unit.scale * last
    return SeriesSchema(form, Columns(features), classes, "file", 0.0, time_scale, shift, scale)


def test_series(data: Any, schema: SeriesSchema) -> Measurements:
    """Observed points of each test series, in the units of the data, with indices as names."""
    seen = data.test.data.observed
    values = schema.value_scaling.undo(seen.values.cpu().double()).numpy()
    if seen.feature_mask is not None:
        values = np.where(seen.feature_mask.cpu().numpy(), values, np.nan)
    size = len(seen)
    times = to_unit(seen.times, data.time_unit.scale)
    return Measurements(
        names=list(map(str, range(size))),
        offsets=seen.offsets.numpy(),
        times=times,
        origins=np.zeros(size),
        values=values,
        static=np.zeros((size, 0)),
        labels=[""] * (size if data.label_per != "time" else len(times)),
        where=lambda row: f"test series {int(seen.series_of_point[row])}",
    )


def to_unit(times: Tensor, scale: float) -> np.ndarray:
    """Convert model times to a unit (model time 1 is `scale`), with no more decimals than needed.

    Frame 3 of 28 is then 3, and not 2.9999999702.
    """
    single = times.cpu().numpy()
    exact = found = single.astype(np.float64) * scale
    for decimals in range(9, -1, -1):
        short = exact.round(decimals)
        found = np.where((short / scale).astype(np.float32) == single, short, found)
    return found


def test_series_of_table(data: Any) -> Measurements:
    """Observed points of each test series of a table, in the units of the table."""
    _, table, series = data.source
    observed = data.test.data.observed
    places = [table.names.index(name) for name in data.test_names]
    rows = []
    for place, number in sorted(zip(places, data.test.order().tolist(), strict=True)):
        first, last = table.offsets[place : place + 2]
        shown = observed.times[observed.offsets[number] : observed.offsets[number + 1]]
        rows.append(first + np.flatnonzero(np.isin(series.times[first:last], shown.cpu().numpy())))
    chosen, kept = np.sort(places), np.concatenate(rows)
    return Measurements(
        names=[table.names[place] for place in chosen],
        offsets=np.concatenate([[0], np.cumsum([len(some) for some in rows])]),
        times=table.times[kept],
        origins=table.origins[chosen],
        values=table.values[kept],
        static=table.static[chosen],
        labels=[""] * len(kept if data.label_per == "time" else chosen),
        where=lambda row: table.where(int(kept[row])),
    )
