"""From the rows of a user's table to the measurements of each series.

A table has a row for every observation (wide: a column for each feature) or for every value
(long: a column that names the feature and one with its value). What the columns hold is decided
once, on the training file; every later file is read by the same names.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ...data.errors import DataError
from ...data.table_file import TableFile

__all__ = ["Columns", "Measurements", "TableFormat", "find_columns", "read_measurements"]

log = logging.getLogger(__name__)

MISSING = ("", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "-", "--", ".", "?", "missing")
INDEX_NAMES = ("", "index", "level_0", "row", "rownames", "row_names")
LONG_NAMES = ("variable", "value")  # columns of pandas' own long format


@dataclass(frozen=True)
class TableFormat:
    """What the user says of a table; names of columns are those of its first line.

    Attributes:
        series_column, time_column: Which series a row belongs to, and when it was observed.
        value_columns: Features; when None, all other columns that hold numbers.
        static_columns: Properties of a series that do not change, such as age or sex.
        label_column: Classes; None without.
        label_per: `series` or `time`.
        variable_column, value_column: Of a long table; when None, `variable` and `value` if the
            table has columns of both names.
        missing: Further cells that mean that nothing was observed, beside the usual ones.
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


@dataclass(frozen=True)
class Columns:
    """What was found in the training table, and is expected of every later one.

    Attributes:
        features: Names of the features, in the order of the model's inputs.
        ignored: Columns that are not read.
        is_long: Whether the table was in long format; a later one may be in either.
        time_kind: `number`, `date` (seconds of a calendar) or `clock` (seconds of `hh:mm[:ss]`).
        categories: Values of each static column of text, sorted.
    """

    features: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    is_long: bool = False
    time_kind: str = "number"
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass
class Measurements:
    """Series in their own units, sorted by name and, within a series, by time.

    Attributes:
        names: Of the series.
        offsets: Rows of series i are `offsets[i]` to `offsets[i + 1]`, shape `(series + 1,)`.
        times: Since the first observation of the series; of dates in seconds. Shape `(row,)`.
        origins: The time of each series' first observation: a number, or nanoseconds of a date.
        values: NaN where not observed, shape `(row, feature)`.
        static: One number, or an indicator of each category; NaN where unknown. Shape
            `(series, static)`.
        labels: Of each series, or of each row with `label_per=time`; empty where there is none.
        where: The place of each row in the file, for messages.
    """

    names: list[str]
    offsets: np.ndarray
    times: np.ndarray
    origins: np.ndarray
    values: np.ndarray
    static: np.ndarray
    labels: list[str]
    where: list[str]

    def __len__(self) -> int:
        return len(self.names)


def find_columns(table: TableFile, form: TableFormat) -> Columns:
    """Decide what each column of the training table holds.

    Raises:
        DataError: A column that is named and not there, a feature that is no number, or none.
    """
    names = [str(name) for name in table.rows.columns]
    variable, value = _long_columns(names, form)
    special = {form.series_column, form.time_column, *form.static_columns}
    special |= {name for name in (form.label_column, variable, value) if name is not None}
    for name in (*special, *(form.value_columns or ())) if variable is None else special:
        _require_column(table, name)
    kind = _time_kind(table, form)
    others = [name for name in dict.fromkeys(names) if name not in special]
    if variable is not None:
        found = [str(v) for v in table.rows[variable].unique() if not _is_missing(str(v), form)]
        features = tuple(sorted(found)) if form.value_columns is None else form.value_columns
        return Columns(features, tuple(others), True, kind, _categories(table, form))
    ignored = []
    if form.value_columns is not None:
        features = form.value_columns
        ignored = [name for name in others if name not in features]
    else:
        kept = []
        for name in others:
            _require_column(table, name)
            if name.lower() in INDEX_NAMES or name.lower().startswith("unnamed: "):
                ignored.append(name)
            elif _holds_numbers(table, name, form):
                kept.append(name)
            else:
                ignored.append(name)
        features = tuple(kept)
    if not features:
        text = f" ({', '.join(map(repr, ignored))} hold none)" if ignored else ""
        raise DataError(
            f"{table.source}: no column is left that holds numbers{text}; name the columns with "
            "dataset.value_columns, or of a long table with dataset.variable_column"
        )
    log.info(
        "%s: features %s%s",
        table.source,
        ", ".join(features),
        f"; not read: {', '.join(map(repr, ignored))}" if ignored else "",
    )
    return Columns(features, tuple(ignored), False, kind, _categories(table, form))


