"""Advice on what to do about a time that cannot be read."""

from __future__ import annotations

import re

import pandas as pd

from .table_cells import NUMBER, THOUSANDS
from .time_forms import BESIDE_DATES, CLOCK, OF_DAY, PERIOD, YEARS, ZONE, named_month

__all__ = ["KINDS", "WANTED", "remedy", "year_seems_first"]

KINDS = {
    "number": "number",
    "date": "date",
    "zoned": "date with a zone",
    "clock": "time of day",
}
WANTED = {
    "number": "numbers: write them so, the time since some start in the same unit",
    "date": "dates: write them so (2024-03-31 14:05)",
    "zoned": "dates with a zone: write them so (2024-03-31 14:05+01:00)",
    "clock": "times of day: write them so (14:05)",
}
NAMED_ZONE = re.compile(
    r".*\d:\d\d(?:[.,]\d+)? ?(?!AM|PM)(?:[A-Z]{2,5}|[A-Z][a-z]+/[A-Z][A-Za-z_]+)"
)
DURATION_WITH_UNITS = re.compile(
    r"P(?:\d+[YMWD])*(?:T[\dHMS.]+)?|(?:\d+(?:[.,]\d+)? ?(?:h|m|s|d|ms|min|sec|std|tage?"
    r"|(?:hour|hr|minute|second|day|week)s?)\.? ?)+",
    re.IGNORECASE,
)
CLOCK_AND_ZONE = re.compile(r"\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?Z| ?[+-]\d\d:?\d\d)?")
ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:([T ])(.*))?")
MINUTES = re.compile(r"[0-5]?\d:[0-5]\d\.\d+")
THREE_NUMBERS = re.compile(r"\d{1,2}([./-])\d{1,2}\1(\d{4}|\d\d)(?:[ T]+(.*))?")
THREE = r"^(\d{1,2})[./-](\d{1,2})[./-](\d{4}|\d\d)"
TWO_DIGITS = r"^(\d\d)[./-](\d\d)[./-](\d\d)(?!\d)"
YEAR_LAST = re.compile(r"%[dm][./-]%[dm][./-]%y")
FEW = 2  # at most this many distinct numbers are years if the other numbers vary more
MORE = 3  # or this many times as many distinct days as years


def remedy(cell: str, kind: str, cells: pd.Series, of_all: bool, is_frame: bool = False) -> str:
    """Advice on what to do about a time that cannot be read.

    Args:
        cells: All times of the table.
        of_all: Whether none of them can be read; in a later table, they then differ in kind from
            those of training.
        is_frame: Whether the table is a DataFrame, for which there are no settings.
    """
    other = re.fullmatch(f"{NUMBER}|{CLOCK}", cell) is not None  # readable in a training table
    if of_all and (kind in ("number", "clock") or other):
        return f"the model was trained on times that are {WANTED[kind]}"
    words = _remedy(cell, kind, cells, of_all)
    if is_frame:
        words = words.replace("set dataset.time_format=", "use pandas.to_datetime with format=")
    return words


def _remedy(cell: str, kind: str, cells: pd.Series, of_all: bool) -> str:
    if (found := ISO.fullmatch(cell)) is not None and (words := _remedy_of_iso(*found.groups())):
        return words
    if MINUTES.fullmatch(cell):
        return "set dataset.time_format='%M:%S.%f'"
    if NAMED_ZONE.fullmatch(cell):
        return (
            "write the offset from UTC in place of the name of the zone (2024-03-31 14:05+01:00), "
            "or leave the zone out"
        )
    if DURATION_WITH_UNITS.fullmatch(cell):
        return "write durations as numbers in one unit (90), or as hours and minutes (1:30)"
    if kind == "number" and re.fullmatch(THOUSANDS, cell):
        separator = re.sub(r"[\d+-]", "", cell)[:1]
        return f"if it has a separator of thousands, set dataset.thousands={separator!r}"
    if (found := THREE_NUMBERS.fullmatch(cell)) is not None:
        return remedy_of_numbers(cells, *found.groups())
    # May is both an abbreviated and a full name, so the format is guessed from another month.
    other = cells[~cells.str.contains("May", case=False)]
    if (form := named_month(cell if other.empty else other.iloc[0])) is not None:
        return f"set dataset.time_format={form!r}"
    for pattern, form in OF_DAY.items():
        if form not in ("%H:%M", "%H:%M:%S") and re.fullmatch(pattern, cell):
            return f"set dataset.time_format={form!r}"
    if PERIOD.fullmatch(cell):
        return (
            "write the first day of each week, month or quarter (2024-03-25), with pandas' "
            "PeriodIndex(...).to_timestamp(), or numbers"
        )
    if (year := re.match(r"(\d{4})-\d\d", cell)) and not YEARS[0] <= int(year[1]) <= YEARS[1]:
        return (
            f"dates are of the years {YEARS[0]} to {YEARS[1]}; remove the row, or write times as "
            "numbers"
        )
    has_zone = bool(re.fullmatch(ZONE, cell))
    if kind in ("date", "zoned") and has_zone != (kind == "zoned"):
        if of_all and has_zone:
            return (
                "the model was trained on dates without a zone: leave it out (with pandas, "
                "tz_localize(None))"
            )
        if of_all:
            return "the model was trained on dates with a zone: write it (2024-03-31 14:05+01:00)"
        return "write the zone with every date (2024-03-31 14:05+01:00), or with none"
    if re.search(r"\d\W*[^\W\d_]{3,}\W*\d{2}", cell):
        return "write the month as a number (2024-03-31)"
    return (
        "write times as numbers, as dates of ISO 8601 (2024-03-31 14:05) or as hh:mm; for dates "
        "of another form, set dataset.time_format='%d.%m.%Y %H:%M' or the like"
    )


