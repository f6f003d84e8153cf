"""Which series of a table train, validate and test, and what is too little to learn from."""

from __future__ import annotations

from ...data.splits import TRAINING_SHARE, Split, random_split, stratified_split
from ...data.table_file import TableFile
from ...errors import DataError
from .measurements import Measurements
from .settings import CSVConfig
from .table_format import Columns, TableFormat
from .windows import training_windows

__all__ = ["check_classes", "check_count", "parts_of"]


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
