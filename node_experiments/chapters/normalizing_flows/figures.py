"""A flow from noise to data: densities and samples on the way (Figure 5 of Chen et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn

from ...figures.style import (
    new_figure,
    style,
)
from ...tracking.animation import Film
from ...tracking.arrays import Arrays
from ...training.loop import Callback, Trainer
from .continuous_flow import ContinuousFlow
from .draw_panels import (
    draw_density,
    draw_points,
    draw_target,
)
from .panels import flow_panels

__all__ = ["flow_callbacks", "flow_figures", "flow_film"]

FRAMES = 21
# By model, with the number of training steps after which they were computed.
LATEST: WeakKeyDictionary[nn.Module, tuple[int, dict[str, NDArray]]] = WeakKeyDictionary()


def flow_callbacks(folder: Path) -> list[Callback]:
    """The arrays of the figures, from which reports draw many runs, and a film of the flow."""
    return [
        Arrays(folder / "panels.npz", panels_now),
        Film(folder / "figures" / "flow.gif", flow_film),
    ]


def panels_now(trainer: Trainer) -> dict[str, NDArray]:
    """Those of the model as it is: its picture and its file are of the same solves."""
    step, panels = LATEST.get(trainer.model, (None, {}))
    if step != trainer.step:
        panels = flow_panels(trainer.model, trainer.data)
        LATEST[trainer.model] = trainer.step, panels
    return panels


def flow_figures(trainer: Trainer) -> dict[str, Figure]:
    """Densities and samples at shares of the way, beside what the flow is fitted to."""
    panels = panels_now(trainer)
    return {"flow": flow_figure(panels, f"after {trainer.step} training steps")}


def flow_figure(panels: Mapping[str, NDArray], title: str) -> Figure:
    """One column for each fraction of the time, density above samples; the target last."""
    untils, half_width = panels["untils"], float(panels["half_width"])
    with style():
        figure = new_figure(height=3.4)
        axes = figure.subplots(2, len(untils) + 1, sharex=True, sharey=True)
        for k, until in enumerate(untils):
            draw_density(axes[0, k], panels["densities"][k], half_width)
            draw_points(axes[1, k], panels["samples"][k], half_width)
            axes[0, k].set_title(f"{100 * until:.0f} %")
        draw_target(axes[0, -1], panels)
        axes[0, -1].set_title("target")
        axes[1, -1].set_axis_off()
        for axis in axes[1, :-1]:
            axis.set_xlabel("$z_1$")
        for axis in axes[:, 0]:
            axis.set_ylabel("$z_2$")
        figure.suptitle(
            f"density and samples from noise to data ({title}; coordinates in data units)"
        )
    return figure


def flow_film(trainer: Trainer) -> Iterator[Figure]:
    """Samples and density over time; nothing for a flow that has no time."""
    model: Any = trainer.model
    if not isinstance(model, ContinuousFlow):
        return
    untils = np.linspace(1e-3, 1, FRAMES)  # no solve takes no time
    panels = flow_panels(model, trainer.data, untils.tolist(), points=50)
    half_width = float(panels["half_width"])
    for k, until in enumerate(untils):
        with style():
            figure = new_figure(height=4.4)
            density, points = figure.subplots(1, 2, sharex=True, sharey=True)
            draw_density(density, panels["densities"][k], half_width)
            draw_points(points, panels["samples"][k], half_width)
            density.set(xlabel="$z_1$ (data units)", ylabel="$z_2$ (data units)")
            points.set_xlabel("$z_1$ (data units)")
            density.set_title("density")
            points.set_title("samples")
            figure.suptitle(f"{100 * until:.0f} % of the way from noise to data")
        yield figure