def read_measurements(table: TableFile, form: TableFormat, columns: Columns) -> Measurements:
    """The series of a table whose columns are known.

    Rows need not be sorted, and those of a series need not be together. A row without any value
    is left out.

    Raises:
        DataError: A column that is missing or was not there in training, a cell that cannot be
            read, two rows at the same time with `duplicates=error`, labels that differ within a
            series, or no measurement at all; the message names file and line.
    """
    names = [str(name) for name in table.rows.columns]
    variable, value = _long_columns(names, form)
    frame = pd.DataFrame({"row": np.arange(len(table.rows))})
    for role, name in (("series", form.series_column), ("time", form.time_column)):
        _require_column(table, name)
        cells = _text(table.rows[name])
        empty = cells.map(lambda cell: _is_missing(cell, form))
        if empty.any():
            raise DataError(f"{table.at(int(empty.to_numpy().argmax()))}: {name!r} is empty")
        frame[role] = cells
    frame["time"] = _times(table, form, columns.time_kind)
    if variable is None:
        _check_names(table, form, columns, names)
        for feature in columns.features:
            frame[feature_key(feature)] = _numbers(table, feature, form)
    else:
        assert value is not None
        frame = _widened(table, form, columns, frame, variable, value)
    frame["label"] = "" if form.label_column is None else _labels(table, form)
    keys = [feature_key(feature) for feature in columns.features]
    statics = _static(table, form, columns, frame)
    frame = _without_duplicates(table, form, frame, keys)
    labels_of_series = _series_labels(table, form, frame)
    frame = frame[frame[keys].notna().any(axis=1)]
    if frame.empty:
        raise DataError(f"{table.source}: no row has a value of {', '.join(columns.features)}")
    order = _order(frame["series"])
    frame = frame.assign(place=frame["series"].map(order)).sort_values(["place", "time"])
    lost = sorted(set(statics.index) - set(order))
    if lost:
        log.warning(
            "%s: series without any value are left out: %s",
            table.source,
            ", ".join(lost[:5]) + (" ..." if len(lost) > 5 else ""),
        )
    lengths = frame.groupby("place").size().to_numpy()
    offsets = np.concatenate([[0], lengths.cumsum()])
    raw = frame["time"].to_numpy()
    origins = raw[offsets[:-1]]
    since = (raw - np.repeat(origins, lengths)).astype(np.float64)
    by_time = form.label_column is not None and form.label_per == "time"
    return Measurements(
        list(order),
        offsets,
        since / (1 if columns.time_kind == "number" else 1e9),
        origins,
        frame[keys].to_numpy(np.float64, copy=True),
        statics.loc[list(order)].to_numpy(np.float64, copy=True),
        frame["label"].tolist() if by_time else [labels_of_series.get(n, "") for n in order],
        [table.at(row) for row in frame["row"]],
    )


def feature_key(name: str) -> str:
    """The column of a feature in the frame of measurements, which has columns of its own."""
    return f"feature {name}"


def _long_columns(names: Sequence[str], form: TableFormat) -> tuple[str | None, str | None]:
    if form.variable_column is not None or form.value_column is not None:
        variable, value = LONG_NAMES
        return form.variable_column or variable, form.value_column or value
    if form.value_columns is None and set(LONG_NAMES) <= set(names):
        return LONG_NAMES
    return None, None


def _require_column(table: TableFile, name: str) -> None:
    names = [str(column) for column in table.rows.columns]
    if names.count(name) != 1:
        found = "more than once" if name in names else "not"
        shown = ", ".join(map(repr, names))
        raise DataError(
            f"{table.source}: the column {name!r} is {found} there; found {shown[:300]}; name the "
            "columns with dataset.series_column, time_column, value_columns and label_column"
        )