def _remedy_of_iso(year: str, month: str, day: str, sign: str, of_day: str | None) -> str:
    """Advice on a date that begins with its year; empty if it has a zone or another year."""
    if not YEARS[0] <= int(year) <= YEARS[1]:
        return ""
    if int(month) > 12 >= int(day):
        return "set dataset.time_format='%Y-%d-%m' (or the like), if the day is before the month"
    for pattern, form in BESIDE_DATES.items():
        if form not in ("%H:%M", "%H:%M:%S") and re.fullmatch(pattern, of_day or ""):
            return f"set dataset.time_format='%Y-%m-%d{sign}{form}'"
    in_form = CLOCK_AND_ZONE.fullmatch(of_day or "00:00") is not None
    cell = f"{year}-{month}-{day}T{of_day or '00:00'}"
    if in_form and pd.isna(pd.to_datetime(cell, format="ISO8601", errors="coerce")):
        return "there is no such day or time of day; correct it or remove the row"
    return ""


def remedy_of_numbers(cells: pd.Series, sign: str, last: str, of_day: str | None) -> str:
    """Advice on dates of three numbers, the first of which has no more than two digits.

    Args:
        sign, last, of_day: The separator, the third number and the text after it, of one of the
            dates.
    """
    numbers = cells.str.extract(THREE).astype(float)
    after = [form for pattern, form in OF_DAY.items() if re.fullmatch(pattern, of_day or "")]

    def written(*parts: str) -> str:
        return repr(" ".join([sign.join(parts), *after]))

    year = "%Y" if len(last) == 4 else "%y"
    day_first, month_first = written("%d", "%m", year), written("%m", "%d", year)
    in_place = year_in_place(numbers) if year == "%y" else [2]
    year_first = f"{written('%y', '%m', '%d')} (year first)" if 0 in in_place else ""
    if in_place == [0]:
        return f"set dataset.time_format={written('%y', '%m', '%d')}"
    no_month = ((numbers.iloc[:, :2] > 12) | (numbers.iloc[:, :2] == 0)).any().tolist()
    limits = (numbers < [24, 60, 60]).all().all()
    if limits and all(no_month) and sign == "." and len(last) == 2 and of_day is None:
        return "set dataset.time_format='%H.%M.%S'"
    if limits and sign == "." and len(last) == 2 and of_day is None:
        after_days = ["'%H.%M.%S' (time of day)"]
    else:
        after_days = []
    if all(no_month):
        return (
            "in some dates the day is first and in others the month; write all of them as "
            "2024-03-31"
        )
    if any(no_month):
        shown = [day_first if no_month[0] else month_first]
    elif sign == ".":
        shown = [day_first]
    else:
        shown = [f"{day_first} (day first)", f"{month_first} (month first)"]
    if year_first:
        first = shown[0] if "(" in shown[0] else f"{shown[0]} (year last)"
        shown = [first, *shown[1:], year_first]
    return f"set dataset.time_format={' or '.join([*shown, *after_days])}"


def year_seems_first(time_format: str, cells: pd.Series) -> bool:
    """Whether a format has the year last, but the first number is the one that hardly changes.

    >>> year_seems_first("%d-%m-%y", pd.Series(["24-03-30", "24-03-31", "24-04-01"]))
    True
    """
    if not YEAR_LAST.match(time_format):
        return False
    numbers = cells.str.extract(TWO_DIGITS).astype(float)
    return bool(numbers.notna().all(axis=None)) and year_in_place(numbers) == [0]


def year_in_place(numbers: pd.DataFrame) -> list[int]:
    """Places of the two-digit number that may be the year: the first (0), the last (2), or both.

    The year is the one that changes little while the other, the day, changes more.
    """
    months, days = numbers[1].between(1, 12).all(), numbers[2].between(1, 31).all()
    if not (months and days):
        return [2]
    first, last = numbers[0].nunique(), numbers[2].nunique()
    if (numbers[0] > 31).any() or differs(first, last):
        return [0]
    return [2] if differs(last, first) else [0, 2]


def differs(years: int, days: int) -> bool:
    """Whether there are clearly more distinct days than years."""
    return years <= FEW < days or years == 1 < days or MORE * years <= days
