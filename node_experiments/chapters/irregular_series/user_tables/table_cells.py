"""The cells of a table as text and numbers, and what to do about those that are unreadable."""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np
import pandas as pd

from ....data.cell_text import text_of
from ....data.table_file import TableFile
from ....errors import DataError
from .shell_settings import setting_of_list
from .table_format import MISSING, NAMELESS, NAMES, TableFormat

__all__ = [
    "MINUS",
    "NUMBER",
    "THOUSANDS",
    "codes_of",
    "has_words",
    "is_missing",
    "is_missing_name",
    "is_nameless",
    "looks_numeric",
    "names_of_series",
    "nonempty_column",
    "number_of",
    "numbers_of",
    "parse_numbers",
    "reject_line_of_units",
    "reject_number",
    "shortest_text",
    "variables_of",
    "words_for_unknown",
]

NUMBER = r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?"
# Pairs of words for 1 and 0.
YES_OR_NO = (("true", "false"), ("yes", "no"), ("y", "n"), ("on", "off"))
MINUS = "\u2212"  # the minus sign of word processors and plots
MAY_BE_NAMES = ("na", "n/a")  # a region or country, or "not applicable"
SODIUM = "Na"  # in this spelling never a missing value
UNIT = r"[^\d\s.,;:/+#-][^\d\s]{0,11}"  # 1.#QNAN has none: it is a NaN of Windows
FEATURES = "if the column is not a feature, name those that are with dataset.value_columns"
NOTHING = "is not a number; if it means that nothing was observed, "
# Cells that people mean as numbers, and what to do about each.
THOUSANDS = r"[+-]?\d{1,3}(?:[,.' \u00a0\u202f]\d{3})+(?:[.,]\d+)?"
DECIMAL_COMMA = r"[+-]?\d*,\d+"
LIMIT = rf"(?:[<>~≤≥±]|<=|>=) ?{NUMBER}(?: ?{UNIT})?"
MAGNITUDE = r"(?:\d[\d.,' \u00a0\u202f]*|[.,]\d+)"
NEGATIVE = rf"{MAGNITUDE} ?[-\u2212]|\( ?[-+]?{MAGNITUDE} ?\)"
MONEY = r"[$€£¥₹₩]|R\$|kr\.?|Rs\.?|USD|EUR|GBP|CHF|JPY|CAD|AUD|CNY|INR|SEK|NOK|DKK"
INDIAN_THOUSANDS = r"[+-]?\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?"
# Exponents of Fortran and of text, and spreadsheets' quotes.
OTHER_NOTATIONS = (
    r"[+-]?\d*\.\d*[dD][+-]?\d+|[+-]?\d[\d.]* ?[x\u00d7*\u00b7] ?10 ?(?:\^|\*\*) ?[+-]?\d+"
    rf"|'{NUMBER}|=\"{NUMBER}\""
)
# Words of instruments for values that they cannot measure.
BEYOND = r"(?:low|high|lo|hi|ovld|over(?:load|range)?|under(?:range)?|saturated|clipped)"
SHOWN_WORDS = 5  # words that a message proposes as codes for missing values
FLAG = r"[*!†‡§#^]{1,3}|[\[(]?(?:HH?|LL?|[Hh]igh|[Ll]ow)[\])]?[*!]?|\((?:[a-z]|[*+!])\)"
REMEDIES = {
    NEGATIVE: (
        "is not a number; some programs write negative numbers like this: if it is one, write "
        "the minus before it (-{magnitude}), else write the number alone"
    ),
    rf"{NUMBER} {{0,3}}(?:{FLAG})|[*!†‡§#^]{{1,3}} ?{NUMBER}": (
        "is a number with a flag or a unit; write the number alone, and a flag into another "
        "column, or a unit into the column's name"
    ),
    THOUSANDS: "is a number with a separator of thousands; set {thousands}",
    DECIMAL_COMMA: "has a decimal comma; write points, or set dataset.decimal=','",
    r"[+-]?\d*\.\d+": (
        "has a point, and the decimals of this table are written with a comma; write a comma, or "
        "set dataset.decimal=. and dataset.thousands=null if points are decimal points"
    ),
    LIMIT: ("is a limit and not a number; write a number that stands for it, or set {missing}"),
    rf"{NUMBER} ?(?:/|±|\+/-) ?{NUMBER}(?: ?{UNIT})?": (
        "holds two numbers; write them into two columns"
    ),
    INDIAN_THOUSANDS: "is a number with a separator of thousands; set {thousands}",
    OTHER_NOTATIONS: "is a number in another notation; write it as 1500, 1500.5 or 1.5e3",
    rf"[+-]?(?:{MONEY}) ?[+-]?{MAGNITUDE}|{MAGNITUDE} ?(?:{MONEY})": (
        "is an amount with a currency; write the number alone, and the currency into the column's "
        "name (if thousands are written as 1,234.5, set dataset.thousands=',')"
    ),
    rf"(?:{NUMBER}|{THOUSANDS})\s*{UNIT}(?: {UNIT})?|{NUMBER}\s+\S{{1,12}}": (
        "is a number with a unit; write the number alone, and the unit into the column's name"
    ),
    NUMBER: "is written with digits other than 0 to 9; use those",
}
REMEDIES_IN_FRAMES = REMEDIES | {
    THOUSANDS: (
        "is a number with a separator of thousands; remove it with .str.replace({separator!r}, '')"
    ),
    DECIMAL_COMMA: "has a decimal comma; make it a point with .str.replace(',', '.')",
    LIMIT: "is a limit and not a number; write a number that stands for it, or None",
}