def _check_names(
    table: TableFile, form: TableFormat, columns: Columns, names: Sequence[str]
) -> None:
    """Every feature once, and nothing that was not there in training."""
    for feature in columns.features:
        _require_column(table, feature)
    expected = {
        form.series_column, form.time_column, *columns.features, *columns.ignored,
        *form.static_columns, form.label_column, *(form.value_columns or ()),
    }  # fmt: skip
    extra = [n for n in names if n not in expected and n.lower() not in INDEX_NAMES]
    if extra and form.value_columns is None:
        raise DataError(
            f"{table.source}: the column {extra[0]!r} was not there when the model was trained on "
            f"{', '.join(columns.features)}; remove it"
        )


def _text(cells: pd.Series) -> pd.Series:
    """Cells as text; of numbers and dates as they are usually written."""
    if cells.dtype == object and all(isinstance(cell, str) for cell in cells):
        return cells
    whole = pd.api.types.is_float_dtype(cells) and bool((cells.dropna() % 1 == 0).all())
    if whole:
        cells = cells.astype("Int64")
    return cells.astype(object).where(cells.notna(), "").map(str).str.strip()


def _is_missing(cell: str, form: TableFormat) -> bool:
    return cell.strip().lower() in MISSING or cell.strip() in form.missing


def _parsed(table: TableFile, name: str, form: TableFormat) -> tuple[pd.Series, pd.Series]:
    """The numbers of a column, NaN where there is none, and where a cell is no number."""
    cells = table.rows[name]
    if pd.api.types.is_bool_dtype(cells):
        return cells.astype(float), pd.Series(False, cells.index)
    if pd.api.types.is_numeric_dtype(cells):
        numbers = cells.astype("Float64").to_numpy(np.float64, na_value=np.nan)
        numbers = pd.Series(numbers, cells.index)
        missing = cells.map(lambda cell: _is_missing(f"{cell:g}", form), na_action="ignore")
        return numbers.mask(missing.fillna(True).astype(bool)), pd.Series(False, cells.index)
    text = _text(cells)
    missing = text.map(lambda cell: _is_missing(cell, form))
    lower = text.str.lower()
    if (missing | lower.isin(("true", "false"))).all() and not missing.all():
        return (lower == "true").astype(float).mask(missing), pd.Series(False, cells.index)
    plain = text.str.replace(",", ".", regex=False) if table.decimal == "," else text
    plain = plain.mask(missing | plain.str.contains("_", regex=False))
    numbers = pd.to_numeric(plain, errors="coerce").astype(float)
    given = [_number_of(marker) for marker in form.missing]
    coded = numbers.isin([number for number in given if number is not None])
    return numbers.mask(coded), ~missing & numbers.isna()


def _number_of(marker: str) -> float | None:
    try:
        return float(marker)
    except ValueError:
        return None


def _holds_numbers(table: TableFile, name: str, form: TableFormat) -> bool:
    """Whether a column is a feature: it has numbers; one of text alone, or of nothing, is none.

    Raises:
        DataError: It has both.
    """
    numbers, bad = _parsed(table, name, form)
    if numbers.notna().any() and bad.any():
        _refuse_number(table, name, bad)
    return bool(numbers.notna().any())


def _refuse_number(table: TableFile, name: str, bad: pd.Series) -> None:
    row = int(bad.to_numpy().argmax())
    cell = str(table.rows[name].iloc[row])[:30]
    raise DataError(
        f"{table.at(row)}: {name!r} is {cell!r}, which is no number; if it means that nothing was "
        f"observed, set dataset.missing=[{cell!r}]"
    )


def _numbers(table: TableFile, name: str, form: TableFormat) -> pd.Series:
    numbers, bad = _parsed(table, name, form)
    if bad.any():
        _refuse_number(table, name, bad)
    infinite = np.isinf(numbers.to_numpy())
    if infinite.any():
        raise DataError(f"{table.at(int(infinite.argmax()))}: {name!r} is infinite")
    return numbers


