"""A user's own series, from a CSV or parquet file."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...data.splits import Split
from ...data.table_file import TableFile
from ...errors import DataError
from .forecast_data import ForecastData, forecast_data, read_static
from .settings import CSVConfig
from .user_tables.known_series import series_keys, warn_of_known_series
from .user_tables.measurements import Measurements
from .user_tables.outliers import warn_of_outliers
from .user_tables.series_schema import SeriesSchema
from .user_tables.table_columns import require_column
from .user_tables.table_parts import parts_of
from .user_tables.time_warnings import warn_of_long_series, warn_of_two_paces
from .user_tables.training_table import read_training_table
from .user_tables.user_table import hash_of_files, read_user_table, table_format, user_files
from .user_tables.windows import windows

__all__ = ["csv_data", "restored_data", "restored_schema", "table_data"]

log = logging.getLogger(__name__)


def csv_data(
    settings: CSVConfig,
    seed: int = 0,
    device: torch.device | None = None,
    learned: dict[str, Any] | None = None,
) -> ForecastData:
    """Series of the user's file, 80 % of which are for training.

    Args:
        learned: What a checkpoint stores about its training file; if given, nothing is fitted.
            All series of any other file are test data.

    Raises:
        DataError: No file is named, or as in `read_table` and `read_training_table`.
    """
    table = read_user_table(settings)
    fingerprint = hash_of_files(user_files(settings))
    return table_data(table, fingerprint, settings, seed, device, learned)


def table_data(
    table: TableFile,
    fingerprint: str,
    settings: CSVConfig,
    seed: int = 0,
    device: torch.device | None = None,
    learned: dict[str, Any] | None = None,
) -> ForecastData:
    """The same as `csv_data`, for a table that is already read.

    Args:
        fingerprint: Hash of the files that the table comes from.

    Raises:
        DataError: As in `read_training_table`.
    """
    classifies = settings.task == "classification"
    known: dict[str, Any] = {}
    of_series, keys = "", []
    if learned is None:
        form, columns, seen = read_training_table(table, settings)
        of_series, keys = digest(seen), series_keys(seen)
        scale = settings.fixed_time_scale
        whole = seen
        seen, split = parts_of(table, settings, seen, columns)
        if settings.window is None:  # else each series is in all parts
            keys = [keys[i] for i in torch.cat([split.train, split.validation]).tolist()]
        warn_of_outliers(table.source, columns.features, whole, seen.values_of(split.train))
        schema = SeriesSchema.fit(
            seen,
            form,
            columns,
            split.train.tolist(),
            scaling=settings.scaling,
            time_origin=settings.time_origin,
            time_scale=scale and scale * columns.duration_unit,
        )
        if scale is None:
            warn_of_long_series(table.source, schema, seen, split.train.tolist())
        warn_of_two_paces(table.source, schema, seen)
    else:
        schema = restored_schema(settings, learned)
        if classifies and schema.form.label_column is not None:
            remedy = "an evaluation compares its labels with the classes; mode=predict needs none"
            require_column(table, schema.form.label_column, remedy)
        known = {
            "span": tuple(learned["span"]),
            "mean_gap": learned["mean_gap"],
            "target_gap": target_gap(learned),
            "mean": training_mean(learned, schema) if tells_mean(learned, settings) else None,
        }
        seen = schema.read(table)
        if fingerprint == learned["sha256"]:
            if digest(seen) != learned.get("series", digest(seen)):
                raise DataError(
                    f"{table.source}: other series are found than when the model was trained on "
                    "this file, and training series would be tested on; leave out the settings on "
                    "how to read the file, such as dataset.series_column or missing"
                )
            seen, split = parts_of(table, settings, seen, schema.columns)
        else:
            warn_of_known_series(table.source, seen, learned.get("known_series", ()))
            settings = replace(settings, train_size=None, test_size=None)
            if settings.window is not None:
                seen = windows(seen, settings.window * schema.columns.duration_unit)
            every = torch.arange(len(seen))
            split = Split(every, torch.arange(0), every)
    series = schema.series(seen, need_labels=classifies)
    if learned is None and not classifies and int(series.lengths.max()) < 2:
        raise DataError(
            f"{table.source}: each of the {len(series)} series has one point, and dataset.task="
            f"{settings.task} needs two or more; check whether the column of series "
            "(dataset.series_column) is in fact a row number"
        )
    data = forecast_data(
        split.of(series),
        settings,
        seed,
        device,
        classes=None if schema.classes is None else len(schema.classes),
        features=schema.columns.features,
        time_unit=schema.times.unit,
        scaling=schema.value_scaling,
        allow_small=True,
        class_names=schema.classes,
        **known,
    )
    data.of_table = True
    data.source = (schema, seen, series)
    tested = split.test[data.test.data.kept.cpu()][data.test.order()]
    data.test_names = tuple(seen.names[i] for i in tested.tolist())
    data.learned = learned or {
        "schema": schema.to_dict(),
        "names": schema.names(),
        "sha256": fingerprint,
        "series": of_series,
        "known_series": keys,
        "span": list(data.span),
        "mean_gap": data.mean_gap,
        "target_gap": data.target_gap,
        "mean": data.mean.tolist(),
    }
    return data


def tells_mean(learned: dict[str, Any], settings: CSVConfig) -> bool:
    """Whether the mean of the training series is known from a checkpoint of any version.

    If not, it is that of the series that are read, which a warning says.
    """
    if "mean" in learned or settings.scaling == "standard":
        return True
    log.warning(
        "the checkpoint is from a version that did not store the mean of its training series: "
        "simple forecasts take that of the training part of this file"
    )
    return False


def training_mean(learned: dict[str, Any], schema: SeriesSchema) -> Tensor:
    """Mean of each feature over the training series of a checkpoint, shape `(feature,)`."""
    # Checkpoints of earlier versions do not store it; with the default scaling it is 0.
    return torch.tensor(learned.get("mean", [0.0] * len(schema.columns.features)))


def target_gap(learned: dict[str, Any]) -> float:
    """Mean time between two targets, or between two observations with an earlier checkpoint."""
    return learned.get("target_gap", learned["mean_gap"])


def digest(seen: Measurements) -> str:
    """Hash of the names of the series, to check that two readings of a file found the same."""
    return hashlib.sha256("\n".join(seen.names).encode()).hexdigest()


def restored_schema(settings: CSVConfig, learned: dict[str, Any]) -> SeriesSchema:
    """Schema stored in a checkpoint, with the file format of the given settings."""
    schema = SeriesSchema.from_dict(learned["schema"])
    kept = {name: getattr(schema.form, name) for name in ("value_columns", "static_columns")}
    return replace(schema, form=replace(table_format(settings), **kept))


def restored_data(settings: CSVConfig, learned: dict[str, Any]) -> ForecastData:
    """The data that a model is built from, restored from a checkpoint; without any series."""
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
        target_gap=target_gap(learned),
        mean=training_mean(learned, schema),
        task=settings.task,
        features=schema.columns.features,
        time_unit=schema.times.unit,
        scaling=schema.value_scaling,
        learned=learned,
        static=read_static(2 * len(schema.static_shift), settings, len(schema.columns.features)),
        centres=settings.centre_series,
    )
