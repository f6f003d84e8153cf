"""Prediction requests to a trained model, and its answers as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

from ..config import ConfigError
from ..data.table_file import TableFile, read_table
from ..errors import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Inputs",
    "Prediction",
    "Request",
    "as_table",
    "parse_times",
    "read_columns",
    "read_series_column",
]

Inputs: TypeAlias = pd.DataFrame | np.ndarray | Path


@dataclass(frozen=True)
class Request:
    """A prediction request to a trained model.

    Attributes:
        inputs: A table, an array of images, or a file of either; if None, the model's own test
            data (a user's series: `dataset.path`).
        times: Times to predict at, in the units of the data; a grid if None.
        samples: Number of draws to estimate quantiles from, or of points drawn from a flow.
        latent: Whether to return the latent trajectories too.
        after_last: Whether times count from the last observation of each series.
        rows: A table whose series and times are to be predicted, one answer per row, instead of
            `times`.
    """

    inputs: Inputs | None = None
    times: Sequence[float | str] | None = None
    samples: int = 100
    latent: bool = False
    after_last: bool = False
    rows: Inputs | None = None


@dataclass(frozen=True)
class Prediction:
    """The answer to a request.

    Attributes:
        table: The predictions, with the names and units of the data.
        description: The number and kind of the rows, such as `20 series`.
        figure: Draws the first predictions; None if there is nothing to draw.
        latent: Latent trajectories, if requested.
    """

    table: pd.DataFrame
    description: str
    figure: Callable[[], Figure] | None = None
    latent: pd.DataFrame | None = None


def as_table(inputs: Inputs, read: Callable[[Path], TableFile] | None = None) -> TableFile:
    """Return a user's table, from a file or a DataFrame.

    Args:
        read: Reads a file; if None, `read_table`, which detects the format of the file.

    Raises:
        DataError: It is not a table, or as in `read_table`.
    """
    if isinstance(inputs, Path):
        return read_table(inputs, single=True) if read is None else read(inputs)
    if isinstance(inputs, pd.DataFrame):
        return TableFile.of(inputs)
    raise DataError(
        f"a table is expected here, and this is a {type(inputs).__name__}; give a "
        "pandas.DataFrame, or the path of a CSV file"
    )


def read_columns(table: TableFile, columns: Sequence[str]) -> np.ndarray:
    """The named columns as numbers, shape `(row, column)`.

    Raises:
        DataError: A column is missing or occurs twice, or a cell is not a finite number.
    """
    names = [str(name) for name in table.rows.columns]
    for column in columns:
        if names.count(column) != 1:
            found = ", ".join(map(repr, names))
            raise DataError(
                f"{table.source}: the column {column!r} must occur exactly once; needed "
                f"are {', '.join(map(repr, columns))}, found {found[:300]}"
            )
    chosen = [table.rows.iloc[:, names.index(column)] for column in columns]
    if table.decimal == ",":
        chosen = [cells.astype(str).str.replace(",", ".", regex=False) for cells in chosen]
    for column, cells in zip(columns, chosen, strict=True):
        if cells.dtype.kind in "mM":  # pandas would convert these to nanoseconds
            raise DataError(f"{table.source}: {column!r} holds dates or times; write numbers")
    numbers = np.stack([pd.to_numeric(x, errors="coerce").to_numpy(float) for x in chosen], 1)
    bad = ~np.isfinite(numbers)
    if bad.any():
        row, place = (int(index) for index in np.argwhere(bad)[0])
        cell = str(chosen[place].iloc[row])[:30]
        raise DataError(f"{table.at(row)}: {columns[place]!r} is {cell!r}, which is not a number")
    return numbers


def parse_times(times: Sequence[float | str], first: float, last: float) -> np.ndarray:
    """The numeric times to predict at, increasing and distinct in single precision.

    Args:
        first, last: The range in which the model predicts.

    Raises:
        ConfigError: They are not numbers, or outside this range.
    """
    try:
        found = np.unique(np.asarray(times, dtype=float))
    except ValueError as error:
        raise ConfigError(
            "predict.times must be numbers here, in the model's units of time"
        ) from error
    if not first <= found[0] <= found[-1] <= last:
        raise ConfigError(
            f"predict.times are from {found[0]:g} to {found[-1]:g}; the model predicts from "
            f"{first:g} to {last:g}"
        )
    _, places = np.unique(found.astype(np.float32), return_index=True)
    kept: np.ndarray = found[places]
    return kept


def read_series_column(table: TableFile) -> tuple[list[str], np.ndarray]:
    """The distinct names in the column `series`, in order, and for each row the index of its name.

    Raises:
        DataError: There is no such column, or more than one, or a row without a name.
    """
    columns = [str(name) for name in table.rows.columns]
    if columns.count("series") != 1:
        found = ", ".join(map(repr, columns))
        raise DataError(
            f"{table.source}: the column 'series' must occur exactly once; found {found[:300]}"
        )
    cells = table.rows.iloc[:, columns.index("series")]
    text = cells.astype(object).where(cells.notna(), "").map(str).str.strip()
    if (empty := text == "").any():
        row = int(empty.to_numpy().argmax())
        raise DataError(f"{table.at(row)}: 'series' is empty; every row needs its series")
    numbers, names = pd.factorize(text)
    return list(names), numbers
