"""A user's own series: a CSV file with a line for every observation."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import NamedTuple

import torch

from ...data.errors import DataError
from ...data.ragged import (
    RaggedSeries,
    ragged,
)
from ...data.scaling import Scaling
from ...data.splits import random_split
from .batches import (
    ForecastData,
    forecast_data,
)
from .chapter import CSVConfig
from .text_archives import text_lines

__all__ = ["csv_data", "load_csv"]


class Columns(NamedTuple):
    """Where in a line each part is."""

    series: int
    time: int
    values: list[int]
    label: int | None


class Observation(NamedTuple):
    """One line."""

    line: int
    time: float
    values: list[float]
    label: str


def csv_data(
    settings: CSVConfig, seed: int = 0, device: torch.device | None = None
) -> ForecastData:
    """Series of a CSV file, 80 % of which train.

    Raises:
        DataError: As in `load_csv`, or no file is named.
    """
    path, label_column = settings.path, settings.label_column
    if path is None:
        raise DataError(
            "dataset=csv reads the file that dataset.path names; it has a line for every "
            f"observation, with the columns {settings.series_column}, "
            f"{settings.time_column} and values"
        )
    series, classes, features = load_csv(
        Path(path).expanduser(),
        settings.series_column,
        settings.time_column,
        settings.value_columns,
        label_column,
        settings.label_per,
        need_labels=settings.task == "classification",
    )
    if settings.task == "classification" and label_column is None:
        raise DataError("dataset.task=classification needs dataset.label_column")
    split = random_split(len(series), settings.validation_size, settings.split_seed)
    scale = Scaling.fit(series.take(split.train), settings.scaling)
    return forecast_data(
        split.of(scale(series)),
        settings,
        seed,
        device,
        classes=None if label_column is None else len(classes),
        features=tuple(features),
        scaling=scale,
    )


def load_csv(
    path: Path,
    series_column: str,
    time_column: str,
    value_columns: list[str] | None,
    label_column: str | None,
    label_per: str,
    need_labels: bool = False,
) -> tuple[RaggedSeries, list[str], list[str]]:
    """Series in the order in which the file names them; their lines need not be together.

    An empty cell, or `nan`, is a value that was not observed. Times are counted from the first in
    the file on, so that dates in seconds do not lose their digits.

    Args:
        label_per: `series`: all lines of a series that have a label have the same. `time`: each
            line has its own.
        need_labels: Refuse a series (or, for `time`, a line) without label; else it is -1.

    Returns:
        The series, the names of the classes, sorted, and those of the columns of values.

    Raises:
        DataError: A line that does not fit, times that do not rise, a series without any value, or
            a label that is missing; the message names the line.
    """
    lines = text_lines(path, "dataset.path must name a CSV file")
    header = next(lines, None)
    if header is None:
        raise DataError(f"{path} is empty; its first line must name the columns")
    names = [name.strip() for name in next(csv.reader([header[1]]))]
    columns = find_columns(path, names, series_column, time_column, value_columns, label_column)
    groups: dict[str, list[Observation]] = {}
    for number, line in lines:
        name, observation = read_line(f"{path}, line {number}", line, names, columns, number)
        groups.setdefault(name, []).append(observation)
    if not groups:
        raise DataError(f"{path} has no line after the one that names the columns")
    first = min(row.time for rows in groups.values() for row in rows)
    for name, rows in groups.items():
        check_series(path, name, rows, first)

    # A line without any value says nothing, but may carry the label of its series.
    kept = {
        name: [row for row in rows if not all(map(math.isnan, row.values))]
        for name, rows in groups.items()
    }
    classes, label = [], None
    if label_column is not None:
        if label_per == "series":
            of_each = [series_label(path, *group, need_labels) for group in groups.items()]
        else:
            of_each = [row.label for rows in kept.values() for row in rows]
            unlabelled = [row.line for rows in kept.values() for row in rows if not row.label]
            if need_labels and unlabelled:
                raise DataError(
                    f"{path}, line {unlabelled[0]}: the column {label_column} is empty"
                )
        classes = sorted(set(of_each) - {""})
        places = {name: place for place, name in enumerate(classes)} | {"": -1}
        label = torch.tensor([places[each] for each in of_each])
    rows = [row for rows in kept.values() for row in rows]
    values = torch.tensor([row.values for row in rows], dtype=torch.float64)
    observed = ~values.isnan()
    series = ragged(
        torch.tensor([row.time - first for row in rows], dtype=torch.float64),
        values.masked_fill(~observed, 0),
        torch.tensor([len(rows) for rows in kept.values()]),
        None if bool(observed.all()) else observed,
        label,
        None if label is None else label_per,
    )
    return series, classes, [names[place] for place in columns.values]


def find_columns(
    path: Path,
    names: list[str],
    series_column: str,
    time_column: str,
    value_columns: list[str] | None,
    label_column: str | None,
) -> Columns:
    """The places of the columns that are read."""
    special = [series_column, time_column, *([] if label_column is None else [label_column])]
    values = [n for n in names if n not in special] if value_columns is None else value_columns
    for name in (*special, *values):
        if names.count(name) != 1:
            found = "twice" if name in names else "not"
            raise DataError(
                f"{path}, line 1: the column {name!r} is {found} there; found "
                f"{', '.join(names)[:200]}; name the columns with dataset.series_column, "
                "time_column, value_columns and label_column"
            )
    if not values:
        raise DataError(f"{path}, line 1: no column is left that holds values")
    return Columns(
        names.index(series_column),
        names.index(time_column),
        [names.index(name) for name in values],
        None if label_column is None else names.index(label_column),
    )


def read_line(
    at: str, line: str, names: list[str], columns: Columns, number: int
) -> tuple[str, Observation]:
    """The name of a series, and one observation of it."""
    cells = [cell.strip() for cell in next(csv.reader([line]))]
    if len(cells) != len(names):
        raise DataError(
            f"{at}: {len(cells)} cells; the first line names {len(names)} columns; is the file "
            "cut off?"
        )

    def parsed(place: int) -> float:
        if cells[place] == "":
            return math.nan
        try:
            value = float(cells[place])
        except ValueError as error:
            raise DataError(
                f"{at}: {names[place]} is {cells[place][:20]!r}, which is no number"
            ) from error
        if math.isinf(value):
            raise DataError(f"{at}: {names[place]} is infinite")
        return value

    if not cells[columns.series]:
        raise DataError(f"{at}: the column {names[columns.series]} is empty")
    time = parsed(columns.time)
    if math.isnan(time):
        raise DataError(f"{at}: the column {names[columns.time]} is empty or nan")
    label = "" if columns.label is None else cells[columns.label]
    values = [parsed(place) for place in columns.values]
    return cells[columns.series], Observation(number, time, values, label)


def check_series(path: Path, name: str, rows: list[Observation], first: float) -> None:
    """Refuse times that do not rise after `first`, and a series without any value."""
    times = torch.tensor([row.time - first for row in rows], dtype=torch.float64)
    single = times.float().tolist()
    for i in range(1, len(rows)):
        if single[i] <= single[i - 1]:
            raise DataError(
                f"{path}, line {rows[i].line}: the times of series {name!r} must rise strictly, "
                f"also in single precision; {rows[i].time} comes after {rows[i - 1].time}"
            )
    if all(math.isnan(value) for row in rows for value in row.values):
        raise DataError(f"{path}, line {rows[0].line}: series {name!r} has no observation")


def series_label(path: Path, name: str, rows: list[Observation], need: bool) -> str:
    """The one label of a series."""
    labelled = [row for row in rows if row.label]
    if need and not labelled:
        raise DataError(f"{path}, line {rows[0].line}: series {name!r} has no label")
    for row in labelled:
        if row.label != labelled[0].label:
            raise DataError(
                f"{path}, line {row.line}: series {name!r} has the label {row.label!r} after "
                f"{labelled[0].label!r}; set dataset.label_per=time if it changes"
            )
    return labelled[0].label if labelled else ""
