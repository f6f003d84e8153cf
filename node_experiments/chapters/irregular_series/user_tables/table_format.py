"""The format of a user's table as the settings describe it, and the columns found in it."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["FILE", "MISSING", "NAMELESS", "NAMES", "Columns", "TableFormat"]

MISSING = (
    "", "na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "nat", "null", r"\n", "nil", "none",
    "-", "--", ".", "?", "missing",
)  # fmt: skip

# Words that mean a missing value, but in a column of names may be a class or a property.
NAMES = ("nil", "none", "missing")
# Cells that cannot be the name of a series; "na" can, as the code of a country.
NAMELESS = ("", "-", "--", ".", "?", "nan", "<na>", "nat")
FILE = "file"  # name of the column that is added with the name of each row's file


@dataclass(frozen=True)
class TableFormat:
    """Format of a table as the user describes it; names of columns are those of its first line.

    Attributes:
        series_column, time_column: Columns with the series and the time of each row.
        value_columns: Features; if None, all other columns that hold numbers.
        static_columns: Properties of a series that do not change, such as age or sex.
        label_column: Column of the classes; None without.
        label_per: Whether a label belongs to a `series` or a `time`.
        group_column: Column of a property that series may share, such as a patient; None without.
        variable_column, value_column: Columns of a long table; if None, `variable` and `value` if
            the table has both.
        missing: Cells that mean that nothing was observed, in addition to the usual ones; with
            `column:number`, a number that means so in one column, or for one variable.
        duplicates: Treatment of rows of a series at the same time: `error`, `mean` or `last`.
        time_format: Format of dates for Python's `strptime`; None for ISO 8601.
        every_row: Whether rows without any value are kept, since each row has a class.
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
    every_row: bool = False


@dataclass(frozen=True)
class Columns:
    """Columns found in the training table, and expected in every later one.

    Attributes:
        features: Names of the features, in the order of the model's inputs.
        ignored: Columns that are not read.
        is_long: Whether the table was in long format; later ones may be in either.
        time_kind: `number`, `date`, `zoned` (a date with a time zone) or `clock` (`hh:mm[:ss]`).
        categories: Values of each static column of text, sorted.
    """

    features: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    is_long: bool = False
    time_kind: str = "number"
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def duration_unit(self) -> float:
        """Unit of the durations that a user gives: an hour in seconds for dates, else 1."""
        return 1.0 if self.time_kind == "number" else 3600.0
