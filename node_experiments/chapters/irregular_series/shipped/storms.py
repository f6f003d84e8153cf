"""Atlantic storms (NOAA, HURDAT2): two days of fixes, from which the next three are forecast.

A fix is the position and strength of a storm at one time. In a window around a time `now`, the
motion of a storm is described as forecasters do: by its departure from persistence, the forecast
that it keeps the motion of the last twelve hours. The features are

- the departure east and north: mean velocity between now and the fix, minus that of persistence,
  in km/h. Its size is similar at all lead times, and 0 is the persistence forecast;
- wind (knots) and pressure (mb); latitude and longitude (degrees); the velocity since the
  previous fix (km/h east and north).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ....data.ragged import RaggedSeries, ragged
from ....data.scaling import Scaling
from ....data.table_file import TableFile, read_table
from ....errors import DataError
from ....files import user_path
from ..forecast_data import ForecastData, forecast_data
from ..time_unit import TimeUnit
from ..user_tables.table_cells import numbers_of
from ..user_tables.table_columns import require_column
from ..user_tables.table_format import TableFormat
from . import StormsConfig
from .package_files import shipped_table
from .storm_forecast import StormForecast
from .storm_geometry import AHEAD, BACK, PERSISTENCE, Place, displacement
from .storm_regression import StormRegression
from .storm_scores import storm_errors

__all__ = [
    "FEATURES",
    "Fixes",
    "parts_of",
    "read_fixes",
    "storm_table",
    "storms_data",
    "windows_of",
]

APART = 15 * 24.0  # hours without a fix after which the same name means another storm
FEATURES = (
    "departure east", "departure north", "wind", "pressure", "latitude", "longitude",
    "motion east", "motion north",
)  # fmt: skip
NUMBERS = ("year", "month", "day", "hour", "lat", "long", "wind", "pressure")
RANGES = {"lat": (-90, 90), "long": (-180, 180), "wind": (0, 250), "pressure": (800, 1100)}

log = logging.getLogger(__name__)


@dataclass
class Fixes:
    """The fixes of one storm in order of time.

    Attributes:
        name: Name of the storm, such as `Katrina 2005`.
        hours: Hours since 1970, shape `(fix,)`.
    """

    name: str
    season: int
    hours: Tensor
    place: Place
    wind: Tensor
    pressure: Tensor

    def __len__(self) -> int:
        return len(self.hours)


def storms_data(
    settings: StormsConfig, seed: int = 0, device: torch.device | None = None
) -> ForecastData:
    """Windows of all storms, split by the year in which a storm began.

    Storms that are too short for two days of fixes and a forecast have no window.

    Raises:
        DataError: A column is missing, or a cell is invalid; the message names its line.
    """
    table = storm_table(settings.path)
    years = parts_of(settings.last_training_year)
    storms = read_fixes(table)
    found = [
        windows_of([s for s in storms if s.season in part], settings.every)
        for part in years.values()
    ]
    parts = [part for part, _ in found]
    for part, (name, of_part) in zip(parts, years.items(), strict=True):
        if part is None:
            raise DataError(
                f"{table.source} has no storm of {BACK:g} hours and a fix {PERSISTENCE:g} hours "
                f"later from {of_part[0]} to {of_part[-1]}, which are the years of the {name} "
                "part; change dataset.last_training_year"
            )
    train, validation, test = (part for part in parts if part is not None)
    scale = Scaling.fit(train, settings.scaling)
    data = forecast_data(
        (scale(train), scale(validation), scale(test)),
        settings,
        seed,
        device,
        features=FEATURES,
        time_unit=TimeUnit("days", (BACK + AHEAD) / 24),
        scaling=scale,
        span=(0.0, 1.0),
        # The last fix that a model sees is the one at the time of the forecast.
        extrapolate_from=(BACK + 0.01) / (BACK + AHEAD),
    )
    data.source = found[-1][1]
    windows = data.train.data
    everything = windows.select(torch.arange(len(windows)))
    regression = StormRegression.fit(StormForecast(everything.target.values, everything, scale))
    data.measures = partial(storm_errors, scaling=scale, regression=regression)
    return data


def storm_table(path: str | None) -> TableFile:
    """The rows of a file in the format of the shipped one; of the latter if `path` is None."""
    if path is None:
        return shipped_table("storms.csv.gz")
    return read_table(user_path(path))


def parts_of(last_training_year: int) -> dict[str, range]:
    """The years of each part: four years validate, and all later ones test."""
    last = last_training_year
    return {
        "training": range(last + 1),
        "validation": range(last + 1, last + 5),
        "test": range(last + 5, 10_000),
    }


def read_fixes(table: TableFile) -> list[Fixes]:
    """The storms of a table with a row for each fix, the earliest first.

    Times are whole hours, so a landfall can share one with a regular fix; only the first is kept.

    Raises:
        DataError: As in `storms_data`.
    """
    form = TableFormat()
    columns = ("name", *NUMBERS)
    for name in columns:
        require_column(table, name, f"a table of storms needs {', '.join(columns)}")
    frame = pd.DataFrame({name: numbers_of(table, name, form) for name in NUMBERS})
    for name in NUMBERS:
        low, high = RANGES.get(name, (-np.inf, np.inf))
        bad = frame[name].isna() if name != "pressure" else pd.Series(False, frame.index)
        bad |= (frame[name] < low) | (frame[name] > high)
        if bad.any():
            row = int(bad.to_numpy().argmax())
            cell = table.rows[name].iloc[row]
            allowed = f"from {low:g} to {high:g}" if name in RANGES else "a number"
            raise DataError(f"{table.at(row)}: {name!r} must be {allowed}; found {cell!r}")
    dates = pd.to_datetime(frame[["year", "month", "day", "hour"]], errors="coerce")
    if dates.isna().any():
        row = int(dates.isna().to_numpy().argmax())
        raise DataError(f"{table.at(row)}: year, month, day and hour are not a valid date")
    frame["time"] = (dates - pd.Timestamp(0)).dt.total_seconds() / 3600
    frame["name"] = table.text("name")
    frame = frame.sort_values(["name", "time"], kind="stable")
    frame = frame.drop_duplicates(["name", "time"])
    new = (frame["name"] != frame["name"].shift()) | (frame["time"].diff() > APART)
    storms = [fixes_of(part) for _, part in frame.groupby(new.cumsum())]
    single = [storm.name for storm in storms if len(storm) == 1]
    if single:
        log.warning(
            "%s: storms of a single fix are left out, since they have no motion: %s",
            table.source,
            ", ".join(single[:5]) + (" ..." if len(single) > 5 else ""),
        )
    return sorted((s for s in storms if len(s) > 1), key=lambda s: float(s.hours[0]))


def fixes_of(part: pd.DataFrame) -> Fixes:
    """Return the storm that these rows describe."""
    column = {name: torch.from_numpy(part[name].to_numpy(np.float64, copy=True))
              for name in ("time", "lat", "long", "wind", "pressure")}  # fmt: skip
    season = int(part["year"].iloc[0])
    place = Place(column["lat"], column["long"])
    name = f"{part['name'].iloc[0]} {season}"
    return Fixes(name, season, column["time"], place, column["wind"], column["pressure"])


def windows_of(storms: list[Fixes], every: float) -> tuple[RaggedSeries | None, list[str]]:
    """Windows every `every` hours from two days into each storm on, and the names of their storms.

    The windows are None if there is none.
    """
    times, values, names = [], [], []
    for storm in storms:
        due = float(storm.hours[0]) + BACK
        for i, hour in enumerate(storm.hours.tolist()):
            if hour < due:
                continue
            window = window_at(storm, i)
            if window is not None:
                times.append(window[0])
                values.append(window[1])
                names.append(storm.name)
                due = hour + every
    if not times:
        return None, names
    both, lengths = torch.cat(values), torch.tensor([len(t) for t in times])
    return ragged(torch.cat(times), both.nan_to_num(), lengths, ~both.isnan()), names


def window_at(storm: Fixes, now: int) -> tuple[Tensor, Tensor] | None:
    """Times and features `(fix, feature)` of the window around fix `now`; NaN where undefined.

    None if there is no fix at the start of the persistence motion, or none to forecast.
    """
    hours = storm.hours - storm.hours[now]
    inside = (hours >= -BACK) & (hours <= AHEAD)
    before = (hours == -PERSISTENCE).nonzero()
    if not len(before) or not bool((inside & (hours >= PERSISTENCE)).any()):
        return None
    here = Place(storm.place.latitude[now], storm.place.longitude[now])
    east, north = displacement(here, storm.place)
    start = before[0, 0]
    kept = [-side[start] / PERSISTENCE for side in (east, north)]
    there = torch.where(hours == 0, torch.nan, hours)
    steps = storm.hours.diff(prepend=storm.hours[:1])
    steps = torch.where(steps == 0, torch.nan, steps)
    moved = displacement(
        Place(storm.place.latitude.roll(1), storm.place.longitude.roll(1)), storm.place
    )
    numbers = [
        east / there - kept[0],
        north / there - kept[1],
        storm.wind,
        storm.pressure,
        *storm.place,
        *(side / steps for side in moved),
    ]
    time = (hours + BACK) / (BACK + AHEAD)
    return time[inside], torch.stack(numbers, 1)[inside]
