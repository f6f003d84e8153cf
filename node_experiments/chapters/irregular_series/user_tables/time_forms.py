"""Patterns of the ways in which people write dates, clock times and durations."""

from __future__ import annotations

import re
import warnings
from datetime import datetime

import pandas as pd
from pandas.tseries.api import guess_datetime_format

__all__ = [
    "BESIDE_DATES",
    "CLOCK",
    "DURATION",
    "OF_DAY",
    "PERIOD",
    "YEARS",
    "ZONE",
    "certain_dates",
    "has_no_date",
    "has_no_year",
    "like_dates",
    "named_month",
    "to_fixed_width",
]

CLOCK = r"-?\d+:[0-5]\d(?::[0-5]\d(?:[.,]\d+)?)?"
DURATION = r"-?\d+ days?(?:,? .*)?"  # as pandas and, with a comma, Python write one
# An hour alone before a minus (14-10) is more likely an hour and a minute than one with an offset.
ZONE = (
    r".*(?:\d ?Z|\d ?(?:UTC|GMT)|\d[T ]\d\d:?\d\d[\d:.,]* ?[+-]\d\d(?::?\d\d)?"
    r"|\d[T ]\d\d ?(?:\+\d\d(?::?\d\d)?|-\d\d:\d\d))"
)
YEARS = (1678, 2261)  # first and last whole year in the range of 64-bit nanoseconds
PERIOD = re.compile(  # 2024Q1, FY2024-H1, Q1/24, 1Q24, 2024:1, 2024QI
    r"(?:FY ?)?(?:\d{4}|\d\d)[ :/-]{0,2}(?:[QWMHST](?:\d\d?(?:-\d)?|I{1,3}|IV))"
    r"|(?:[QWMHST]\d\d?|\d[QHST])[ :/-]{0,2}(?:FY)?(?:\d{4}|\d\d)|\d{4}:\d\d?",
    re.IGNORECASE,
)
OF_DAY = {
    r"\d+:\d\d": "%H:%M",
    r"\d+:\d\d:\d\d": "%H:%M:%S",
    r"\d+:\d\d ?[AaPp][Mm]": "%I:%M %p",
    r"\d+:\d\d:\d\d ?[AaPp][Mm]": "%I:%M:%S %p",
    r"\d\d?h\d\d": "%Hh%M",
    r"\d\d?\.\d\d": "%H.%M",
    r"\d\d?\.\d\d\.\d\d": "%H.%M.%S",
}
# Those that are times of day only beside a date.
BESIDE_DATES = OF_DAY | {r"\d\d?-\d\d": "%H-%M", r"\d\d?-\d\d-\d\d": "%H-%M-%S"}
# Formats that pandas does not guess.
NAMED_MONTHS = (
    "%b %Y", "%B %Y", "%b-%Y", "%b-%y", "%b %y", "%d-%b-%y", "%d %b %y", "%d%b%Y",
    "%d%b%Y:%H:%M:%S", "%d%b%Y %H:%M:%S", "%d %b %Y %I:%M %p", "%d %B %Y %I:%M %p",
    "%b %d, %Y %I:%M %p", "%B %d, %Y %I:%M %p", "%d-%b-%y %I.%M.%S.%f %p",
    "%b %d, %Y %I:%M:%S %p", "%B %d, %Y %I:%M:%S %p", "%d-%b-%Y %I:%M %p", "%d-%b-%Y %I:%M:%S %p",
    "%d-%b-%y %I:%M %p", "%d-%b-%y %I:%M:%S %p", "%d %b %Y %I:%M:%S %p", "%d %B %Y %I:%M:%S %p",
)  # fmt: skip
MONTH = r"(?:jan|feb|mar|mär|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[a-zä]*"
DAY = r"(?:mon|tue|wed|thu|fri|sat|sun|mo|di|mi|do|fr|sa|so)[a-z]*"
DATE = (
    r"\d{4}([./-])\d\d?\1\d\d?(?:[T ]00:00(?::00)?)?|\d\d?([./-])\d\d?\2(?:\d{4}|\d\d)"
    rf"|(?:{DAY}\.?,? ?)?(?:\d\d?\.\d\d?\.|\d\d?[./-]\d\d?[./-](?:\d{{4}}|\d\d))"
    rf"|(?:{DAY}\.?,? ?)?(?:\d\d?[. -]*{MONTH}|{MONTH}[ -]\d\d?)(?:[., -]*\d{{2,4}})?"
)
# Two or three numbers with other characters between them, or a day of the week.
LIKE_A_DATE = rf"\D*\d+\D+\d+(?:\D+\d+)?\D*|{DAY}"


