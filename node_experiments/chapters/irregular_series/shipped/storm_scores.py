"""Errors of storm forecasts, of persistence and of regression by lead time."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ....data.scaling import Scaling
from . import LEADS
from .storm_forecast import StormForecast
from .storm_geometry import great_circle
from .storm_regression import StormRegression

__all__ = ["storm_errors"]


def storm_errors(
    mean: Tensor, batch: Any, scaling: Scaling, regression: StormRegression
) -> dict[str, Tensor]:
    """Errors of individual forecasts, for each lead time with a fix.

    - `track_error_24h`: great-circle distance in km; `persistence_error_24h`: the same if the
      storm kept its motion; `regression_error_24h`: the same of the regression
    - `wind_error_24h`: absolute error in knots; `same_wind_error_24h`: the same if the wind stayed
      constant; `regression_wind_error_24h`: the same of the regression

    Args:
        mean: Predicted features in the model's units, shape `(batch, time, feature)`.
        batch: The windows.
        regression: Fit to the training windows. Lead times without one have no such errors.
    """
    found = StormForecast(mean, batch, scaling)
    errors = {
        "track_error": great_circle(found.forecast, found.truth),
        "persistence_error": great_circle(found.persistence, found.truth),
        "wind_error": (found.wind - found.wind_truth).abs(),
        "same_wind_error": (found.wind_now - found.wind_truth).abs(),
    }
    by_lead = {
        f"{name}_{hours}h": error[found.at(hours)]
        for name, error in errors.items()
        for hours in LEADS
    }
    for hours in regression.coefficients:
        place, wind = regression.forecast(found, hours)
        there = found.at(hours)
        by_lead[f"regression_error_{hours}h"] = great_circle(place, found.truth)[there]
        by_lead[f"regression_wind_error_{hours}h"] = (wind - found.wind_truth).abs()[there]
    return by_lead