def shortest_text(number: float | str) -> str:
    """The shortest text of a number that keeps all its digits.

    Whole numbers from 2**53, which a float may not hold exactly, stay as they are written.

    >>> shortest_text(-999.0), shortest_text("7.00"), shortest_text(1e20), shortest_text("99.90")
    ('-999', '7', '1e+20', '99.9')
    """
    value = float(number)
    if value.is_integer():
        return f"{value:.0f}" if abs(value) < 2**53 else str(number)
    return repr(value)


def names_of_series(table: TableFile, form: TableFormat) -> pd.Series:
    """The name of each row's series.

    Raises:
        DataError: A row has none.
    """
    return nonempty_column(table, form.series_column, "series", NAMELESS)


def nonempty_column(table: TableFile, name: str, role: str, nothing: Collection[str]) -> pd.Series:
    """A column as text, in which no cell may be empty.

    Args:
        nothing: Texts that count as empty, in lower case.

    Raises:
        DataError: A cell is empty.
    """
    cells = table.text(name)
    empty = cells.str.lower().isin(nothing)
    if empty.any():
        row = int(empty.to_numpy().argmax())
        cell = repr(cells.iloc[row]) if cells.iloc[row] else "empty"
        raise DataError(f"{table.at(row)}: {name!r} is {cell}; every row needs its {role}")
    return cells


def is_missing(text: pd.Series, form: TableFormat) -> pd.Series:
    """Mask of the cells that mean that nothing was observed."""
    text = text.str.strip()
    return text.str.lower().isin(MISSING) | text.isin(form.missing)


def is_nameless(text: pd.Series) -> pd.Series:
    """Mask of the cells that name no series or variable; NA, unlike in values, may be a name."""
    return text.str.strip().str.lower().isin(NAMELESS)


def is_missing_name(text: pd.Series, form: TableFormat) -> pd.Series:
    """Mask of the cells that are missing in a column of names, such as classes."""
    plain = text.str.strip()
    may_be_one = plain.str.lower().isin(NAMES) | (plain == SODIUM)
    return is_missing(text, form) & ~(may_be_one & ~text.isin(form.missing))


