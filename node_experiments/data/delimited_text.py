"""From the text of a CSV file to its cells: the delimiter, the line of names, comments, damage.

Only what can mean nothing else is repaired; everything else is reported with its line.
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

from ..errors import DataError

__all__ = ["cells_of", "delimiter_of"]

log = logging.getLogger(__name__)

DELIMITERS = (",", ";", "\t", "|")
COMMENT = "#"
ANNOTATIONS = ("#group", "#datatype", "#default")  # above each table in a file of InfluxDB
FEW = 20  # lines of a title
SAMPLE = 200  # records from which the delimiter is found
BLOCK = 10_000  # records read at once
NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")

Record = tuple[int, list[str]]


def cells_of(text: str, delimiter: str, path: Path) -> tuple[pd.DataFrame, Sequence[int]]:
    """The cells below the line of names as stripped text, and the line on which each row ends.

    Lines that start with `#` and are no rows, and lines that repeat the names, are left out, with
    a warning.

    Raises:
        DataError: A line that has more or fewer cells than the first, or no line below it.
    """
    header, records, comments = _header(_records(text, delimiter, path))
    names = [" ".join(name.split()) for name in header]
    named = max((place for place, name in enumerate(names, 1) if name), default=0)
    columns: list[list[str]] = [[] for _ in names]
    lines, again, annotated = array("q"), 0, False

    def rows() -> Iterator[list[str]]:
        nonlocal again, comments, annotated
        for line, cells in records:
            if not names[0] and cells[0].strip() in ANNOTATIONS:
                annotated = True
                comments += 1
                continue
            if annotated and [cell.strip() for cell in cells] != header:
                raise DataError(
                    f"{path}, line {line}: these are several tables of other columns, as InfluxDB "
                    "writes them; export one, such as with |> group() in Flux, or cut the file"
                )
            annotated = False
            if len(cells) != len(names):
                if cells[0].startswith(COMMENT):
                    comments += 1
                    continue
                while len(cells) > len(names) and not cells[-1].strip():
                    cells.pop()  # delimiters after the last cell
                if named <= len(cells):
                    cells += [""] * (len(names) - len(cells))  # none after the last cell
            if len(cells) != len(names):
                below_title = len(cells) > len(names) and len(lines) <= FEW
                if below_title and _are_names(cells, next(records, (0, []))[1]):
                    raise DataError(
                        f"{path}: the first line seems to be a title, and line {line} to name the "
                        "columns: remove what is above"
                    )
                of_r = ""
                if not len(lines) and len(cells) == len(names) + 1:
                    of_r = " Names of rows, as R writes them, are left out by row.names=FALSE."
                raise DataError(
                    f"{path}, line {line}: {len(cells)} cells; the first line names {len(names)} "
                    "columns; is the file cut off, or is a cell that holds the delimiter not "
                    f"quoted?{of_r}"
                )
            if cells[0] == header[0] and [cell.strip() for cell in cells] == header:
                again += 1
                continue
            lines.append(line)
            yield cells

    below = rows()
    while block := list(islice(below, BLOCK)):
        for column, cells in zip(columns, zip(*block, strict=True), strict=True):
            column.extend(map(str.strip, cells))
    if not lines:
        raise DataError(f"{path} has no line after the one that names the columns")
    for count, which in ((comments, f"start with {COMMENT}"), (again, "repeat the names")):
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
    """The delimiter that cuts the first records into the same, largest number of cells.

    Args:
        single: One column is enough.

    Raises:
        DataError: None of the usual ones cuts them, or a record is damaged.
    """
    widths: dict[str, tuple[bool, int]] = {}
    damaged: dict[str, DataError] = {}
    for candidate in DELIMITERS:
        try:
            header, records, _ = _header(_records(text, candidate, path))
            sizes = [len(cells) for _, cells in islice(records, SAMPLE)]
        except DataError as error:
            damaged[candidate] = error
            continue
        # A column of decimal commas is cut in two as well, but not in the line of names.
        if len(header) > 1:
            same = sum(abs(size - len(header)) <= 1 for size in sizes) / max(len(sizes), 1)
            widths[candidate] = (same > 0.9, len(header))
    if not widths and single and not damaged:
        return DELIMITERS[0]
    if not widths:
        line = text.strip().partition("\n")[0]
        blanks = _cut_by_blanks(text, path)
        if damaged and blanks is None:
            raise damaged[max(damaged, key=line.count)]
        remedy = (
            "this line must name the columns (remove a title above it); name another delimiter "
            "with dataset.delimiter"
        )
        if blanks is not None:
            remedy = f"blanks seem to be between the cells: set \"dataset.delimiter=' '\"{blanks}"
        raise DataError(
            f"{path}, line 1: no column but one is found in {' '.join(line.split())[:60]!r} with "
            f"the delimiters , ; | and tab; {remedy}"
        )
    return max(widths, key=lambda candidate: widths[candidate])


def _cut_by_blanks(text: str, path: Path) -> str | None:
    """What else to do where blanks cut records as the first one; None where they do not."""
    try:
        header, records, _ = _header(_records(text, " ", path))
        sizes = [len(cells) for _, cells in islice(records, SAMPLE)]
    except DataError:
        return None
    size = max(set(sizes), key=sizes.count, default=0)
    if len(header) < 2 or sizes.count(size) < 0.9 * len(sizes):
        return None
    of_r = ", and leave out the names of rows, in R with row.names=FALSE"
    return {len(header): "", len(header) + 1: of_r}.get(size)


def _are_names(cells: Sequence[str], below: Sequence[str]) -> bool:
    """Whether cells are words alone, and those below them as many and not."""
    if len(cells) != len(below) or not all(map(str.strip, cells)):
        return False
    of_both = [any(NUMBER.fullmatch(cell.strip()) for cell in row) for row in (cells, below)]
    return of_both == [False, True]


def _records(text: str, delimiter: str, path: Path) -> Iterator[Record]:
    """The cells of each record that is not empty, with the line on which it ends."""
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
    """The line of names, the records below it, and how many comments stand above it.

    The last of the comments is taken for the line of names where a row with numbers follows it.
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
