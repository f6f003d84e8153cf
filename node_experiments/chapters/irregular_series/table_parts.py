"""Which series of a table train, validate and test."""

from __future__ import annotations

from ...data.splits import TRAINING_SHARE, Split, random_split, stratified_split
from ...data.table_file import TableFile
from ...errors import DataError
from .measurements import Measurements
from .settings import CSVConfig
from .table_format import Columns
from .windows import training_windows

__all__ = ["parts_of"]


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


def split_of(seen: Measurements, settings: CSVConfig) -> Split:
    """Training, validation and test series; of each class the same share where it is one label."""
    series, validation = len(seen), settings.validation_size
    if validation is None:
        validation = int(TRAINING_SHARE * series) // 5
    if settings.task == "classification" and settings.label_per == "series":
        return stratified_split(seen.labels, validation, settings.split_seed)
    return random_split(series, validation, settings.split_seed)
