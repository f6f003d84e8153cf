"""Figure of a model's forecast of one of the user's series, with its measurements."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ...figures.style import COLORS, new_figure, style
from .user_tables.measurements import Measurements
from .user_tables.series_schema import SeriesSchema

__all__ = ["forecast_figure"]

MAX_FEATURES = 6  # features


def forecast_figure(schema: SeriesSchema, seen: Measurements, found: pd.DataFrame) -> Figure:
    """Plot observations, mean and 90 % band of the first features of the first series."""
    features = schema.columns.features[:MAX_FEATURES]
    name = found[schema.form.series_column].iloc[0]
    one = found[found[schema.form.series_column] == name].sort_values(schema.form.time_column)
    number = seen.names.index(name)
    first, last = int(seen.offsets[number]), int(seen.offsets[number + 1])
    asked = on_axis(schema, one[schema.form.time_column])
    observed = schema.times.to_user(
        schema.times.model_times(seen)[first:last], schema.times.origins(seen)[[number]]
    )
    times, unit = on_axis(schema, observed), " (h)" if schema.columns.time_kind == "clock" else ""
    with style():
        figure = new_figure(9.0, 1.0 + 2.0 * len(features))
        axes = figure.subplots(len(features), 1, sharex=True, squeeze=False)[:, 0]
        for place, (axis, feature) in enumerate(zip(axes, features, strict=True)):
            low, high = one[f"{feature}_q05"], one[f"{feature}_q95"]
            axis.fill_between(asked, low, high, color=COLORS["blue"], alpha=0.2, lw=0)
            axis.plot(asked, one[feature], color=COLORS["blue"], label="predicted, with 90 % band")
            values = seen.values[first:last, place]
            known = ~np.isnan(values)
            axis.plot(times[known], values[known], ".", color=COLORS["black"], label="observed")
            axis.set_ylabel(feature, parse_math=False)  # a dollar sign starts no formula
        axes[0].legend()
        axes[0].set_title(f"Series {name}", parse_math=False)
        axes[-1].set_xlabel(schema.form.time_column + unit, parse_math=False)
    return figure


def on_axis(schema: SeriesSchema, times: pd.Series) -> np.ndarray:
    """The user's times as numbers or dates; clock times in hours."""
    raw = schema.times.parse(times)
    if schema.columns.time_kind == "clock":
        return raw / 3.6e12
    return raw.astype("datetime64[ns]") if schema.times.in_seconds else raw
