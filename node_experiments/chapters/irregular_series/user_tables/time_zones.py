"""Warning about a column of time zones, with which dates are not read."""

from __future__ import annotations

import logging
import re

from ....config.checks import first_names
from ....data.table_file import TableFile
from .table_format import Columns, TableFormat

__all__ = ["ZONES", "warn_of_zones"]

log = logging.getLogger(__name__)

ZONES = re.compile(  # names of such columns, as the `tz_cd` of the US Geological Survey
    r"(.*[\W_])?(tz|time[\W_]?zone|zeitzone|(utc|gmt|tz)[\W_]?offset)([\W_].*)?", re.IGNORECASE
)


def warn_of_zones(table: TableFile, form: TableFormat, columns: Columns) -> None:
    """Warn of dates without a zone whose zone, in another column, changes within a series."""
    if columns.time_kind != "date":
        return
    names, series = [str(name) for name in table.rows.columns], table.text(form.series_column)
    for name in (*columns.ignored, *columns.features):
        if names.count(name) != 1 or not ZONES.fullmatch(name):
            continue
        zones = table.text(name)
        if (zones.groupby(series).nunique() > 1).any():
            log.warning(
                "%s: %r changes within series (%s), and is not read with the dates, which are "
                "read as if they were of one time zone; write dates with their offset "
                "(2024-03-31 14:05+01:00)",
                table.source,
                name,
                first_names(sorted(set(zones) - {""})),
            )