def _time_kind(table: TableFile, form: TableFormat) -> str:
    cells = table.rows[form.time_column]
    if pd.api.types.is_datetime64_any_dtype(cells) or form.time_format is not None:
        return "date"
    if pd.api.types.is_timedelta64_dtype(cells):
        return "clock"
    _, bad = _parsed(table, form.time_column, form)
    if not bad.all():
        return "number"
    first = _text(cells)[bad].iloc[0]
    is_clock = ":" in first and first.replace(":", "").replace(".", "").isdigit()
    return "clock" if is_clock else "date"


def _times(table: TableFile, form: TableFormat, kind: str) -> pd.Series:
    """Numbers as they are, dates and clocks in whole nanoseconds.

    Raises:
        DataError: A time that is not of the kind of the others.
    """
    if kind == "number":
        return _numbers(table, form.time_column, form)
    cells = table.rows[form.time_column]
    if kind == "clock":
        text = _text(cells)
        full = text.where(text.str.count(":") != 1, text + ":00")
        times = pd.to_timedelta(full, errors="coerce")
    elif pd.api.types.is_datetime64_any_dtype(cells):
        times = cells
    else:
        times = pd.to_datetime(
            _text(cells), format=form.time_format or "ISO8601", errors="coerce", utc=True
        )
    if times.isna().any():
        row = int(times.isna().to_numpy().argmax())
        remedy = (
            "write times as numbers or as dates of ISO 8601 (2024-03-31 14:05), or set "
            "dataset.time_format, such as '%d.%m.%Y %H:%M'"
        )
        raise DataError(
            f"{table.at(row)}: {form.time_column!r} is {str(cells.iloc[row])[:40]!r}, which is no "
            f"{'time of day' if kind == 'clock' else 'date'} like the others; {remedy}"
        )
    if kind == "date" and getattr(times.dt, "tz", None) is not None:
        times = times.dt.tz_convert("UTC").dt.tz_localize(None)
    unit = "timedelta64[ns]" if kind == "clock" else "datetime64[ns]"
    return pd.Series(times.to_numpy().astype(unit).astype(np.int64))


def _widened(
    table: TableFile,
    form: TableFormat,
    columns: Columns,
    frame: pd.DataFrame,
    variable: str,
    value: str,
) -> pd.DataFrame:
    """One row for each series and time of a long table, a column for each feature."""
    for name in (variable, value):
        _require_column(table, name)
    named = _text(table.rows[variable])
    unknown = ~named.isin(columns.features) & ~named.map(lambda cell: _is_missing(cell, form))
    if form.value_columns is None and unknown.any():
        row = int(unknown.to_numpy().argmax())
        raise DataError(
            f"{table.at(row)}: {variable!r} is {named.iloc[row]!r}, which was not there when the "
            f"model was trained, on {', '.join(columns.features)}"
        )
    frame = frame.assign(variable=named, value=_numbers(table, value, form))
    known = frame[named.isin(columns.features) & frame["value"].notna()]
    keys = ["series", "time", "variable"]
    again = known.duplicated(keys)
    if again.any() and form.duplicates == "error":
        _refuse_duplicate(table, form, known[again].iloc[0])
    how = "mean" if form.duplicates == "mean" else "last"
    wide = known.groupby(keys, sort=False)["value"].agg(how).unstack("variable")
    wide = wide.reindex(columns=list(columns.features))
    wide.columns = pd.Index([feature_key(name) for name in columns.features])
    rows = frame.groupby(["series", "time"], sort=False)["row"].first()
    return rows.to_frame().join(wide).reset_index()


def _refuse_duplicate(table: TableFile, form: TableFormat, row: pd.Series) -> None:
    time = table.rows[form.time_column].iloc[int(row["row"])]
    raise DataError(
        f"{table.at(int(row['row']))}: series {row['series']!r} has another row at the time "
        f"{str(time)!r}; join them, or set dataset.duplicates=mean or last"
    )


