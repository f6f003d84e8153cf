"""Positions on the globe and the window of a forecast, shared by data, scores and map."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["AHEAD", "BACK", "PERSISTENCE", "Place", "displaced", "displacement", "great_circle"]

BACK, AHEAD = 48.0, 72.0  # hours before and after the time of a forecast
PERSISTENCE = 12.0  # hours over which the motion for the persistence forecast is measured
RADIUS = 6371.0  # km, mean radius of the Earth


class Place(NamedTuple):
    """Latitude north and longitude east in degrees, of shapes that broadcast."""

    latitude: Tensor
    longitude: Tensor


def great_circle(one: Place, other: Place) -> Tensor:
    """Distance in km by the haversine formula."""
    a, b = one.latitude.deg2rad(), other.latitude.deg2rad()
    turn = (other.longitude - one.longitude).deg2rad()
    square = ((b - a) / 2).sin().square() + a.cos() * b.cos() * (turn / 2).sin().square()
    return 2 * RADIUS * square.clamp(0, 1).sqrt().asin()


def displacement(start: Place, end: Place) -> tuple[Tensor, Tensor]:
    """Kilometres east and north along the great circle from one place to another.

    This is the azimuthal equidistant projection around the start: distance and direction from the
    start are exact, and a storm that keeps its motion follows a straight line.
    """
    a, b = start.latitude.deg2rad(), end.latitude.deg2rad()
    turn = (end.longitude - start.longitude).deg2rad()
    bearing = torch.atan2(turn.sin() * b.cos(), a.cos() * b.sin() - a.sin() * b.cos() * turn.cos())
    length = great_circle(start, end)
    return length * bearing.sin(), length * bearing.cos()


def displaced(start: Place, east: Tensor, north: Tensor) -> Place:
    """The inverse of `displacement`."""
    angle, bearing = torch.hypot(east, north) / RADIUS, torch.atan2(east, north)
    a = start.latitude.deg2rad()
    sine = a.sin() * angle.cos() + a.cos() * angle.sin() * bearing.cos()
    turn = torch.atan2(bearing.sin() * angle.sin() * a.cos(), angle.cos() - a.sin() * sine)
    longitude = (start.longitude + turn.rad2deg() + 180) % 360 - 180
    return Place(sine.clamp(-1, 1).asin().rad2deg(), longitude)
