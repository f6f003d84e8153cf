"""The series that are predicted from: a user's table, or what a model sees of its test series."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..prediction import Inputs, table_in
from .csv_series import learned_schema
from .measurements import Measurements
from .series_schema import SeriesSchema
from .table_format import Columns, TableFormat
from .table_warnings import warn_of_far_series
from .user_table import read_user_table, with_series
from .windows import latest_window

__all__ = ["source_of"]


def source_of(trained: Any, inputs: Inputs | None) -> tuple[SeriesSchema, Measurements]:
    """What a checkpoint learned of its table, and the series of another one.

    Args:
        inputs: A table; when None, that of `dataset.path`, or the test series of a dataset that
            is no table of the user's.

    Raises:
        DataError: The table cannot be read.
    """
    data, settings = trained.data, trained.config.dataset
    if data.learned is not None:
        schema = learned_schema(settings, data.learned)
        given = None if inputs is None else with_series(table_in(inputs), settings)
        table = read_user_table(settings) if given is None else given
        seen = schema.read(table)
        if settings.observed_window is not None:
            seen = latest_window(seen, settings.observed_window * schema.columns.hour)
        warn_of_far_series(table.source, schema, seen, data.span[1])
        return schema, seen
    schema = schema_of(data)
    return schema, test_series(data, schema) if inputs is None else schema.read(table_in(inputs))


def schema_of(data: Any) -> SeriesSchema:
    """Names, scales and times of a dataset of the package."""
    features = data.features or tuple(f"x{n + 1}" for n in range(data.dim))
    shift, scale = (0.0,) * data.dim, (1.0,) * data.dim
    if data.scaling is not None:
        shift, scale = (tuple(x.tolist()) for x in (data.scaling.shift, data.scaling.scale))
    forecasts = data.test.data
    last = float(forecasts.target.times.max()) if forecasts.divide_by_last else 1.0
    classes = None if data.classes is None else tuple(map(str, range(data.classes)))
    form = TableFormat(value_columns=features, label_per=data.label_per or "series")
    return SeriesSchema(form, Columns(features), classes, "file", 0.0, last, shift, scale)


def test_series(data: Any, schema: SeriesSchema) -> Measurements:
    """What the model sees of each test series, in the units of the data; numbers are names."""
    seen = data.test.data.observed
    values = schema.value_scaling.undo(seen.values.double().cpu()).numpy()
    if seen.feature_mask is not None:
        values = np.where(seen.feature_mask.cpu().numpy(), values, np.nan)
    size = len(seen)
    times = seen.times.double().cpu().numpy()
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
