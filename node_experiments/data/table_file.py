"""A user's table, read as it was written: text cells, and the line that each row came from.

The format of a CSV file is detected where it is not given: its encoding, delimiter and decimal
separator. Cells stay text, so that their meaning is decided in one place, where they are used.
"""

from __future__ import annotations

import codecs
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from ..errors import DataError, EmptyTableError
from .cell_text import text_of
from .delimited_text import cells_of, delimiter_of
from .file_content import read_decompressed, reject_other_kinds
from .separators import decimal_separator, without_thousands

__all__ = ["PARQUET", "TableFile", "read_cells", "read_table", "with_separators"]

log = logging.getLogger(__name__)

STATED = re.compile(r"\"?sep=(.)\"?(?=\r?\n)", re.IGNORECASE)
PARQUET = (".parquet", ".pq")  # suffixes of files with typed columns
DATAFRAME = "the DataFrame"
NULLABLE = {"i": "Int64", "u": "UInt64", "f": "Float64", "b": "boolean"}
# Zero-width characters, which programs and web pages leave in cells.
INVISIBLE = re.compile("[\u200b\u200e\u200f\u2060\ufeff]")


@dataclass(frozen=True)
class TableFile:
    """The rows of a table and where they came from.

    Attributes:
        source: Its name in messages: the path of a file, or `the DataFrame`.
        rows: One column for each column of the file. Text, with empty cells as they are, if it was
            a CSV file; typed if it was a parquet file or a DataFrame.
        decimal: Decimal separator of the text, `.` or `,`.
        lines: The line on which each row ends, or None where rows have no lines.
        files: The file of each row; None for a DataFrame.
        added: Columns that were added and are not in the file.
        times_in_index: Whether a DataFrame has times in an index without a name, which does not
            become a column.
    """

    source: str
    rows: pd.DataFrame
    decimal: str = "."
    lines: Sequence[int] | None = None
    files: Sequence[Path] | None = None
    added: tuple[str, ...] = ()
    times_in_index: bool = False
    _texts: dict[str, pd.Series] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def names(self) -> list[str]:
        """The columns of the file, in their order."""
        return [str(name) for name in self.rows.columns if name not in self.added]

    @classmethod
    def of(cls, frame: pd.DataFrame, source: str = DATAFRAME) -> TableFile:
        """Make a table from a DataFrame; named levels of its index become columns.

        Raises:
            DataError: It has no row.
        """
        if not len(frame):
            raise EmptyTableError(f"{source} has no row")
        names = frame.index.names
        levels = [n for n, name in enumerate(names) if name is not None and name not in frame]
        rows = frame.reset_index(level=levels) if levels else frame
        rows = without_arrow(rows.reset_index(drop=True))
        unnamed = [name is None or name != name for name in rows.columns]  # NaN: none either
        texts = ["" if no else str(name) for no, name in zip(unnamed, rows.columns, strict=True)]
        rows.columns = pd.Index(texts, dtype=object)
        times = (pd.DatetimeIndex, pd.TimedeltaIndex, pd.PeriodIndex)
        left = [n for n, name in enumerate(names) if name is None]
        in_index = any(isinstance(frame.index.get_level_values(n), times) for n in left)
        return cls(source, rows, times_in_index=in_index)

    def text(self, name: str) -> pd.Series:
        """The cells of a column as stripped text, as in `text_of`; kept, since many rules read it.

        The column must occur once.
        """
        if name not in self._texts:
            self._texts[name] = text_of(self.rows[name])
        return self._texts[name].copy(deep=False)

    @property
    def is_frame(self) -> bool:
        """Whether it is a DataFrame, which is corrected with pandas and not by settings."""
        return self.source == DATAFRAME

    def at(self, row: int) -> str:
        """Location of a row, for an error message: `patients.csv, line 12`."""
        source, first = self.source, 0
        if self.files is not None:
            source, first = str(self.files[row]), self.files.index(self.files[row])
        if self.lines is None:
            return f"{source}, row {row - first}"
        return f"{source}, line {self.lines[row]}"


def without_arrow(frame: pd.DataFrame) -> pd.DataFrame:
    """The same cells, with Arrow types converted to types of pandas and NumPy."""
    frame = frame.copy(deep=False)
    for place, dtype in enumerate(frame.dtypes):
        if not isinstance(dtype, pd.ArrowDtype):
            continue
        cells = frame.iloc[:, place]
        if name := NULLABLE.get(dtype.kind):
            cells = cells.astype(name)
        elif dtype.kind in "mM" or "dictionary" in str(dtype):  # times, durations, categories
            cells = pd.Series(cells.array.__arrow_array__().to_pandas().array, cells.index)
        else:
            cells = cells.astype(object)
        frame.isetitem(place, cells)
    return frame


