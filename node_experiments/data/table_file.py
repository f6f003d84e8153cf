"""A user's table, read as it was written: text cells, and the line that each row came from.

The form of a CSV file is found where it is not given: its encoding, its delimiter and the sign
of its decimals. Cells stay text, so that what they mean is decided once, by whoever reads them.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import logging
import lzma
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from ..errors import DataError
from .delimited_text import cells_of, delimiter_of

__all__ = ["TableFile", "read_table"]

log = logging.getLogger(__name__)

STATED = re.compile(r"\"?sep=(.)\"?(?=\r?\n)", re.IGNORECASE)
COMPRESSED = {b"\x1f\x8b": gzip, b"BZh": bz2, b"\xfd7zXZ": lzma}
PARQUET = (".parquet", ".pq")
# How files of other programs start, whatever they are called.
OTHERS = {
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"ARROW1": "a feather file",
    b"FEA1": "a feather file",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format": "a database",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"7z\xbc\xaf": "packed by 7-Zip",
    b"Rar!": "packed by RAR",
    b"<stata_dta>": "a Stata file",
    b"$FL2": "an SPSS file",
    b"$FL3": "an SPSS file",
    b"X\n\x00\x00\x00": "an R object",
    b"RDX": "R objects",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"\x93NUMPY": "a NumPy array",
    b'{"': "JSON",
    b"[{": "JSON",
    b"[\n": "JSON",
    b"<!": "a page of HTML or XML",
    b"<?": "a page of HTML or XML",
    b"<html": "a page of HTML or XML",
    b"version https://git-lfs": "a pointer of Git LFS to a file that was not downloaded",
}
DATAFRAME = "the DataFrame"
# Signs without a width, which programs and web pages leave between cells.
INVISIBLE = re.compile("[\u200b\u200e\u200f\u2060\ufeff]")
WITH_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
THOUSAND = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
WITH_POINT = re.compile(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?")
BLANKS = " \u00a0\u202f"  # those between digits of a number; two do not break a line


@dataclass(frozen=True)
class TableFile:
    """The rows of a table and where they came from.

    Attributes:
        source: How messages call it: the path of a file, or `the DataFrame`.
        rows: One column for each column of the file. Text where it was a CSV file, with empty
            cells as they are; typed where it was a parquet file or a DataFrame.
        decimal: Sign of decimals in the text, `.` or `,`.
        lines: The line on which each row ends, or None where rows have no lines.
        made: Columns that no file has.
    """

    source: str
    rows: pd.DataFrame
    decimal: str = "."
    lines: Sequence[int] | None = None
    made: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The columns of the file, in their order."""
        return [str(name) for name in self.rows.columns if name not in self.made]

    @classmethod
    def of(cls, frame: pd.DataFrame, source: str = DATAFRAME) -> TableFile:
        """A DataFrame; the levels of its index that are named become columns.

        Raises:
            DataError: It has no row.
        """
        if not len(frame):
            raise DataError(f"{source} has no row")
        names = frame.index.names
        levels = [n for n, name in enumerate(names) if name is not None and name not in frame]
        rows = frame.reset_index(level=levels) if levels else frame
        rows = rows.reset_index(drop=True)
        unnamed = [name is None or name != name for name in rows.columns]  # NaN: none either
        texts = ["" if no else str(name) for no, name in zip(unnamed, rows.columns, strict=True)]
        rows.columns = pd.Index(texts, dtype=object)
        return cls(source, rows)

    @property
    def is_frame(self) -> bool:
        """Whether it never was a file: it is mended with pandas, and not by settings."""
        return self.source == DATAFRAME

    def at(self, row: int) -> str:
        """Where a row is, for a message: `patients.csv, line 12`."""
        if self.lines is None:
            return f"{self.source}, row {row}"
        return f"{self.source}, line {self.lines[row]}"


def read_table(
    path: Path,
    delimiter: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    single: bool = False,
    thousands: str | None = None,
) -> TableFile:
    """Read a CSV file (also `.gz`, `.bz2`, `.xz` and `.zip`) or a parquet file.

    Parquet and packed files are known by how they start, also where they are called `.csv`.

    Args:
        delimiter: Sign between two cells; when None, the one of `, ; tab |` that cuts the lines
            into most columns.
        decimal: `.` or `,`; when None, the comma if numbers are written with it alone, and the
            one of both that does not part the thousands.
        encoding: As Python calls it; when None, that of a byte order mark, else UTF-8, else
            Windows-1252, which is said in the log.
        single: One column is enough.
        thousands: What parts the thousands of numbers, `1,234,567.8`; when None, nothing does.
            A blank is also one that does not break a line.

    Raises:
        DataError: A file that is missing, damaged or not of its format; a line that has more or
            fewer cells than the first; decimals of both kinds.
    """
    named_parquet = path.suffix.lower() in PARQUET
    content = b"" if named_parquet else _content(path)
    if named_parquet or content.startswith(b"PAR1"):
        table, between, found = _read_parquet(path), "", "."
    else:
        table, between = _read_text(path, content, delimiter, encoding, single)
        found = None
    if thousands is not None:
        table = replace(table, rows=_without_thousands(table.rows, thousands))
        found = {",": ".", ".": ","}.get(thousands, found)
    return replace(table, decimal=decimal or found or _decimal(table, between))


