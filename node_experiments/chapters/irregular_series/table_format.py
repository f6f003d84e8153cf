"""What a user says of a table, and what was found in it."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["MISSING", "NAMELESS", "NAMES", "Columns", "TableFormat"]

MISSING = (
    "", "na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "nat", "null", r"\n", "nil", "none",
    "-", "--", ".", "?", "missing",
)  # fmt: skip

# Cells of these words may as well name a class or a property.
NAMES = ("nil", "none", "missing")
# Cells that are no name of a series: there is a country NA.
NAMELESS = ("", "-", "--", ".", "?", "nan", "<na>", "nat")


@dataclass(frozen=True)
class TableFormat:
    """What the user says of a table; names of columns are those of its first line.

    Attributes:
        series_column, time_column: Which series a row belongs to, and when it was observed.
        value_columns: Features; when None, all other columns that hold numbers.
        static_columns: Properties of a series that do not change, such as age or sex.
        label_column: Classes; None without.
        label_per: `series` or `time`.
        group_column: What series may have in common, such as a patient; None without.
        variable_column, value_column: Of a long table; when None, `variable` and `value` if the
            table has columns of both names.
        missing: Further cells of values that mean that nothing was observed, beside the usual.
        duplicates: Of rows of a series at the same time: `error`, or take their `mean` or `last`.
        time_format: Of dates that are not ISO 8601, as Python's `strptime` reads it.
    """

    series_column: str = "series"
    time_column: str = "time"
    value_columns: tuple[str, ...] | None = None
    static_columns: tuple[str, ...] = ()
    label_column: str | None = None
    label_per: str = "series"
    variable_column: str | None = None
    value_column: str | None = None
    missing: tuple[str, ...] = ()
    duplicates: str = "error"
    time_format: str | None = None
    group_column: str | None = None


@dataclass(frozen=True)
class Columns:
    """What was found in the training table, and is expected of every later one.

    Attributes:
        features: Names of the features, in the order of the model's inputs.
        ignored: Columns that are not read.
        is_long: Whether the table was in long format; a later one may be in either.
        time_kind: `number`, `date`, `zoned` (a date with a zone) or `clock` (`hh:mm[:ss]`).
        categories: Values of each static column of text, sorted.
    """

    features: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    is_long: bool = False
    time_kind: str = "number"
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def hour(self) -> float:
        """What a user who names a length of time counts in: an hour of dates, or a number."""
        return 1.0 if self.time_kind == "number" else 3600.0
