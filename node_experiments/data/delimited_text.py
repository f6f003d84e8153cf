"""Parsing of a CSV file's text into cells: delimiter, header line, comments and damage.

Only unambiguous defects are repaired; everything else is reported with its line.
"""

from __future__ import annotations

import csv
import io
import logging
import re
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import pandas as pd

from ..errors import DataError, EmptyTableError

__all__ = ["cells_of", "delimiter_of"]

log = logging.getLogger(__name__)

DELIMITERS = (",", ";", "\t", "|")
COMMENT = "#"
ANNOTATIONS = ("#group", "#datatype", "#default")  # above each table in a file written by InfluxDB
MAX_ROWS_BELOW_TITLE = (
    20  # rows after which a wider line is no longer taken for a header below a title
)
SAMPLE = 200  # records by which the delimiter is chosen
BLOCK = 10_000  # records read at once
NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")

Record = tuple[int, list[str]]


def cells_of(text: str, delimiter: str, path: Path) -> tuple[pd.DataFrame, Sequence[int]]:
    """The cells below the header as stripped text, and the line on which each row ends.

    Comments (lines that start with `#` and are not rows) and repeated headers are left out, with a
    warning.

    Raises:
        DataError: A line has more or fewer cells than the header, or no line is below it.
    """
    header, records, comments = _header(_records(text, delimiter, path))
    names = [" ".join(name.split()) for name in header]
    named = max((place for place, name in enumerate(names, 1) if name), default=0)
    columns: list[list[str]] = [[] for _ in names]
    lines, repeated_headers, annotated = array("q"), 0, False

    def rows() -> Iterator[list[str]]:
        nonlocal repeated_headers, comments, annotated
        for line, cells in records:
            if not names[0] and cells[0].strip() in ANNOTATIONS:
                annotated = True
                comments += 1
                continue
            if annotated and [cell.strip() for cell in cells] != header:
                raise DataError(
                    f"{path}, line {line}: another table with different columns starts, as in "
                    "files of InfluxDB; export one table, as with |> group() in Flux, or split "
                    "the file"
                )
            annotated = False
            if len(cells) != len(names):
                if cells[0].startswith(COMMENT):
                    comments += 1
                    continue
                while len(cells) > len(names) and not cells[-1].strip():
                    cells.pop()  # trailing delimiters
                if named <= len(cells):
                    cells += [""] * (len(names) - len(cells))  # missing trailing delimiters
            if len(cells) != len(names):
                below_title = len(cells) > len(names) and len(lines) <= MAX_ROWS_BELOW_TITLE
                if below_title and _are_names(cells, next(records, (0, []))[1]):
                    raise DataError(
                        f"{path}: the first line seems to be a title, and line {line} to name the "
                        "columns: remove what is above"
                    )
                hint = ""
                if not len(lines) and len(cells) == len(names) + 1:
                    hint = " If R wrote row names, leave them out with row.names=FALSE."
                if not len(lines) and len(cells) < len(names):
                    hint = (
                        " If lines about the file are above the one that names the columns, as "
                        "loggers write them, remove them."
                    )
                raise DataError(
                    f"{path}, line {line}: {len(cells)} cells; the first line names {len(names)} "
                    "columns; is the file cut off, or is a cell that holds the delimiter not "
                    f"quoted?{hint}"
                )
            if cells[0] == header[0] and [cell.strip() for cell in cells] == header:
                repeated_headers += 1
                continue
            lines.append(line)
            yield cells

    below = rows()
    while block := list(islice(below, BLOCK)):
        for column, cells in zip(columns, zip(*block, strict=True), strict=True):
            column.extend(map(str.strip, cells))
    if not lines:
        raise EmptyTableError(f"{path} has no line after the one that names the columns")
    for count, which in (
        (comments, f"start with {COMMENT}"),
        (repeated_headers, "repeat the names"),
    ):
        if count:
            log.warning("%s: lines that %s are not read: %d", path.name, which, count)
    marked = sum(cell.startswith(COMMENT) for cell in columns[0])
    if 0 < marked < len(lines):
        log.warning(
            "%s: %d rows start with %s and have all cells; they are read as data, not as comments",
            path.name,
            marked,
            COMMENT,
        )
    while len(columns) > named and not any(columns[-1]):
        columns.pop()
    frame = pd.DataFrame(dict(enumerate(columns)), dtype=object)
    frame.columns = pd.Index(names[: len(columns)], dtype=object)
    return frame, lines