def _without_duplicates(
    table: TableFile, form: TableFormat, frame: pd.DataFrame, keys: list[str]
) -> pd.DataFrame:
    again = frame.duplicated(["series", "time"])
    if not again.any():
        return frame
    if form.duplicates == "error":
        _refuse_duplicate(table, form, frame[again].iloc[0])
    how = "mean" if form.duplicates == "mean" else "last"
    joined = {"row": "first", "label": "last"} | dict.fromkeys(keys, how)
    return frame.groupby(["series", "time"], sort=False).agg(joined).reset_index()


def _labels(table: TableFile, form: TableFormat) -> pd.Series:
    """Labels as text; whole numbers without their decimals, so that 1 and 1.0 are one class."""
    assert form.label_column is not None
    if form.label_column not in table.rows.columns:
        return pd.Series("", table.rows.index)
    _require_column(table, form.label_column)
    text = _text(table.rows[form.label_column])
    text = text.mask(text.map(lambda cell: _is_missing(cell, form)), "")
    numbers = pd.to_numeric(text.mask(text == ""), errors="coerce")
    if not (numbers.isna() & (text != "")).any():
        text = numbers.map(lambda number: f"{number:g}", na_action="ignore").fillna("")
    return text


def _series_labels(table: TableFile, form: TableFormat, frame: pd.DataFrame) -> dict[str, str]:
    if form.label_column is None or form.label_per == "time":
        return {}
    labelled = frame[frame["label"] != ""]
    first = labelled.groupby("series")["label"].first()
    differs = labelled["label"] != labelled["series"].map(first)
    if differs.any():
        row = labelled[differs].iloc[0]
        raise DataError(
            f"{table.at(int(row['row']))}: series {row['series']!r} has the label "
            f"{row['label']!r} after {first[row['series']]!r}; write one label, or set "
            "dataset.label_per=time if it changes over time"
        )
    return first.to_dict()


def _categories(table: TableFile, form: TableFormat) -> dict[str, tuple[str, ...]]:
    """The values of the static columns that are text."""
    found = {}
    for name in form.static_columns:
        _, bad = _parsed(table, name, form)
        if bad.any():
            text = _text(table.rows[name])
            found[name] = tuple(sorted({c for c in text if not _is_missing(c, form)}))
    return found


def _static(
    table: TableFile, form: TableFormat, columns: Columns, frame: pd.DataFrame
) -> pd.DataFrame:
    """One row for each series: numbers, and an indicator of each category of text."""
    series = _text(table.rows[form.series_column])
    names = pd.Index(series.unique())
    parts = {}
    for name in form.static_columns:
        _require_column(table, name)
        if name in columns.categories:
            text = _text(table.rows[name])
            known = ~text.map(lambda cell: _is_missing(cell, form))
            unknown = known & ~text.isin(columns.categories[name])
            if unknown.any():
                row = int(unknown.to_numpy().argmax())
                raise DataError(
                    f"{table.at(row)}: {name!r} is {text.iloc[row]!r}; when the model was trained "
                    f"it was one of {', '.join(columns.categories[name])}"
                )
            cells = {f"{name}={v}": (text == v).astype(float).where(known)
                     for v in columns.categories[name]}  # fmt: skip
        else:
            cells = {name: _numbers(table, name, form)}
        for key, cell in cells.items():
            groups = cell.groupby(series)
            if (groups.nunique() > 1).any():
                changing = groups.nunique()
                raise DataError(
                    f"{table.source}: the static column {name!r} changes within series "
                    f"{changing.index[changing > 1][0]!r}; make it a feature"
                )
            parts[key] = groups.first().reindex(names)
    return pd.DataFrame(parts, index=names)


def _order(series: pd.Series) -> dict[str, int]:
    """The place of each series by name; names that are whole numbers by their value."""
    names = series.unique().tolist()
    whole = all(name.lstrip("+-").isdecimal() for name in names)
    names.sort(key=(lambda name: (int(name), name)) if whole else None)
    return {name: place for place, name in enumerate(names)}
