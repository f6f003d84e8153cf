"""A map of the Atlantic with forecasts of some test storms: cone, mean, persistence and truth."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from scipy.spatial import ConvexHull
from torch import Tensor

from ....figures.style import COLORS, new_figure, style
from ....training.loop import Trainer
from ..figures import mean_at_targets
from .package_files import shipped_table
from .storm_forecast import LATITUDE, LONGITUDE, StormForecast
from .storm_geometry import AHEAD, Place, displaced, great_circle

__all__ = ["storm_figures"]

STORMS = 6
APART = 900.0  # smallest distance in km between the first and last observed fixes of two storms
LAND, CONE = "#e9e4d8", "#a9cbe8"
CONE_FRACTION = 2 / 3  # fraction of errors inside the cone, as for the National Hurricane Center's
CORNERS = 48  # corners of the polygon that approximates a circle of the cone


def storm_figures(trainer: Trainer) -> dict[str, Figure]:
    """Map of strong test storms that are far from each other, each with a three-day forecast.

    None if no test window has all fixes of three days.
    """
    model: Any = trainer.model
    data: Any = trainer.data
    model.eval()
    with torch.no_grad(), style():
        leads, radii = errors_before(model, data)
        batch, names = select_windows(data)
        if not names:
            return {}
        mean = mean_at_targets(model, data, batch)
        found = StormForecast(mean, batch, data.scaling)
        radius = np.interp(found.lead.cpu().numpy(), leads, radii)
        return {"storms": storm_map(found, radius, batch, names, data)}


def errors_before(model: Any, data: Any) -> tuple[list[float], list[float]]:
    """Lead times in hours, and the radius in km that holds `CONE_FRACTION` of validation errors.

    The lead times are those of regular fixes, every six hours.
    """
    errors, leads = [], []
    for batch in data.validation:
        mean = mean_at_targets(model, data, batch)
        found = StormForecast(mean, batch, data.scaling)
        errors.append(great_circle(found.forecast, found.truth)[found.there])
        leads.append(found.lead[found.there])
    error, lead = torch.cat(errors), torch.cat(leads)
    kept = [0.0]
    radii = [0.0]
    for hours in range(6, int(AHEAD) + 1, 6):
        same = error[(lead - hours).abs() < 0.01]
        if len(same):
            kept.append(hours)
            radii.append(float(same.quantile(CONE_FRACTION)))
    return kept, radii


def select_windows(data: Any) -> tuple[Any, list[str]]:
    """Windows with all regular fixes of three days, by falling wind, and the storms' names.

    Storms whose observed tracks are close to that of a stronger one are skipped, so that no track
    hides another.
    """
    windows = data.test.data
    every = windows.select(torch.arange(len(windows)))
    found = StormForecast(torch.zeros_like(every.target.values), every, data.scaling)
    whole = has_regular_fixes(found).nonzero().flatten().tolist()
    if not whole:
        return None, []
    batch = windows.select(torch.tensor(whole))
    found = StormForecast(torch.zeros_like(batch.target.values), batch, data.scaling)
    kept: list[int] = []
    names = [data.source[i] for i in whole]
    seen = data.scaling.undo(batch.observed.values.double())
    first = Place(seen[:, 0, LATITUDE].unsqueeze(1), seen[:, 0, LONGITUDE].unsqueeze(1))
    ends = (first, found.here)

    def is_near(i: int, j: int) -> bool:
        pairs = [(a, b) for a in ends for b in ends]
        return names[i] == names[j] or min(_apart(a, i, b, j) for a, b in pairs) < APART

    for i in found.wind_now[:, 0].argsort(descending=True).tolist():
        if not any(is_near(i, j) for j in kept):
            kept.append(i)
        if len(kept) == STORMS:
            break
    return batch.select(torch.tensor(kept)), [names[i] for i in kept]


def has_regular_fixes(found: StormForecast) -> Tensor:
    """Mask of the windows with a fix at each regular lead time; landfalls are between these."""
    due = torch.arange(6, AHEAD + 1, 6, device=found.lead.device).view(1, -1, 1)
    at_due = (found.lead.unsqueeze(1) - due).abs() < 0.01
    return (at_due & found.there.unsqueeze(1)).any(2).all(1)


def _apart(one: Place, i: int, other: Place, j: int) -> float:
    here = Place(one.latitude[i], one.longitude[i])
    there = Place(other.latitude[j], other.longitude[j])
    return float(great_circle(here, there))


def storm_map(
    found: StormForecast, radius: np.ndarray, batch: Any, names: list[str], data: Any
) -> Figure:
    """Draw the map of these windows, with cones of a given radius in km at each time."""
    figure = new_figure(9.0, 7.2)
    axes = figure.subplots()
    seen = data.scaling.undo(batch.observed.values.double())
    coast = draw_land(axes)
    every: list[np.ndarray] = []
    for i, name in enumerate(names):
        there = found.there[i]
        here = np.array([[float(found.here.longitude[i]), float(found.here.latitude[i])]])
        past = seen[i, batch.observed.mask[i]][:, [LONGITUDE, LATITUDE]].cpu().numpy()
        lines = [
            np.concatenate([here, points(place, i, there)])
            for place in (found.truth, found.forecast, found.persistence)
        ]
        shapes, over = cone(found, radius[i], i), 2 + 0.01 * i
        outline = PolyCollection(
            shapes, facecolor=CONE, edgecolor=COLORS["sky"], lw=2, zorder=over
        )
        axes.add_collection(outline)
        inside = PolyCollection(shapes, facecolor=CONE, edgecolor="none", zorder=over + 0.005)
        axes.add_collection(inside)
        truth, mean, kept = lines
        label = "_" if i else ""
        axes.plot(*kept.T, ":", color=COLORS["black"], lw=1.4, zorder=4,
                  label=f"{label}persistence of motion")  # fmt: skip
        axes.plot(*mean.T, color=COLORS["blue"], lw=2, zorder=5, label=f"{label}forecast")
        axes.plot(*truth.T, "-o", color=COLORS["red"], lw=1, ms=2.6, zorder=6,
                  label=f"{label}what happened")  # fmt: skip
        axes.plot(*past.T, "-o", color=COLORS["black"], lw=1, ms=2.6, zorder=6,
                  label=f"{label}two days of fixes")  # fmt: skip
        axes.annotate(
            name, past[0], xytext=(5, -9), textcoords="offset points", fontsize=9, zorder=7
        )
        every += [past, truth, mean]
    axes.fill([], [], color=CONE, ec=COLORS["sky"], label="2/3 of errors of earlier years")
    axes.add_collection(
        PolyCollection(coast, facecolor="none", edgecolor="0.55", lw=0.5, zorder=3)
    )
    frame(axes, np.concatenate(every))
    figure.legend(loc="outside lower center", ncols=5, fontsize=9)
    axes.set_title("Atlantic storms of the test years: three days ahead from two days of fixes")
    return figure


def points(place: Place, i: int, there: Tensor) -> np.ndarray:
    """Longitudes and latitudes of one storm, shape `(time, 2)`."""
    pair = torch.stack([place.longitude[i, there], place.latitude[i, there]], 1)
    return pair.cpu().numpy()


def cone(found: StormForecast, radius: np.ndarray, i: int) -> list[np.ndarray]:
    """Polygons of a forecast cone: convex hulls of the circles at successive times."""
    turn = torch.linspace(0, 2 * math.pi, CORNERS, dtype=torch.float64)
    there = found.there[i].cpu()
    middle = Place(*(side[i].cpu()[there].unsqueeze(1) for side in found.forecast))
    far = torch.from_numpy(radius)[there].unsqueeze(1)
    edge = displaced(middle, far * turn.sin(), far * turn.cos())
    circles = torch.stack([edge.longitude, edge.latitude], -1).numpy()
    here = np.array([[float(found.here.longitude[i]), float(found.here.latitude[i])]])
    return [hull(np.concatenate(pair)) for pair in pairwise([here, *circles])]


def hull(corners: np.ndarray) -> np.ndarray:
    return corners[ConvexHull(corners).vertices]


def draw_land(axes: Axes) -> list[np.ndarray]:
    """Fill the land and return its outlines (Natural Earth, 1:50m, simplified to 0.06 degrees)."""
    rows = shipped_table("coast.csv.gz").rows.astype(float)
    rings = [ring[["longitude", "latitude"]].to_numpy() for _, ring in rows.groupby("ring")]
    axes.add_collection(PolyCollection(rings, facecolor=LAND, edgecolor="none", zorder=1))
    return rings


def frame(axes: Axes, shown: np.ndarray) -> None:
    """Show the part of the map with these points, with equal scales in its middle."""
    low, high = shown.min(0) - 4, shown.max(0) + 4
    axes.set_xlim(max(low[0], -115), min(high[0], 15))
    axes.set_ylim(max(low[1], -5), min(high[1], 72))
    axes.set_aspect(1 / math.cos(math.radians((low[1] + high[1]) / 2)))
    axes.set_facecolor("#f6f9fc")
    axes.set_xlabel("longitude (degrees)")
    axes.set_ylabel("latitude (degrees)")
    axes.grid(color="0.85", lw=0.5)
