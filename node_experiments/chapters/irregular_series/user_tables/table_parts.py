"""Split of the series of a table into training, validation and test parts."""

from __future__ import annotations

from ....data.splits import TRAIN_FRACTION, Split, group_split, random_split, stratified_split
from ....data.table_file import TableFile
from ....errors import DataError
from ..settings import CSVConfig
from .measurements import Measurements
from .table_cells import names_of_series, nonempty_column
from .table_format import NAMELESS, Columns
from .user_table import table_format
from .windows import training_windows

__all__ = ["parts_of"]


def parts_of(
    table: TableFile, settings: CSVConfig, seen: Measurements, columns: Columns
) -> tuple[Measurements, Split]:
    """The series, cut into windows if `dataset.window` is set, and their split.

    Raises:
        DataError: No series is longer than a window, or too few windows are left to validate or
            test on.
    """
    if settings.window is None:
        if settings.group_column is not None:
            groups = groups_of(table, settings, seen)
            size = settings.validation_size
            every = len(seen) if size is None else size
            return seen, group_split(groups, every, settings.split_seed)
        return seen, split_of(seen, settings)
    longest = float(seen.times.max()) / columns.duration_unit
    if settings.window >= longest:
        unit = f" in the unit of {settings.time_column!r}" if columns.duration_unit == 1 else " h"
        raise DataError(
            f"{table.source}: dataset.window={settings.window:g} leaves every series whole; the "
            f"longest takes {longest:.4g}{unit}; choose a smaller one"
        )
    cut, split = training_windows(seen, settings.window * columns.duration_unit)
    if not len(split.validation) or not len(split.test):
        raise DataError(
            f"{table.source}: dataset.window={settings.window:g} cuts too few windows to validate "
            "and to test on; choose one that is at most a fifth of a series"
        )
    return cut, split


def groups_of(table: TableFile, settings: CSVConfig, seen: Measurements) -> list[str]:
    """The group of each series.

    Raises:
        DataError: A row has no group, or a series has several.
    """
    name = settings.group_column
    assert name is not None
    form = table_format(settings)
    groups = nonempty_column(table, name, "group", NAMELESS).groupby(names_of_series(table, form))
    if (several := groups.nunique() > 1).any():
        series = several.index[several][0]
        found = groups.unique()[series]
        raise DataError(
            f"{table.source}: series {series!r} is in the groups {found[0]!r} and {found[1]!r} of "
            f"{name!r}, and must be in one; if series of several groups have the same name, join "
            "both columns into one series column"
        )
    return groups.first()[seen.names].tolist()


def split_of(seen: Measurements, settings: CSVConfig) -> Split:
    """Split at random into training, validation and test series, stratified by class if any."""
    series, validation = len(seen), settings.validation_size
    if validation is None:
        validation = int(TRAIN_FRACTION * series) // 5
    if settings.task == "classification" and settings.label_per == "series":
        return stratified_split(seen.labels, validation, settings.split_seed)
    return random_split(series, validation, settings.split_seed)