WIDTHS = {"Y": 4, "j": 3} | dict.fromkeys("ymdHIMS", 2)


def has_no_date(time_format: str) -> bool:
    """Whether a `strptime` format is of times of day alone.

    >>> has_no_date("%I:%M %p"), has_no_date("%d.%m. %H:%M")
    (True, False)
    """
    return not set(_directives(time_format)) & set("YyGCcxDFsmbBdejUVWuwaAz")


def has_no_year(time_format: str) -> bool:
    """Whether a `strptime` format is of dates without their year.

    >>> has_no_year("%I:%M %p"), has_no_year("%d.%m. %H:%M")
    (False, True)
    """
    return not has_no_date(time_format) and not set(_directives(time_format)) & set("YyGCcxDFs")


def to_fixed_width(cells: pd.Series, time_format: str) -> pd.Series:
    """Restore the leading zeros of dates that are written as digits alone, the year not first.

    Otherwise, 1042024 with `%d%m%Y` would be read as 10 April.

    >>> to_fixed_width(pd.Series(["1042024", "31032024"]), "%d%m%Y").tolist()
    ['01042024', '31032024']
    """
    letters = _directives(time_format)
    if time_format.startswith("%Y"):  # a year loses no zero, and 202411 may be written as 20241
        return cells
    if "".join(f"%{letter}" for letter in letters) != time_format or not set(letters) <= set(
        WIDTHS
    ):
        return cells
    return cells.str.zfill(sum(WIDTHS[letter] for letter in letters))


def _directives(time_format: str) -> list[str]:
    """The letters of a `strptime` format."""
    return re.findall(r"%-?([A-Za-z])", time_format.replace("%%", ""))


def certain_dates(text: pd.Series) -> bool:
    """Whether all nonempty cells are dates without a time of day.

    >>> certain_dates(pd.Series(["30-Mar-2024", "", "Sa 30.03.", "2024-03-30"]))
    True
    >>> certain_dates(pd.Series(["3/10", "4/10"]))
    False
    """
    return _all_are(text, DATE)


def like_dates(text: pd.Series) -> bool:
    """Whether all nonempty cells may be dates in some format.

    >>> like_dates(pd.Series(["2024-W13-6", "KW 13 2024"])), like_dates(pd.Series(["sensor 1"]))
    (True, False)
    """
    return _all_are(text, f"{DATE}|{LIKE_A_DATE}")


def _all_are(text: pd.Series, pattern: str) -> bool:
    known = pd.Series(text[text != ""].unique(), dtype=object)
    return len(known) > 0 and bool(known.str.fullmatch(pattern, flags=re.IGNORECASE).all())


def named_month(cell: str) -> str | None:
    """The `strptime` format of a date whose month is a word, or None.

    >>> named_month("31-Mar-2024 14:05")
    '%d-%b-%Y %H:%M'
    >>> named_month("Jan 2020")
    '%b %Y'
    """
    if not re.search(r"[A-Za-z]{3}", cell):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the order of day and month
        guessed = guess_datetime_format(cell, dayfirst=True)
    return guessed or next((f for f in NAMED_MONTHS if _is_of(cell, f)), None)


def _is_of(cell: str, form: str) -> bool:
    try:
        datetime.strptime(cell, form)
    except ValueError:
        return False
    return True