def words_for_unknown(text: pd.Series, form: TableFormat) -> list[str]:
    """Words of a column that count as missing but may be names, such as NA, sorted."""
    found = text[text.str.lower().isin(MAY_BE_NAMES) & is_missing_name(text, form)]
    return sorted(set(found) - set(form.missing))


def variables_of(table: TableFile, name: str, value: str, form: TableFormat) -> tuple[str, ...]:
    """The distinct variables that a column of a long table names, sorted.

    NA is the name of a variable if any of its rows has a value.
    """
    names, empty = table.text(name), is_missing(table.text(value), form)
    named = ~is_nameless(names) & ~(is_missing_name(names, form) & empty)
    return tuple(sorted(names[named].unique()))


def parse_numbers(table: TableFile, name: str, form: TableFormat) -> tuple[pd.Series, pd.Series]:
    """The numbers of a column, NaN if missing, and a mask of the cells that are not numbers."""
    cells = table.rows[name]
    codes = codes_of(name, form)
    bad = pd.Series(False, cells.index)
    is_number = pd.api.types.is_any_real_numeric_dtype(cells)
    if is_number or pd.api.types.is_bool_dtype(cells):
        values = cells.astype("Float64").to_numpy(np.float64, na_value=np.nan)
        numbers = pd.Series(values, cells.index)
        return numbers.mask(numbers.isin(codes)), bad
    text = table.text(name)
    plain = text
    if table.decimal == ",":  # a point may then be one of thousands
        plain = text.mask(text.str.contains(".", regex=False)).str.replace(",", ".", regex=False)
    numbers = pd.to_numeric(plain, errors="coerce").astype(float)
    words = text[numbers.isna()]  # none in most files, so only these cells are examined
    if len(words) and words.str.contains(MINUS, regex=False).any():
        plain = plain[words.index].str.replace(MINUS, "-", regex=False)
        numbers = numbers.fillna(pd.to_numeric(plain, errors="coerce").astype(float))
        words = text[numbers.isna()]
    if len(words):
        missing, lower = is_missing(words, form), words.str.lower()
        known = set(lower[~missing])
        pair = next((pair for pair in YES_OR_NO if known <= set(pair)), None)
        if known and pair is not None and numbers.dropna().isin((0, 1)).all():
            return numbers.fillna((lower == pair[0]).astype(float).mask(missing)), bad
        bad[words.index] = ~missing
    return numbers.mask(numbers.isin(codes)), bad


def has_words(table: TableFile, name: str, form: TableFormat) -> bool:
    """Whether a column holds words, including those that are read as numbers, such as yes."""
    text = table.text(name)
    return not text[~is_missing(text, form)].str.fullmatch(NUMBER).all()


def codes_of(name: str, form: TableFormat) -> list[float]:
    """Numbers that mean that nothing was observed, in a column or for a variable.

    >>> codes_of("pulse", TableFormat(missing=("-1", "n.d.", "pulse:0"))), codes_of(
    ...     "rain", TableFormat(missing=("-1", "n.d.", "pulse:0"))
    ... )
    ([-1.0, 0.0], [-1.0])
    """
    parts = (marker.rpartition(":") for marker in form.missing)
    own = [number for column, colon, number in parts if colon and column == name]
    return [x for marker in (*form.missing, *own) if (x := number_of(marker)) is not None]


def number_of(marker: str) -> float | None:
    """A code as a number; None if it is text."""
    try:
        return float(marker)
    except ValueError:
        return None


def is_meant(cell: str) -> bool:
    """Whether a cell is meant as a number."""
    return any(re.fullmatch(pattern, cell) for pattern in REMEDIES)


def looks_numeric(text: pd.Series) -> pd.Series:
    """Mask of the cells that are meant as numbers: with a unit, a limit, two numbers and so on."""
    return text.str.fullmatch("|".join(f"(?:{pattern})" for pattern in REMEDIES)).astype(bool)