def read_table(
    path: Path,
    delimiter: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    single: bool = False,
    thousands: str | None = None,
) -> TableFile:
    """Read a CSV file (also `.gz`, `.bz2`, `.xz` and `.zip`) or a parquet file.

    Parquet and compressed files are recognised by their first bytes, even if named `.csv`.

    Args:
        delimiter: Character between two cells; when None, the one of `, ; tab |` that splits the
            lines into most columns.
        decimal: `.` or `,`; when None, the comma if numbers are written with it alone; with
            `thousands`, the other of the two.
        encoding: Python's name of the encoding; when None, that of a byte order mark, else UTF-8,
            else Windows-1252, with a warning.
        single: Whether a single column is enough.
        thousands: Thousands separator of numbers such as `1,234,567.8`; when None, there is none.
            A blank includes non-breaking blanks.

    Raises:
        DataError: A file that is missing, damaged or not of its format; a line that has more or
            fewer cells than the first; both decimal separators.
    """
    table, between = read_cells(path, delimiter, encoding, single)
    return with_separators(table, between, decimal, thousands)


def with_separators(
    table: TableFile, delimiter: str, decimal: str | None, thousands: str | None
) -> TableFile:
    """The table with its decimal separator, and without thousands separators.

    Args:
        delimiter: That of its cells; '' if they are typed.
        decimal, thousands: As in `read_table`.

    Raises:
        DataError: As in `decimal_separator`.
    """
    found = None if delimiter else "."
    if thousands is not None:
        table = replace(table, rows=without_thousands(table.rows, thousands))
        found = {",": ".", ".": ","}.get(thousands, found)
    return replace(
        table, decimal=decimal or found or decimal_separator(table.rows, delimiter, table.at)
    )


def read_cells(
    path: Path, delimiter: str | None, encoding: str | None, single: bool = False
) -> tuple[TableFile, str]:
    """The cells of a file as they are written, and their delimiter; '' if they are typed.

    Raises:
        DataError: As in `read_table`.
    """
    named_parquet = path.suffix.lower() in PARQUET
    content = b"" if named_parquet else read_decompressed(path)
    if named_parquet or content.startswith(b"PAR1"):
        table, between = _read_parquet(path), ""
    else:
        table, between = _read_text(path, content, delimiter, encoding, single)
    return replace(table, files=[path] * len(table.rows)), between


def _read_text(
    path: Path, content: bytes, delimiter: str | None, encoding: str | None, single: bool
) -> tuple[TableFile, str]:
    """The cells of a text as they are written, and their delimiter."""
    reject_other_kinds(content, path)
    text = INVISIBLE.sub("", _decoded(content, path, encoding))
    if not text.strip():
        raise EmptyTableError(f"{path} is empty; its first line must name the columns")
    if stated := STATED.match(text):  # as Excel writes it; the line is still counted
        delimiter, text = delimiter or stated[1], text[stated.end() :]
    delimiter = delimiter_of(text, path, single) if delimiter is None else delimiter
    frame, lines = cells_of(text, delimiter, path)
    return TableFile(str(path), frame, ".", lines), delimiter


def _read_parquet(path: Path) -> TableFile:
    if not path.is_file():
        raise DataError(f"{path} is missing; dataset.path must name a file")
    try:
        frame = pd.read_parquet(path)
    except ImportError as error:
        raise DataError(
            f'{path}: parquet files need an extra: pip install "node-experiments[parquet]"'
        ) from error
    except Exception as error:  # each engine has its own exceptions
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path} is truncated or not a parquet file ({reason})") from error
    return TableFile.of(frame, str(path))


def _decoded(content: bytes, path: Path, encoding: str | None) -> str:
    if encoding is None and content[:4] in (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff"):
        encoding = "utf-32"
    if encoding is None and content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    if encoding is None and b"\x00" in content[:1000]:
        raise DataError(
            f"{path} is not a text file; if it is UTF-16, set dataset.encoding=utf-16-le or "
            "utf-16-be"
        )
    try:
        return content.decode(encoding or "utf-8-sig")
    except LookupError as error:
        raise DataError(f"dataset.encoding={encoding!r} is unknown to Python") from error
    except UnicodeDecodeError as error:
        if encoding is not None:
            raise DataError(
                f"{path} is not written in {encoding}: byte {error.start} does not belong to it; "
                "set dataset.encoding"
            ) from error
    log.warning("%s is not UTF-8; read as Windows-1252 (dataset.encoding=cp1252)", path.name)
    return content.removeprefix(codecs.BOM_UTF8).decode("cp1252", errors="replace")
