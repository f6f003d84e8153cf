"""What is asked of a trained model, and its answer as a table."""

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
    "asked_numbers",
    "numbers_in",
    "series_in",
    "table_in",
]

Inputs: TypeAlias = pd.DataFrame | np.ndarray | Path


@dataclass(frozen=True)
class Request:
    """What is asked of a trained model.

    Attributes:
        inputs: What it reads: a table, an array of images, or the file of one of them; its own
            test data (series of a user: `dataset.path`) when None.
        times: When it predicts, in the units of the data; a grid when None.
        samples: Draws behind quantiles, or points of a flow.
        latent: Whether the latent trajectories are wanted too.
        after_last: Whether times count from the last observation of each series.
    """

    inputs: Inputs | None = None
    times: Sequence[float | str] | None = None
    samples: int = 100
    latent: bool = False
    after_last: bool = False


@dataclass(frozen=True)
class Prediction:
    """The answer to a request.

    Attributes:
        table: What was predicted, with names and units of the data.
        of: What the rows are of, such as `20 series`.
        figure: Draws the first of them; None where there is nothing to draw.
        latent: Latent trajectories, if they were asked for.
    """

    table: pd.DataFrame
    of: str
    figure: Callable[[], Figure] | None = None
    latent: pd.DataFrame | None = None


def table_in(inputs: Inputs, read: Callable[[Path], TableFile] | None = None) -> TableFile:
    """A table of the user: a file, or a DataFrame that is there already.

    Args:
        read: Reads a file; when None, `read_table`, which finds how the file is written.

    Raises:
        DataError: It is no table, or as in `read_table`.
    """
    if isinstance(inputs, Path):
        return read_table(inputs, single=True) if read is None else read(inputs)
    if isinstance(inputs, pd.DataFrame):
        return TableFile.of(inputs)
    raise DataError(
        f"a table is expected here, and this is a {type(inputs).__name__}; give a "
        "pandas.DataFrame, or the path of a CSV file"
    )


def numbers_in(table: TableFile, columns: Sequence[str]) -> np.ndarray:
    """The named columns as numbers, shape `(row, column)`.

    Raises:
        DataError: A column that is not there once, or a cell that is no finite number.
    """
    names = [str(name) for name in table.rows.columns]
    for column in columns:
        if names.count(column) != 1:
            found = ", ".join(map(repr, names))
            raise DataError(
                f"{table.source}: the column {column!r} is not there once; needed are "
                f"{', '.join(map(repr, columns))}, found {found[:300]}"
            )
    chosen = [table.rows.iloc[:, names.index(column)] for column in columns]
    if table.decimal == ",":
        chosen = [cells.astype(str).str.replace(",", ".", regex=False) for cells in chosen]
    for column, cells in zip(columns, chosen, strict=True):
        if cells.dtype.kind in "mM":  # nanoseconds of which pandas would make numbers
            raise DataError(f"{table.source}: {column!r} holds dates or times; write numbers")
    numbers = np.stack([pd.to_numeric(x, errors="coerce").to_numpy(float) for x in chosen], 1)
    bad = ~np.isfinite(numbers)
    if bad.any():
        row, place = (int(index) for index in np.argwhere(bad)[0])
        cell = str(chosen[place].iloc[row])[:30]
        raise DataError(f"{table.at(row)}: {columns[place]!r} is {cell!r}, which is no number")
    return numbers


def asked_numbers(times: Sequence[float | str], first: float, last: float) -> np.ndarray:
    """Times to predict at that are numbers, rising, those that differ in single precision.

    Args:
        first, last: Between which the model predicts.

    Raises:
        ConfigError: They are no numbers, or outside.
    """
    try:
        found = np.unique(np.asarray(times, dtype=float))
    except ValueError as error:
        raise ConfigError(
            "predict.times are numbers here, in the model's units of time"
        ) from error
    if not first <= found[0] <= found[-1] <= last:
        raise ConfigError(
            f"predict.times are from {found[0]:g} to {found[-1]:g}; the model predicts from "
            f"{first:g} to {last:g}"
        )
    _, places = np.unique(found.astype(np.float32), return_index=True)
    kept: np.ndarray = found[places]
    return kept


def series_in(table: TableFile) -> tuple[list[str], np.ndarray]:
    """The names in the column `series`, in their order, and the number of each row's.

    Raises:
        DataError: There is no such column, or more than one, or a row without a name.
    """
    columns = [str(name) for name in table.rows.columns]
    if columns.count("series") != 1:
        found = ", ".join(map(repr, columns))
        raise DataError(
            f"{table.source}: the column 'series' is not there once; found {found[:300]}"
        )
    cells = table.rows.iloc[:, columns.index("series")]
    text = cells.astype(object).where(cells.notna(), "").map(str).str.strip()
    if (empty := text == "").any():
        row = int(empty.to_numpy().argmax())
        raise DataError(f"{table.at(row)}: 'series' is empty; every row needs its series")
    numbers, names = pd.factorize(text)
    return list(names), numbers
