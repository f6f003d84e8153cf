"""Figures of flows of points, which show why a plain neural ODE cannot separate two spheres."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ...figures.style import COLORS, new_figure, style
from ...tracking.arrays import Arrays
from ...training.loop import Callback, Trainer

__all__ = ["draw_flow", "sphere_callbacks", "sphere_figures"]

SHOWN = {1: 30, 2: 240}  # points


def sphere_callbacks(folder: Path) -> list[Callback]:
    """Callbacks that keep the trajectories of the figure, for a report on many runs."""
    return [Arrays(folder / "flow.npz", trajectories)]


def trajectories(trainer: Trainer) -> dict[str, NDArray]:
    """States `(time, point, dim + augment)` of test points, and their classes `(point,)`."""
    model: Any = trainer.model
    (batch,) = trainer.data.test
    dim = batch.x.shape[1]
    order = torch.randperm(len(batch), generator=torch.Generator().manual_seed(0))
    some = order[: SHOWN.get(dim, 240)].to(batch.x.device)
    model.eval()
    with torch.no_grad():
        states = model.features(batch.x[some], torch.linspace(0, 1, 41).to(batch.x))
    weight = model.head.weight.detach()[0]
    return {
        "states": states.cpu().numpy().astype(np.float32),
        "classes": batch.y[some].cpu().numpy(),
        "dim": np.array(dim),
        "weight": weight.cpu().numpy(),
    }


def sphere_figures(trainer: Trainer) -> dict[str, Figure]:
    """The flow of the test points, coloured by their true class."""
    arrays = trajectories(trainer)
    with style():
        figure = new_figure(width=6.0, height=4.6)
        draw_flow(figure, (1, 1, 1), arrays)
    return {"flow": figure}


def draw_flow(figure: Figure, place: tuple[int, int, int], arrays: Mapping[str, NDArray]) -> Axes:
    """Draw trajectories, in three dimensions at most.

    One dimension is drawn against time; two, or one augmented, in the plane; more in space, whose
    third axis is the linear layer's direction in the augmented dimensions.
    """
    states, classes, dim = arrays["states"], arrays["classes"], int(arrays["dim"])
    augmented = states.shape[2] > dim
    paths: list[tuple[NDArray, ...]]
    if dim == 1 and not augmented:
        axis = figure.add_subplot(*place)
        paths = [(np.linspace(0, 1, len(states)), states[:, k, 0]) for k in range(len(classes))]
        axis.set(xlabel="time", ylabel="$z_1$")
    elif dim == 1:
        axis = figure.add_subplot(*place)
        projected = project_augmented(states, arrays["weight"], dim)
        paths = [(states[:, k, 0], projected[:, k]) for k in range(len(classes))]
        axis.set(xlabel="$z_1$", ylabel="augmented direction")
    elif not augmented:
        axis = figure.add_subplot(*place)
        paths = [(states[:, k, 0], states[:, k, 1]) for k in range(len(classes))]
        axis.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
    else:
        axis = figure.add_subplot(*place, projection="3d")
        projected = project_augmented(states, arrays["weight"], dim)
        paths = [(states[:, k, 0], states[:, k, 1], projected[:, k]) for k in range(len(classes))]
        axis.set(xlabel="$z_1$", ylabel="$z_2$", zlabel="augmented direction")
        axis.tick_params(labelsize=7)
        axis.set_box_aspect(None, zoom=0.85)  # the label of the third axis is cut off otherwise
    for path, kind in zip(paths, classes, strict=True):
        color = COLORS["blue" if kind < 0 else "red"]
        axis.plot(*path, color=color, lw=0.7, alpha=0.35)
        axis.plot(*([part[-1]] for part in path), "o", color=color, ms=3.2, mew=0)
        axis.plot(*([part[0]] for part in path), ".", color="0.55", ms=2)
    return axis


def project_augmented(states: NDArray, weight: NDArray, dim: int) -> NDArray:
    """Augmented dimensions projected onto the linear layer's direction in them, `(time, n)`."""
    direction = weight[dim:] / (np.linalg.norm(weight[dim:]) + 1e-12)
    found: NDArray = states[:, :, dim:] @ direction
    return found