def _read_text(
    path: Path, content: bytes, delimiter: str | None, encoding: str | None, single: bool
) -> tuple[TableFile, str]:
    """The cells of a text as they are written, and what is between them."""
    first = content[:200].removeprefix(codecs.BOM_UTF8).lstrip()
    for start, what in OTHERS.items():
        if first.startswith(start):
            raise DataError(f"{path} is {what}; write its table as a CSV or parquet file")
    text = INVISIBLE.sub("", _decoded(content, path, encoding))
    if not text.strip():
        raise DataError(f"{path} is empty; its first line must name the columns")
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
        raise DataError(f"{path} is truncated or no parquet file ({reason})") from error
    return TableFile.of(frame, str(path))


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        for start, module in COMPRESSED.items():
            if content.startswith(start):
                return module.decompress(content)
        if content[:4] == b"PK\x03\x04":
            return _unzipped(content, path)
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is missing; dataset.path must name a CSV or parquet file"
        ) from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder; dataset.path must name a CSV file in it") from error
    except RuntimeError as error:
        raise DataError(f"{path} cannot be unpacked here ({error}); unpack it") from error
    except (EOFError, OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path} is truncated or unreadable ({error}); get it again") from error
    return content


def _unzipped(content: bytes, path: Path) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [each.filename for each in archive.infolist() if not each.is_dir()]
        names = [name for name in names if not re.search(r"^__MACOSX/|(^|/)\.", name)]
        if any(name.startswith("xl/") or name == "mimetype" for name in names):
            raise DataError(
                f"{path} is a workbook of Excel or LibreOffice; save the sheet as a CSV file"
            )
        if len(names) != 1:
            raise DataError(f"{path} holds {len(names)} files; pack one CSV file, or unpack it")
        return archive.read(names[0])


def _decoded(content: bytes, path: Path, encoding: str | None) -> str:
    if encoding is None and content[:4] in (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff"):
        encoding = "utf-32"
    if encoding is None and content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    if encoding is None and b"\x00" in content[:1000]:
        raise DataError(
            f"{path} is no text file; if it is UTF-16, set dataset.encoding=utf-16-le or utf-16-be"
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


def _without_thousands(rows: pd.DataFrame, sign: str) -> pd.DataFrame:
    """The table, in whose numbers no sign is between the thousands."""
    parts = f"[{BLANKS}]" if sign == " " else re.escape(sign)
    number = rf"[+-]?[1-9]\d{{0,2}}(?:{parts}\d{{3}})+(?:[.,]\d*)?"
    rows = rows.copy()
    for place in range(rows.shape[1]):
        cells = rows.iloc[:, place]
        if cells.dtype != object and not pd.api.types.is_string_dtype(cells):
            continue
        texts = cells.where(cells.map(lambda cell: isinstance(cell, str)), "").str.strip()
        parted = texts.str.fullmatch(number).astype(bool)
        rows.isetitem(place, cells.mask(parted, texts.str.replace(parts, "", regex=True)))
    return rows


def _decimal(table: TableFile, delimiter: str) -> str:
    """The sign of decimals that the cells are written with.

    Raises:
        DataError: Both signs are, or 1,234, or 1.234 between semicolons, as where commas are the
            sign of decimals, may be a number above a thousand.
    """
    _ask_for_thousands(table)
    commas = _written(table, ",", WITH_COMMA)
    points = _written(table, ".", WITH_POINT) if commas.size or delimiter == ";" else commas
    if commas.size and points.size:
        if delimiter == ",":
            return "."
        raise DataError(
            f"numbers are written with a comma ({table.at(commas.index[0])}) and with a point "
            f"({table.at(points.index[0])}); set dataset.decimal to one of them, or "
            "dataset.thousands to the one that parts thousands"
        )
    either = commas if delimiter == "," else points
    if either.size and all(map(THOUSAND.fullmatch, either)):
        sign = "," if delimiter == "," else "."
        raise DataError(
            f"{table.at(either.index[0])}: {either.iloc[0]!r} is a number above a thousand, or "
            f"one with three decimals; set dataset.thousands={sign!r}, or dataset.decimal={sign!r}"
        )
    return "," if commas.size else "."


def _ask_for_thousands(table: TableFile) -> None:
    """Reject a column of whole numbers to 999 that seem to go on above a thousand: 939, 1,008.

    Raises:
        DataError: With the first such number.
    """
    for place in range(table.rows.shape[1]):
        cells = table.rows.iloc[:, place]
        signed = cells[cells.str.contains("[.,]", regex=True)]
        if not signed.size or not all(map(THOUSAND.fullmatch, signed)):
            continue
        whole = pd.to_numeric(cells[cells.str.fullmatch(r"[+-]?\d+").astype(bool)]).abs()
        least = pd.to_numeric(signed.str.replace(r"[.,]", "", regex=True)).abs().min()
        if whole.size and 100 <= whole.max() < 1000 and least < 10 * whole.max():
            sign = re.search("[.,]", signed.iloc[0])
            assert sign is not None
            raise DataError(
                f"{table.at(signed.index[0])}: {signed.iloc[0]!r} is a number above a thousand, "
                "or one with three decimals; set "
                f"dataset.thousands={sign[0]!r}, or dataset.decimal={sign[0]!r}"
            )


def _written(table: TableFile, sign: str, pattern: re.Pattern[str]) -> pd.Series:
    """The cells that are numbers with a sign of decimals, sorted by their rows."""
    found = []
    for place in range(table.rows.shape[1]):
        cells = table.rows.iloc[:, place]
        cells = cells[cells.str.contains(sign, regex=False)]
        found.append(cells[cells.str.fullmatch(pattern).astype(bool)])
    return pd.concat(found).sort_index(kind="stable")