def reject_number(
    table: TableFile, name: str, bad: pd.Series, form: TableFormat, otherwise: str = FEATURES
) -> None:
    """Raise for the first cell that is marked as not a number, and say what to do about it.

    Args:
        bad: Mask of the cells that are not numbers.
        otherwise: Advice that ends the message.
    """
    row = int(bad.to_numpy().argmax())
    cell = str(table.rows[name].iloc[row])[:30]
    codes = [c for c in dict.fromkeys(text_of(table.rows[name][bad])) if not is_meant(c)]
    missing = list(dict.fromkeys([*form.missing, *codes[:SHOWN_WORDS]]))
    what = f"{NOTHING}set {setting_of_list('missing', missing)}"
    if re.fullmatch(BEYOND, cell, re.IGNORECASE):
        what = f"is beyond a limit and not a number; write a number that stands for it, or {what}"
        what = what.replace(NOTHING, "")
    remedies = REMEDIES
    if table.is_frame:
        what, remedies, otherwise = f"{NOTHING}write None", REMEDIES_IN_FRAMES, ""
    for pattern, words in remedies.items():
        if re.fullmatch(pattern, cell):
            separator = re.sub(r"[\d+-]", "", cell)[:1]
            magnitude = re.sub(r"[^\d.,]", "", cell)
            separator = " " if separator.isspace() else separator
            thousands = f"dataset.thousands={separator!r}"
            thousands = f'"{thousands}"' if separator == " " else thousands  # as a shell takes it
            what = words.format(
                separator=separator,
                magnitude=magnitude,
                thousands=thousands,
                missing=setting_of_list("missing", [*form.missing, cell]),
            )
            break
    more = int(bad.sum()) - 1
    cells = f"{more} more cells of {name!r} are not numbers"
    if more == 1:
        cells = f"1 more cell of {name!r} is not a number"
    others, end = f" ({cells})" if more else "", f"; {otherwise}" if otherwise else ""
    raise DataError(f"{table.at(row)}: {name!r} is {cell!r}, which {what}{end}{others}")


def reject_line_of_units(table: TableFile, form: TableFormat) -> None:
    """Raise if the first row of a file has words where the second one has its time and numbers.

    Or the widths and types of the columns, as in files of the US Geological Survey (5s, 14n).
    """
    names = table.names
    if table.lines is None or len(table.rows) < 2 or names.count(form.time_column) != 1:
        return
    rows = table.rows.loc[:, ~table.rows.columns.isin(table.added)]
    first, second = ([str(cell) for cell in rows.iloc[row]] for row in (0, 1))
    if all(re.fullmatch(r"\d+[sdn]", cell) for cell in first):
        raise DataError(
            f"{table.at(0)} holds the widths and types of columns ({', '.join(first)}); remove it"
        )
    if any(re.fullmatch(NUMBER, cell) and cell != "1" for cell in first):  # 1: no dimension
        return
    words = [
        not re.search(r"\d", one) and re.search(r"\d", other) is not None
        for one, other in zip(first, second, strict=True)
    ]
    time = names.index(form.time_column)  # which may have no unit, unlike another column
    units = [word and cell.lower() not in MISSING for word, cell in zip(words, first, strict=True)]
    if words[time] and any(units[:time] + units[time + 1 :]):
        raise DataError(
            f"{table.at(0)} seems to be a line of units ({', '.join(first)}); remove it"
        )


def numbers_of(table: TableFile, name: str, form: TableFormat) -> pd.Series:
    """The numbers of a column, NaN where missing.

    Raises:
        DataError: A cell is neither a finite number nor missing.
    """
    numbers, bad = parse_numbers(table, name, form)
    if bad.any():
        reject_number(table, name, bad, form, FEATURES if form.value_columns is None else "")
    infinite = np.isinf(numbers.to_numpy())
    if infinite.any():
        raise DataError(
            f"{table.at(int(infinite.argmax()))}: {name!r} is infinite; leave the cell empty if "
            "nothing was observed"
        )
    return numbers
