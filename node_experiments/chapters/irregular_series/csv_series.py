"""A user's own series, from a CSV or parquet file."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ...data.splits import TRAINING_SHARE, Split, random_split, stratified_split
from ...data.table_file import TableFile, read_table
from ...errors import DataError
from .forecast_data import ForecastData, forecast_data
from .measurements import Measurements, read_measurements
from .series_schema import SeriesSchema
from .settings import CSVConfig
from .table_columns import find_columns, is_text
from .table_format import Columns, TableFormat
from .table_warnings import warn_of_columns
from .windows import training_windows, windows

__all__ = [
    "csv_data",
    "learned_data",
    "learned_schema",
    "read_user_table",
    "table_data",
    "table_format",
    "user_files",
    "with_series",
]

SERIES = "series"  # the column of a table that has none
SAMPLE, SAMPLES = "sample:", Path(__file__).parent / "sample_files"


def csv_data(
    settings: CSVConfig,
    seed: int = 0,
    device: torch.device | None = None,
    learned: dict[str, Any] | None = None,
) -> ForecastData:
    """Series of the user's file, 80 % of which train.

    Args:
        learned: What a checkpoint holds of its training file: it is used, and nothing is fitted.
            All series of another file than that one are test data.

    Raises:
        DataError: No file is named, or as in `read_table` and `read_measurements`.
    """
    table = read_user_table(settings)
    fingerprint = hashlib.sha256(user_file(settings).read_bytes()).hexdigest()
    return table_data(table, fingerprint, settings, seed, device, learned)


def table_data(
    table: TableFile,
    fingerprint: str,
    settings: CSVConfig,
    seed: int = 0,
    device: torch.device | None = None,
    learned: dict[str, Any] | None = None,
) -> ForecastData:
    """Series of a table, as `csv_data` gives them.

    Args:
        fingerprint: Hash of the file that the table comes from.

    Raises:
        DataError: As in `read_measurements`.
    """
    classifies = settings.task == "classification"
    if classifies and settings.label_column is None:
        form = table_format(settings)
        others = [str(name) for name in table.rows.columns if name not in
                  (form.series_column, form.time_column)]  # fmt: skip
        words = [name for name in others if others.count(name) == 1 and is_text(table, name, form)]
        found = f"; columns of words are {', '.join(map(repr, words))}" if words else ""
        raise DataError(f"dataset.task=classification needs dataset.label_column=<column>{found}")
    known: dict[str, Any] = {}
    if learned is None:
        form = table_format(settings)
        columns = find_columns(table, form)
        seen = read_measurements(table, form, columns)
        warn_of_columns(table, form, columns, seen)
        if classifies:
            check_classes(table, form, seen)
        check_count(table, settings, seen)
        seen, split = parts_of(table, settings, seen, columns)
        schema = SeriesSchema.fit(
            seen,
            form,
            columns,
            split.train.tolist(),
            scaling=settings.scaling,
            time_origin=settings.time_origin,
            time_scale=None
            if settings.time_scale in (None, "auto")
            else float(settings.time_scale),
        )
    else:
        schema = learned_schema(settings, learned)
        known = {"span": tuple(learned["span"]), "mean_gap": learned["mean_gap"]}
        seen = schema.read(table)
        if fingerprint == learned["sha256"]:
            seen, split = parts_of(table, settings, seen, schema.columns)
        else:
            if settings.window is not None:
                seen = windows(seen, settings.window * schema.columns.hour)
            every = torch.arange(len(seen))
            split = Split(every, torch.arange(0), every)
    series = schema.series(seen, need_labels=classifies)
    if learned is None and not classifies and int(series.lengths.max()) < 2:
        raise DataError(
            f"{table.source}: each of the {len(series)} series has one point, and dataset.task="
            f"{settings.task} needs two or more; see whether the column of series "
            "(dataset.series_column) numbers the rows"
        )
    data = forecast_data(
        split.of(series),
        settings,
        seed,
        device,
        classes=None if schema.classes is None else len(schema.classes),
        features=schema.columns.features,
        time_unit=schema.time_unit,
        scaling=schema.value_scaling,
        any_size=True,
        class_names=schema.classes,
        **known,
    )
    data.source = (schema, seen, series)
    data.learned = learned or {
        "schema": schema.to_dict(),
        "names": schema.names(),
        "sha256": fingerprint,
        "span": list(data.span),
        "mean_gap": data.mean_gap,
    }
    return data


def parts_of(
    table: TableFile, settings: CSVConfig, seen: Measurements, columns: Columns
) -> tuple[Measurements, Split]:
    """The series, cut into windows where that is asked for, and which of them train.

    Raises:
        DataError: No series is longer than a window, or none than five of them.
    """
    if settings.window is None:
        return seen, split_of(seen, settings)
    longest = float(seen.times.max()) / columns.hour
    if settings.window >= longest:
        unit = f" in the unit of {settings.time_column!r}" if columns.hour == 1 else " h"
        raise DataError(
            f"{table.source}: dataset.window={settings.window:g} leaves every series whole; the "
            f"longest takes {longest:.4g}{unit}; choose a smaller one"
        )
    cut, split = training_windows(seen, settings.window * columns.hour)
    if not len(split.validation) or not len(split.test):
        raise DataError(
            f"{table.source}: dataset.window={settings.window:g} cuts too few windows to validate "
            "and to test on; choose one that is at most a fifth of a series"
        )
    return cut, split


def check_count(table: TableFile, settings: CSVConfig, seen: Measurements) -> None:
    """Reject one series that is not cut: nothing would be left to test on."""
    if settings.window is None and len(seen) == 1:
        raise DataError(
            f"{table.source}: all rows are one series, and a model learns from several; cut it "
            "into windows with dataset.window=<time of one, in the unit of the time column, of "
            "dates in hours>"
        )


def check_classes(table: TableFile, form: TableFormat, seen: Measurements) -> None:
    """Reject labels from which nothing can be learned: one class, or about one for each label."""
    labels = [label for label in seen.labels if label]
    classes = sorted(set(labels))
    what = "series" if form.label_per == "series" else "rows"
    if len(classes) == 1:
        raise DataError(
            f"{table.source}: {form.label_column!r} has the one class {classes[0]!r}; to "
            "classify, at least two are needed"
        )
    if 2 * len(classes) > max(len(labels), 4):
        raise DataError(
            f"{table.source}: {form.label_column!r} has {len(classes)} different values in "
            f"{len(labels)} {what}, too many for classes; name another column with "
            "dataset.label_column, or write what they have in common"
        )


def learned_schema(settings: CSVConfig, learned: dict[str, Any]) -> SeriesSchema:
    """What a checkpoint has learned, to read a table that is written as the settings say."""
    schema = SeriesSchema.from_dict(learned["schema"])
    kept = {name: getattr(schema.form, name) for name in ("value_columns", "static_columns")}
    return replace(schema, form=replace(table_format(settings), **kept))


def learned_data(settings: CSVConfig, learned: dict[str, Any]) -> ForecastData:
    """What a model is built from, by what a checkpoint keeps; without any series."""
    schema = SeriesSchema.from_dict(learned["schema"])
    none: Any = []
    return ForecastData(
        train=none,
        validation=None,
        test=none,
        dim=len(schema.columns.features),
        classes=None if schema.classes is None else len(schema.classes),
        label_per=None if schema.classes is None else schema.form.label_per,
        span=(learned["span"][0], learned["span"][1]),
        mean_gap=learned["mean_gap"],
        task=settings.task,
        features=schema.columns.features,
        time_unit=schema.time_unit,
        scaling=schema.value_scaling,
        learned=learned,
        static=2 * len(schema.static_shift),
    )


def user_file(settings: CSVConfig) -> Path:
    """The file of `dataset.path`; `sample:<name>` is one that ships with the package.

    Raises:
        DataError: No file is named, or a sample that does not exist.
    """
    if settings.path is None:
        raise DataError(
            "dataset=csv reads the file that dataset.path names; it has a row for every "
            f"observation, with the columns {settings.series_column!r}, {settings.time_column!r} "
            "and values; to try, node-run dataset=csv --sample > patients.csv"
        )
    if not settings.path.startswith(SAMPLE):
        return Path(settings.path).expanduser()
    path = SAMPLES / f"{settings.path.removeprefix(SAMPLE)}.csv"
    if not path.is_file():
        known = ", ".join(f"{SAMPLE}{file.stem}" for file in sorted(SAMPLES.glob("*.csv")))
        raise DataError(f"dataset.path={settings.path!r} is no sample; there are {known}")
    return path


def user_files(settings: CSVConfig) -> list[Path]:
    """What a run reads."""
    return [] if settings.path is None else [user_file(settings)]


def read_user_table(settings: CSVConfig) -> TableFile:
    """The table of `dataset.path`, as it is written.

    Raises:
        DataError: As in `user_file` and `read_table`.
    """
    path = user_file(settings)
    table = read_table(path, settings.delimiter, settings.decimal, settings.encoding)
    return with_series(table, settings)


def with_series(table: TableFile, settings: CSVConfig) -> TableFile:
    """The table with a column of series, also where all of its rows are one.

    Raises:
        DataError: It is said to have no such column, and has one.
    """
    if settings.series_column is not None:
        return table
    if SERIES in table.rows.columns:
        raise DataError(
            f"{table.source}: with dataset.series_column=null all rows are one series, and the "
            f"table has a column {SERIES!r}; rename it, or set dataset.series_column={SERIES}"
        )
    return replace(table, rows=table.rows.assign(**{SERIES: "all"}))


def split_of(seen: Measurements, settings: CSVConfig) -> Split:
    """Training, validation and test series; of each class the same share where it is one label."""
    series, validation = len(seen), settings.validation_size
    if validation is None:
        validation = int(TRAINING_SHARE * series) // 5
    if settings.task == "classification" and settings.label_per == "series":
        return stratified_split(seen.labels, validation, settings.split_seed)
    return random_split(series, validation, settings.split_seed)


def table_format(settings: CSVConfig) -> TableFormat:
    """How the user says that the table is written."""
    values = settings.value_columns
    return TableFormat(
        series_column=settings.series_column or SERIES,
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
