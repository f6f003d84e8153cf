"""Conversion of times between a user's table and a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import pandas as pd

from ....errors import DataError
from ..time_unit import TimeUnit
from .measurements import Measurements
from .table_format import TableFormat
from .table_times import clock_times, dates_of

__all__ = ["SeriesTimes"]

MOST_DECIMALS = 15  # of a time, so that powers of ten are exact
WHOLE = 2.0**53  # from where on a double may be no whole number's own
LARGEST = 2.0**62  # so that sums of whole times fit into 64-bit integers


@dataclass(frozen=True)
class SeriesTimes:
    """Conversion from the times of a table to those of a model, and back.

    Attributes:
        form: Format of the user's tables.
        kind: `number`, `date`, `zoned` (a date with a time zone) or `clock` (`hh:mm[:ss]`).
        origin: Where time is 0. `series`: at the first observation of each series. `file`: at that
            of the training file, `first`.
        first: First time of the training file: a number, or the nanoseconds of a date.
        scale: The model's time 1 in units of the table; in seconds for dates.
    """

    form: TableFormat
    kind: str
    origin: str
    first: int | float
    scale: float

    @property
    def unit(self) -> TimeUnit:
        """Unit for display: hours for dates and clocks; for numbers the name of their column."""
        since = "" if self.origin == "series" else "after the first time of the training file"
        if self.in_seconds:
            return TimeUnit("h", self.scale / 3600, since)
        name = self.form.time_column
        return TimeUnit("" if name == "time" else name, self.scale, since)

    @property
    def in_seconds(self) -> bool:
        """Whether the times are dates or clock times, whose differences are in seconds."""
        return self.kind != "number"

    def elapsed(self, seen: Measurements) -> np.ndarray:
        """Time of each row since its origin, in units of the table; in seconds for dates."""
        if self.origin == "series":
            return seen.times
        offset = (seen.origins - self.first).astype(np.float64)
        offset = offset / (1e9 if self.in_seconds else 1)
        return seen.times + np.repeat(offset, np.diff(seen.offsets))

    def origins(self, seen: Measurements) -> np.ndarray:
        """The time in the table at which each series has model time 0, shape `(series,)`."""
        if self.origin == "series":
            return seen.origins
        return np.full(len(seen), self.first, dtype=seen.origins.dtype)

    def to_model(self, times: np.ndarray, origins: np.ndarray) -> np.ndarray:
        """Convert times, as `parse` returns them, to the model's.

        Args:
            times, origins: Arrays whose shapes broadcast.
        """
        since = (times - origins).astype(np.float64) / (1e9 if self.in_seconds else 1)
        return since / self.scale

    def to_user(self, times: np.ndarray, origins: np.ndarray) -> pd.Series:
        """Convert model times to those of the table, flattened: numbers, dates or durations.

        Args:
            times, origins: Arrays whose shapes broadcast.
        """
        if not self.in_seconds:
            return self.unparse(times * self.scale + origins)
        return self.unparse(origins + np.round(times * self.scale * 1e9).astype(np.int64))

    def round_up(self, times: np.ndarray, origins: np.ndarray) -> np.ndarray:
        """Dates or times of day, as `parse` returns them, at model times or just after.

        They are rounded up to whole seconds, milliseconds or microseconds from the origins: the
        coarsest unit that moves no time by more than a thousandth of a step, since spreadsheets
        cannot read nanoseconds.

        Args:
            times: Increasing times, shape `(time,)` or `(series, time)`.
            origins: Shape `(series, 1)`.
        """
        nanoseconds = times * self.scale * 1e9
        step = float(np.diff(nanoseconds).min())
        unit = next((unit for unit in (10**9, 10**6, 10**3) if unit <= step / 1000), 1)
        return origins + np.ceil(nanoseconds / unit - 1e-6).astype(np.int64) * unit

    def unparse(self, times: np.ndarray) -> pd.Series:
        """Convert times, as `parse` returns them, to those of the table, flattened."""
        raw = times.ravel()
        if not self.in_seconds:
            return pd.Series(raw)
        if self.kind == "clock":
            return pd.Series(raw.astype("timedelta64[ns]"))
        dates = pd.Series(raw.astype("datetime64[ns]"))
        return dates.dt.tz_localize("UTC") if self.kind == "zoned" else dates

    def after_last(self, seen: Measurements, ahead: np.ndarray) -> np.ndarray:
        """Times after the last observation of each series, as `parse` returns them.

        Args:
            ahead: Time after the last observation in the unit of the table, in hours for dates and
                times of day, shape `(time,)`.

        Returns:
            Shape `(series, time)`. Dates are exact to the microsecond. Numbers are sums of the
            decimals as they are written (0.3, not 0.30000000000000004), and are integers if all of
            them and those of the table are whole.
        """
        last, origins = seen.times[seen.offsets[1:] - 1][:, None], seen.origins[:, None]
        if self.in_seconds:
            micro = np.round((last + 3600 * ahead) * 1e6).astype(np.int64)
            return origins + 1000 * micro
        exact = origins + last + ahead
        parts = (seen.origins, seen.times, ahead)
        if all((part % 1 == 0).all() for part in parts) and np.abs(exact).max() < LARGEST:
            return origins.astype(np.int64) + last.astype(np.int64) + ahead.astype(np.int64)
        written = [Decimal(repr(time)) for time in as_written(seen.origins, last[:, 0]).tolist()]
        steps = [Decimal(repr(step)) for step in ahead.astype(np.float64).tolist()]
        return np.array([[float(time + step) for step in steps] for time in written])

    def model_times(self, seen: Measurements) -> np.ndarray:
        """The time of each row as the model reads it, shape `(row,)`."""
        return self.elapsed(seen) / self.scale

    def parse(self, times: pd.Series) -> np.ndarray:
        """Parse the user's times: numbers are unchanged, dates and clocks become nanoseconds.

        Raises:
            DataError: They are not of the same kind as the times of the table.
        """
        kind, form = self.kind, self.form.time_format
        if kind == "number":
            found = pd.to_numeric(times, errors="coerce")
            found = found.where(np.isfinite(found.astype(float)))
        elif pd.api.types.is_numeric_dtype(times):
            found = pd.Series(pd.NaT, times.index)
        elif kind == "clock":
            found = self._parse_either(clock_times(times), clock_times(times, form), times)
        else:
            iso = dates_of(times, replace(self.form, time_format=None), kind)
            found = self._parse_either(iso, dates_of(times, self.form, kind), times)
        if found.isna().any():
            date = "2024-03-31 14:05" + "+01:00" * (kind == "zoned")
            if self.form.time_format is not None:
                date = pd.Timestamp(date).strftime(self.form.time_format)
            wanted = {
                "number": "numbers, such as [30,36]",
                "date": f"dates, such as ['{date}']",
                "zoned": f"dates with a zone, such as ['{date}']",
                "clock": "times of day, such as ['14:05']",
            }
            ahead = (
                "; for hours after each last observation, set predict.after_last=true, in Python "
                "after_last=True"
            )
            raise DataError(
                f"{str(times[found.isna()].iloc[0])!r} is not a time to predict at; the model was "
                f"trained on a table whose times are {wanted[kind]}"
                + ("" if kind == "number" else ahead)
            )
        return found.to_numpy(np.float64 if kind == "number" else np.int64)

    def _parse_either(self, usual: pd.Series, own: pd.Series, times: pd.Series) -> pd.Series:
        """Times in the usual form, in which forecasts are written, or in that of the table.

        Raises:
            DataError: A time can be read in both forms, with different results.
        """
        differ = (usual.notna() & own.notna() & (usual != own)).to_numpy()
        if differ.any():
            place = int(differ.argmax())
            raise DataError(
                f"{str(times.iloc[place])!r} is {usual.iloc[place]} in the usual form, and "
                f"{own.iloc[place]} with the dataset.time_format={self.form.time_format!r} of "
                "training; write one that can be read in one way only, or set "
                "predict.after_last=true"
            )
        return usual.fillna(own)


def as_written(origins: np.ndarray, since: np.ndarray) -> np.ndarray:
    """The sums with the fewest decimals that differ by rounding alone: the times of a table.

    Args:
        origins, since: First time of each series, and times since then, of the same shape.

    >>> as_written(np.array([1.1]), np.array([48.3 - 1.1]))
    array([48.3])
    """
    total = origins + since
    noise = np.spacing(np.maximum(np.abs(origins), np.abs(total)))
    found = total
    for decimals in range(MOST_DECIMALS, -1, -1):
        short = total.round(decimals)
        exact = np.abs(total) * 10.0**decimals < WHOLE
        found = np.where(exact & (np.abs(short - total) <= noise), short, found)
    return found
