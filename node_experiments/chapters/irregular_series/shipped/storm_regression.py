"""Regression of track and wind on the state of a storm: what a forecast without skill achieves.

Forecasters measure skill against regressions on climatology and persistence: CLIPER for the track
(Neumann 1972, NOAA Technical Memorandum NWS SR-62) and SHIFOR for the wind (Jarvinen and Neumann
1979, NWS NHC-10). As there, the predictors are position, motion and wind at the time of the
forecast with their products; the date, which is a predictor there, is not one here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from . import LEADS
from .storm_forecast import EAST, NORTH, StormForecast
from .storm_geometry import Place

__all__ = ["StormRegression"]


@dataclass
class StormRegression:
    """Least-squares fit of departure from persistence and of change of wind, by lead time.

    Attributes:
        coefficients: By lead time in hours, of the departure east and north in km/h and of the
            change of wind in knots, shape `(predictor, 3)`.
        meridian: Longitude in degrees from which longitudes are counted.
    """

    coefficients: dict[int, Tensor]
    meridian: float

    @classmethod
    def fit(cls, seen: StormForecast) -> StormRegression:
        """Fit to the fixes of training windows.

        A lead time with fewer fixes than predictors has no regression.
        """
        turn = seen.here.longitude.deg2rad()
        meridian = float(torch.atan2(turn.sin().mean(), turn.cos().mean()).rad2deg())
        given = predictors(seen, meridian)
        change = seen.wind_truth - seen.wind_now
        wanted = torch.stack([seen.values[..., EAST], seen.values[..., NORTH], change], -1)
        found = {}
        for hours in LEADS:
            window, fix = seen.at(hours).nonzero(as_tuple=True)
            if len(window) >= given.shape[1]:
                fitted = torch.linalg.lstsq(
                    given[window].cpu(), wanted[window, fix].cpu(), driver="gelsd"
                )
                found[hours] = fitted.solution.to(given.device)
        return cls(found, meridian)

    def forecast(self, seen: StormForecast, hours: int) -> tuple[Place, Tensor]:
        """Position and wind in knots of each window after `hours`, shapes `(batch, 1)`."""
        predicted = predictors(seen, self.meridian) @ self.coefficients[hours]
        east, north, change = (side.unsqueeze(1) for side in predicted.unbind(1))
        lead = torch.full_like(east, hours)
        return seen.place_of(slice(None), east, north, lead), seen.wind_now + change


def predictors(seen: StormForecast, meridian: float) -> Tensor:
    """Position, motion and wind with their squares and products, shape `(batch, predictor)`."""
    longitude = (seen.here.longitude - meridian + 180) % 360 - 180
    state = torch.cat([seen.here.latitude, longitude, *seen.motion, seen.wind_now], 1)
    state = torch.cat([torch.ones_like(state[:, :1]), state], 1)
    first, second = torch.triu_indices(state.shape[1], state.shape[1])
    return state[:, first] * state[:, second]