def delimiter_of(text: str, path: Path, single: bool) -> str:
    """The delimiter that splits the first records into equally many cells, as many as possible.

    Args:
        single: Whether a single column is enough.

    Raises:
        DataError: None of the usual delimiters splits them, or a record is damaged.
    """
    widths: dict[str, tuple[bool, int]] = {}
    damaged: dict[str, DataError] = {}
    below_title: list[str] = []
    for candidate in DELIMITERS:
        try:
            header, records, _ = _header(_records(text, candidate, path))
            sizes = [len(cells) for _, cells in islice(records, SAMPLE)]
        except DataError as error:
            damaged[candidate] = error
            continue
        # A column of decimal commas is split in two as well, but not in the header.
        if len(header) > 1:
            same = sum(abs(size - len(header)) <= 1 for size in sizes) / max(len(sizes), 1)
            widths[candidate] = (same > 0.9, len(header))
        elif len(sizes) > 1 and min(sizes[1:]) == max(sizes[1:]) > 1:
            below_title.append(candidate)
    if not widths and single and not damaged:
        return DELIMITERS[0]
    if not widths:
        line = text.strip().partition("\n")[0]
        blanks = _cut_by_blanks(text, path)
        if damaged and below_title and blanks is None:
            raise DataError(
                f"{path}: the first line seems to be a title; remove what is above the line that "
                "names the columns"
            )
        if damaged and blanks is None:
            raise damaged[max(damaged, key=line.count)]
        remedy = (
            "this line must name the columns (remove a title above it); name another delimiter "
            "with dataset.delimiter"
        )
        if blanks is not None:
            remedy = f"cells seem to be separated by blanks: set \"dataset.delimiter=' '\"{blanks}"
        raise DataError(
            f"{path}, line 1: only one column is found in {' '.join(line.split())[:60]!r} with "
            f"the delimiters , ; | and tab; {remedy}"
        )
    return max(widths, key=lambda candidate: widths[candidate])


def _cut_by_blanks(text: str, path: Path) -> str | None:
    """Further advice if blanks split records like the header; None if they do not."""
    try:
        header, records, _ = _header(_records(text, " ", path))
        sizes = [len(cells) for _, cells in islice(records, SAMPLE)]
    except DataError:
        return None
    size = max(set(sizes), key=sizes.count, default=0)
    if len(header) < 2 or sizes.count(size) < 0.9 * len(sizes):
        return None
    r_hint = ", and leave out the row names, in R with row.names=FALSE"
    return {len(header): "", len(header) + 1: r_hint}.get(size)


def _are_names(cells: Sequence[str], below: Sequence[str]) -> bool:
    """Whether no cell is a number, and as many cells below them contain one."""
    if len(cells) != len(below) or not all(map(str.strip, cells)):
        return False
    of_both = [any(NUMBER.fullmatch(cell.strip()) for cell in row) for row in (cells, below)]
    return of_both == [False, True]


def _records(text: str, delimiter: str, path: Path) -> Iterator[Record]:
    """The records that are not empty: the line on which each ends, and its cells."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True
    )
    try:
        for cells in reader:
            if "".join(cells).strip():
                yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: {error}; is a quotation mark missing, or the file "
            "cut off?"
        ) from error


def _header(records: Iterator[Record]) -> tuple[list[str], Iterator[Record], int]:
    """The header, the records below it, and the number of comments above it.

    The last of the comments is taken as the header if a row with numbers follows it.
    """
    comments: list[list[str]] = []
    for line, cells in records:
        stripped = [cell.strip() for cell in cells]
        if stripped[0].startswith(COMMENT):
            comments.append(stripped)
            continue
        is_row = any(map(NUMBER.fullmatch, stripped))
        if not (is_row and comments and len(comments[-1]) == len(cells)):
            return stripped, records, len(comments)
        records = chain([(line, cells)], records)
        break
    if not comments:
        return [], records, 0
    first, *others = comments.pop()
    return [first.lstrip(COMMENT).strip(), *others], records, len(comments)
