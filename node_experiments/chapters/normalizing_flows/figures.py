"""A flow from noise to data: densities and samples over time (Figure 5 of Chen et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn

from ...figures.style import new_figure, style
from ...tracking.animation import Film
from ...tracking.arrays import Arrays
from ...training.loop import Callback, Trainer
from .continuous_flow import ContinuousFlow
from .draw_panels import draw_density, draw_points, draw_target
from .panels import flow_panels

__all__ = ["flow_callbacks", "flow_figures", "flow_frames"]

FRAMES = 21
# Latest panels of each model, with the training step at which they were computed.
LATEST: WeakKeyDictionary[nn.Module, tuple[int, dict[str, NDArray]]] = WeakKeyDictionary()


def flow_callbacks(folder: Path) -> list[Callback]:
    """Callbacks that write the arrays of the figures for reports, and an animation of the flow."""
    return [
        Arrays(folder / "panels.npz", panels_now),
        Film(folder / "figures" / "flow.gif", flow_frames),
    ]


def panels_now(trainer: Trainer) -> dict[str, NDArray]:
    """The panels of the current model, cached so that figure and file share the same solves."""
    step, panels = LATEST.get(trainer.model, (None, {}))
    if step != trainer.step:
        panels = flow_panels(trainer.model, trainer.data)
        LATEST[trainer.model] = trainer.step, panels
    return panels


def flow_figures(trainer: Trainer) -> dict[str, Figure]:
    """The figure of densities and samples from noise to data, beside the target."""
    panels = panels_now(trainer)
    return {"flow": flow_figure(panels, f"after {trainer.step} training steps")}


def flow_figure(panels: Mapping[str, NDArray], title: str) -> Figure:
    """A column for each fraction of the time, density above samples; the target comes last."""
    fractions, half_width = panels["untils"], float(panels["half_width"])
    with style():
        figure = new_figure(height=3.4)
        axes = figure.subplots(2, len(fractions) + 1, sharex=True, sharey=True)
        for k, fraction in enumerate(fractions):
            draw_density(axes[0, k], panels["densities"][k], half_width)
            draw_points(axes[1, k], panels["samples"][k], half_width)
            axes[0, k].set_title(f"{100 * fraction:.0f} %")
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


def flow_frames(trainer: Trainer) -> Iterator[Figure]:
    """Frames of samples and density over time; none for a flow without a continuous time."""
    model: Any = trainer.model
    if not isinstance(model, ContinuousFlow):
        return
    fractions = np.linspace(1e-3, 1, FRAMES)  # a solve needs an interval of nonzero length
    panels = flow_panels(model, trainer.data, fractions.tolist(), points=50)
    half_width = float(panels["half_width"])
    for k, fraction in enumerate(fractions):
        with style():
            figure = new_figure(height=4.4)
            density, points = figure.subplots(1, 2, sharex=True, sharey=True)
            draw_density(density, panels["densities"][k], half_width)
            draw_points(points, panels["samples"][k], half_width)
            density.set(xlabel="$z_1$ (data units)", ylabel="$z_2$ (data units)")
            points.set_xlabel("$z_1$ (data units)")
            density.set_title("density")
            points.set_title("samples")
            figure.suptitle(f"{100 * fraction:.0f} % of the way from noise to data")
        yield figure
