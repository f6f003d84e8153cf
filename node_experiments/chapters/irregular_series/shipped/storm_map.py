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
from ..figures import what_a_model_says
from .package_files import shipped_table
from .storm_geometry import Place, great_circle
from .storm_scores import EAST, LATITUDE, LONGITUDE, NORTH, StormForecast

__all__ = ["storm_figures"]

STORMS = 6
APART = 900.0  # km between the beginnings and ends of any two of them
LAND, CONE = "#e9e4d8", "#a9cbe8"
# The cone holds two thirds of the positions, as that of the National Hurricane Center.
CIRCLE = math.sqrt(-2 * math.log(1 / 3))
CORNERS = 48  # of an ellipse of the cone


def storm_figures(trainer: Trainer) -> dict[str, Figure]:
    """Strong test storms that are far from each other, each with a forecast of three days."""
    model: Any = trainer.model
    data: Any = trainer.data
    batch, names = chosen(data)
    model.eval()
    with torch.no_grad(), style():
        mean, std = what_a_model_says(model, trainer.task, batch)
        found = StormForecast(mean, batch, data.scaling)
        return {"storms": storm_map(found, std * data.scaling.scale.to(std), batch, names, data)}


def chosen(data: Any) -> tuple[Any, list[str]]:
    """Windows with all fixes of three days, the strongest winds first, and the storms' names.

    Of those whose tracks up to now are apart, so that none hides another.
    """
    windows = data.test.data
    whole = [i for i, n in enumerate(windows.target.lengths.tolist()) if n >= 12]
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


def _apart(one: Place, i: int, other: Place, j: int) -> float:
    here = Place(one.latitude[i], one.longitude[i])
    there = Place(other.latitude[j], other.longitude[j])
    return float(great_circle(here, there))


def storm_map(
    found: StormForecast, std: Tensor, batch: Any, names: list[str], data: Any
) -> Figure:
    """The map of these windows; `std` in km/h."""
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
        shapes, over = cone(found, std, i), 2 + 0.01 * i
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
    axes.fill([], [], color=CONE, ec=COLORS["sky"], label="2/3 of positions")
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


def cone(found: StormForecast, std: Tensor, i: int) -> list[np.ndarray]:
    """Hulls of the ellipses of every two times that follow each other."""
    turn = torch.linspace(0, 2 * math.pi, CORNERS, dtype=torch.float64, device=std.device)
    east, north = (
        found.departure[side][i].unsqueeze(-1) + std[i, :, [side]].double() * CIRCLE * turned
        for side, turned in ((EAST, turn.cos()), (NORTH, turn.sin()))
    )
    lead = found.lead[i].unsqueeze(-1)
    edge = found.place_of(i, east, north, lead)
    shapes = torch.stack([edge.longitude, edge.latitude], -1)[found.there[i]].cpu().numpy()
    here = np.array([[float(found.here.longitude[i]), float(found.here.latitude[i])]])
    rings = [here, *shapes]
    return [hull(np.concatenate(pair)) for pair in pairwise(rings)]


def hull(corners: np.ndarray) -> np.ndarray:
    return corners[ConvexHull(corners).vertices]


def draw_land(axes: Axes) -> list[np.ndarray]:
    """Fill the land; its outlines (Natural Earth, 1:50m, simplified to 0.06 degrees)."""
    rows = shipped_table("coast.csv.gz").rows.astype(float)
    rings = [ring[["longitude", "latitude"]].to_numpy() for _, ring in rows.groupby("ring")]
    axes.add_collection(PolyCollection(rings, facecolor=LAND, edgecolor="none", zorder=1))
    return rings


def frame(axes: Axes, shown: np.ndarray) -> None:
    """The part of the map with these points, with degrees of one length in its middle."""
    low, high = shown.min(0) - 4, shown.max(0) + 4
    axes.set_xlim(max(low[0], -115), min(high[0], 15))
    axes.set_ylim(max(low[1], -5), min(high[1], 72))
    axes.set_aspect(1 / math.cos(math.radians((low[1] + high[1]) / 2)))
    axes.set_facecolor("#f6f9fc")
    axes.set_xlabel("longitude (degrees)")
    axes.set_ylabel("latitude (degrees)")
    axes.grid(color="0.85", lw=0.5)
