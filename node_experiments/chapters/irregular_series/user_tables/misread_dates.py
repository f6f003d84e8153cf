"""Warnings about dates that are read as another month, year or century, or as a time of day."""

from __future__ import annotations

import logging
import re

import pandas as pd

from ....data.table_file import TableFile
from .table_format import TableFormat
from .time_forms import has_no_year
from .time_remedies import year_seems_first

__all__ = ["warn_of_misread_dates"]

log = logging.getLogger(__name__)

YEAR_AND_MONTH = re.compile(r"(?:19|20)\d\d:(?:0[1-9]|1[0-2])")  # as EViews and gretl write it
QUARTER = re.compile(r"\d{4}\D?0?[1-4]")  # read as one of the first four months
AHEAD = pd.Timedelta(days=366)  # of now: later dates are rarely those of a table
FEWEST_YEARS = 3  # in which there are first quarters alone by chance


def warn_of_misread_dates(table: TableFile, form: TableFormat, times: pd.Series) -> None:
    """Warn about dates without a year or of a later century, and about quarters read as months.

    Args:
        times: Dates or times of day, as `times_of` reads them.
    """
    cells, time_format = table.text(form.time_column), form.time_format
    if cells.str.fullmatch(YEAR_AND_MONTH).all():
        log.warning(
            "%s: the time %s is read as hours and minutes; if it is a year with a month or "
            "quarter, write the first day of each, such as 2024-04-01",
            table.at(0),
            cells.iloc[0],
        )
        return
    dates = pd.to_datetime(times)
    if time_format is not None and has_no_year(time_format):
        log.warning(
            "%s: dataset.time_format=%r has no year, and all dates are read as those of 1900: a "
            "series that passes New Year is out of order; if there is one, write dates with "
            "their year",
            table.source,
            time_format,
        )
    elif time_format is not None and year_seems_first(time_format, cells):
        log.warning(
            "%s: with dataset.time_format=%r, %s is a day of %d, and the first number hardly "
            "changes; if it is the year, write %%y first",
            table.at(0),
            time_format,
            cells.iloc[0],
            dates.iloc[0].year,
        )
    elif "%y" in (time_format or "") and dates.max() > pd.Timestamp.now() + AHEAD:
        row = int(dates.argmax())
        log.warning(
            "%s: with dataset.time_format=%r, %s is a day of %d (years of two digits are 1969 to "
            "2068), and rows are sorted by date; if it is of %d, write years with four digits",
            table.at(row),
            time_format,
            cells.iloc[row],
            dates.iloc[row].year,
            dates.iloc[row].year - 100,
        )
    quarters = cells.str.fullmatch(QUARTER).all() and dates.dt.month.nunique() == 4
    if quarters and dates.dt.year.nunique() >= FEWEST_YEARS:
        log.warning(
            "%s: all times, such as %s, are read as the months January to April; if they are "
            "quarters, write the first day of each, such as 2024-04-01 for the second",
            table.source,
            cells.iloc[0],
        )
