"""A user's own series, from a CSV or parquet file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from ...data.errors import DataError
from ...data.splits import random_split
from ...data.table_file import read_table
from .batches import ForecastData, forecast_data
from .chapter import CSVConfig
from .measurements import read_measurements
from .series_schema import SeriesSchema
from .table_columns import find_columns
from .table_format import TableFormat

__all__ = ["csv_data", "table_format"]


def csv_data(
    settings: CSVConfig, seed: int = 0, device: torch.device | None = None
) -> ForecastData:
    """Series of the user's file, 80 % of which train.

    Raises:
        DataError: No file is named, or as in `read_table` and `read_measurements`.
    """
    if settings.path is None:
        raise DataError(
            "dataset=csv reads the file that dataset.path names; it has a row for every "
            f"observation, with the columns {settings.series_column!r}, {settings.time_column!r} "
            "and values"
        )
    classifies = settings.task == "classification"
    if classifies and settings.label_column is None:
        raise DataError("dataset.task=classification needs dataset.label_column=<column>")
    table = read_table(
        Path(settings.path).expanduser(), settings.delimiter, settings.decimal, settings.encoding
    )
    form = table_format(settings)
    columns = find_columns(table, form)
    seen = read_measurements(table, form, columns)
    validation = settings.validation_size
    if validation is None:
        validation = int(0.8 * len(seen)) // 10
    split = random_split(len(seen), validation, settings.split_seed)
    schema = SeriesSchema.fit(
        seen,
        form,
        columns,
        split.train.tolist(),
        scaling=settings.scaling,
        time_origin=settings.time_origin,
        time_scale=settings.time_scale,
    )
    batch_size = min(settings.batch_size, len(split.train))
    return forecast_data(
        split.of(schema.series(seen, need_labels=classifies)),
        replace(settings, batch_size=batch_size),
        seed,
        device,
        classes=None if schema.classes is None else len(schema.classes),
        features=columns.features,
        time_unit=schema.time_unit,
        scaling=schema.value_scaling,
    )


def table_format(settings: CSVConfig) -> TableFormat:
    """How the user says that the table is written."""
    values = settings.value_columns
    return TableFormat(
        series_column=settings.series_column,
        time_column=settings.time_column,
        value_columns=None if values is None else tuple(values),
        label_column=settings.label_column,
        label_per=settings.label_per,
        variable_column=settings.variable_column,
        value_column=settings.value_column,
        missing=tuple(settings.missing),
        duplicates=settings.duplicates,
        time_format=settings.time_format,
    )
