"""A user's own series, from a CSV or parquet file."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ...data.errors import DataError
from ...data.splits import Split, random_split
from ...data.table_file import TableFile, read_table
from .batches import ForecastData, forecast_data
from .chapter import CSVConfig
from .measurements import read_measurements
from .series_schema import SeriesSchema
from .table_columns import find_columns
from .table_format import TableFormat

__all__ = ["csv_data", "table_data", "table_format"]


def csv_data(
    settings: CSVConfig,
    seed: int = 0,
    device: torch.device | None = None,
    learned: dict[str, Any] | None = None,
    for_prediction: bool = False,
) -> ForecastData:
    """Series of the user's file, 80 % of which train.

    Args:
        learned: What a checkpoint holds of its training file: it is used, and nothing is fitted.
            All series of another file than that one are test data.
        for_prediction: The series need nothing that could be tested, such as labels or a future.

    Raises:
        DataError: No file is named, or as in `read_table` and `read_measurements`.
    """
    if settings.path is None:
        raise DataError(
            "dataset=csv reads the file that dataset.path names; it has a row for every "
            f"observation, with the columns {settings.series_column!r}, {settings.time_column!r} "
            "and values"
        )
    path = Path(settings.path).expanduser()
    table = read_table(path, settings.delimiter, settings.decimal, settings.encoding)
    fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()
    return table_data(table, fingerprint, settings, seed, device, learned, for_prediction)


def table_data(
    table: TableFile,
    fingerprint: str,
    settings: CSVConfig,
    seed: int = 0,
    device: torch.device | None = None,
    learned: dict[str, Any] | None = None,
    for_prediction: bool = False,
) -> ForecastData:
    """Series of a table, as `csv_data` gives them.

    Args:
        fingerprint: Hash of the file that the table comes from.

    Raises:
        DataError: As in `read_measurements`.
    """
    classifies = settings.task == "classification"
    if classifies and settings.label_column is None:
        raise DataError("dataset.task=classification needs dataset.label_column=<column>")
    known: dict[str, Any] = {}
    if learned is None:
        form = table_format(settings)
        columns = find_columns(table, form)
        seen = read_measurements(table, form, columns)
        split = split_of(len(seen), settings)
        schema = SeriesSchema.fit(
            seen,
            form,
            columns,
            split.train.tolist(),
            scaling=settings.scaling,
            time_origin=settings.time_origin,
            time_scale=settings.time_scale,
        )
    else:
        schema = SeriesSchema.from_dict(learned["schema"])
        seen = schema.read(table)
        known = {"span": tuple(learned["span"]), "mean_gap": learned["mean_gap"]}
        every = torch.arange(len(seen))
        is_training_file = fingerprint == learned["sha256"] and not for_prediction
        split = (
            split_of(len(seen), settings)
            if is_training_file
            else Split(every, torch.arange(0), every)
        )
    series = schema.series(seen, need_labels=classifies and not for_prediction)
    task = "interpolation" if for_prediction else settings.task
    data = forecast_data(
        split.of(series),
        replace(settings, task=task, batch_size=min(settings.batch_size, len(split.train))),
        seed,
        device,
        classes=None if schema.classes is None else len(schema.classes),
        features=schema.columns.features,
        time_unit=schema.time_unit,
        scaling=schema.value_scaling,
        **known,
    )
    data.task, data.source = settings.task, (schema, seen, series)
    data.learned = learned or {
        "schema": schema.to_dict(),
        "sha256": fingerprint,
        "span": list(data.span),
        "mean_gap": data.mean_gap,
    }
    return data


def split_of(series: int, settings: CSVConfig) -> Split:
    """Training, validation and test series."""
    validation = settings.validation_size
    if validation is None:
        validation = int(0.8 * series) // 10
    return random_split(series, validation, settings.split_seed)


def table_format(settings: CSVConfig) -> TableFormat:
    """How the user says that the table is written."""
    values = settings.value_columns
    return TableFormat(
        series_column=settings.series_column,
        time_column=settings.time_column,
        value_columns=None if values is None else tuple(values),
        static_columns=tuple(settings.static_columns),
        label_column=settings.label_column,
        label_per=settings.label_per,
        variable_column=settings.variable_column,
        value_column=settings.value_column,
        missing=tuple(settings.missing),
        duplicates=settings.duplicates,
        time_format=settings.time_format,
    )
