"""Tables of reports, independent of their output format: a DataFrame, a caption and notes.

>>> import pandas
>>> error = Estimate.of([0.1, 0.3])
>>> frame = pandas.DataFrame({"model": ["rnn"], "error": [error.cell(".2f")]})
>>> ReportTable("errors", frame).texts()
[['rnn', '0.20 ± 0.14']]
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas
from pandas import DataFrame

__all__ = ["Cell", "Estimate", "ReportTable", "is_missing"]


@dataclass(frozen=True)
class Cell:
    """Table entry: a text for readers, with the numbers that it stands for.

    Attributes:
        values: The numbers, by the word that their column adds to the heading; the word of the
            main number is empty.
        bold: Set in bold.
    """

    text: str
    values: Mapping[str, Any] = field(default_factory=dict)
    bold: bool = False

    @classmethod
    def number(cls, value: float, form: str) -> Cell:
        """Cell of one number in a Python format."""
        return cls(f"{value:{form}}", {"": value})

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Estimate:
    """Mean over runs that differ in their seed.

    Attributes:
        spread: Sample standard deviation, None for a single run, NaN if a value is not finite; or
            another measure of spread that the caller gives.
        count: Number of runs.
    """

    mean: float
    spread: float | None
    count: int

    @classmethod
    def of(cls, values: Iterable[float], scale: float = 1.0) -> Estimate | None:
        """The estimate from these values; None if there are none."""
        scaled = [scale * value for value in values]
        if not scaled:
            return None
        spread = None
        if len(scaled) > 1:
            finite = all(map(math.isfinite, scaled))
            spread = statistics.stdev(scaled) if finite else math.nan
        return cls(sum(scaled) / len(scaled), spread, len(scaled))

    @property
    def error(self) -> float:
        """Standard error of the mean; NaN without a spread."""
        return float("nan") if self.spread is None else self.spread / self.count**0.5

    def cell(self, form: str = ".4g", spread: str = ".2g", count: int | None = None) -> Cell:
        """Cell with the text `mean ± spread (count)`.

        Args:
            form, spread: Formats of mean and spread.
            count: Show the number of runs if it is at least this; never when None.
        """
        text = f"{self.mean:{form}}"
        if self.spread is not None:
            text += f" ± {self.spread:{spread}}"
        if count is not None and self.count >= count:
            text += f" ({self.count})"
        return Cell(text, {"": self.mean, "spread": self.spread, "count": self.count})


Number = Cell | int | float


@dataclass
class ReportTable:
    """A table of a report.

    Attributes:
        frame: One column per heading; entries are text, numbers, cells, or None.
        caption: Text above the table: what the numbers are, their unit and epoch.
        notes: Verdicts and remarks below the table, one or more sentences each.
        more: Further tables of the same report.
        missing: Text of an entry that is None.
    """

    title: str
    frame: DataFrame
    caption: str = ""
    notes: Sequence[str] = ()
    more: Sequence[ReportTable] = ()
    missing: str = ""

    @classmethod
    def of(
        cls, title: str, headings: Sequence[str], rows: Iterable[Sequence[Any]], **parts: Any
    ) -> ReportTable:
        """A table from its rows."""
        frame = DataFrame(list(rows), columns=list(headings), dtype=object)
        return cls(title, frame, **parts)

    @property
    def headings(self) -> list[str]:
        """The names of the columns."""
        return [str(heading) for heading in self.frame.columns]

    def rows(self) -> list[list[Any]]:
        """The entries, row by row; None where there is none."""
        return [[None if is_missing(entry) else entry for entry in row] for row in self.entries()]

    def entries(self) -> list[list[Any]]:
        """The entries as they are."""
        return [list(row) for row in self.frame.itertuples(index=False, name=None)]

    def texts(self) -> list[list[str]]:
        """The entries as text, row by row."""
        return [
            [self.missing if entry is None else text(entry) for entry in row]
            for row in self.rows()
        ]

    def numeric(self) -> list[bool]:
        """Whether each column holds numbers."""
        columns = list(zip(*self.rows(), strict=True)) or [()] * len(self.headings)
        return [
            any(isinstance(entry, Number) for entry in column)
            and all(entry in (None, "") or isinstance(entry, Number) for entry in column)
            for column in columns
        ]

    def numbers(self) -> DataFrame:
        """DataFrame of plain values, with a column for each number of the cells."""
        columns: dict[str, list[Any]] = {}
        rows = self.rows()
        for place, heading in enumerate(self.headings):
            entries = [row[place] for row in rows]
            words = dict.fromkeys(
                word for entry in entries if isinstance(entry, Cell) for word in entry.values
            )
            texts = (entry for entry in entries if not (isinstance(entry, Cell) and entry.values))
            if not words or any(entry not in (None, "") for entry in texts):
                words = {"": None, **words}
            for word in words:
                columns[f"{heading} {word}".strip()] = [plain(each, word) for each in entries]
        return DataFrame(columns, dtype=object)


def is_missing(entry: Any) -> bool:
    """Whether an entry is missing."""
    return entry is None or entry is pandas.NA or (isinstance(entry, float) and entry != entry)


def text(entry: Any) -> str:
    """An entry as text."""
    return f"{entry:g}" if isinstance(entry, float) else str(entry)


def plain(entry: Any, word: str) -> Any:
    """The value of an entry for a word of its column's heading; None if it has none."""
    if not isinstance(entry, Cell):
        return None if word else entry
    if not entry.values:
        return None if word else entry.text
    return entry.values.get(word)
