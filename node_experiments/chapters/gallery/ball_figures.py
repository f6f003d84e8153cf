"""Figures of the fitted ball: heights and bounces beyond its samples, and its physics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...figures.style import COLORS, new_figure, style
from ...tracking.animation import Animation
from ...training.loop import Callback, Trainer
from .bounces import bounce_times, heights

__all__ = ["ball_callbacks", "ball_figures"]

SHOWN = 10  # bounces
LABELS = {
    "gravity": "gravity (m/s$^2$)",
    "restitution": "restitution",
    "radius": "radius (m)",
}


def ball_callbacks(folder: Path) -> list[Callback]:
    """Callbacks that draw an animation of the training."""
    return [Animation(folder / "figures" / "training.gif", ball_frame)]


def ball_figures(trainer: Trainer) -> dict[str, Figure]:
    """Heights on the left, and each number during training on the right."""
    task: Any = trainer.task
    truth = task.truth
    with style():
        figure = new_figure(width=9.0, height=3.9)
        grid = figure.add_gridspec(3, 2, width_ratios=(2.1, 1))
        draw_heights(figure.add_subplot(grid[:, 0]), trainer)
        for k, (name, label) in enumerate(LABELS.items()):
            axis = figure.add_subplot(grid[k, 1])
            evaluated = [row for row in trainer.history if f"{name}/test" in row]
            steps, values = ([row[tag] for row in evaluated] for tag in ("step", f"{name}/test"))
            axis.axhline(getattr(truth, name), color="0.5", lw=1, ls="--")
            axis.plot(steps, values, color=COLORS["blue"])
            axis.set_ylabel(label, fontsize=9)
            axis.set_title(f"{values[-1]:.4f}, true {getattr(truth, name):g}", fontsize=9)
            axis.margins(y=0.25)
            axis.tick_params(labelbottom=k == 2)
        axis.set_xlabel("optimisation steps")
    return {"ball": figure}


def ball_frame(trainer: Trainer) -> Figure:
    """Heights of the current model, a frame of the animation."""
    with style():
        figure = new_figure(width=7.0, height=3.4)
        axis = figure.subplots()
        draw_heights(axis, trainer)
        axis.set_title(f"after {trainer.step} optimisation steps", fontsize=11)
    return figure


def draw_heights(axis: Axes, trainer: Trainer) -> None:
    """Draw samples, the true ball and the model's up to the tenth bounce, with bounces marked."""
    model: Any = trainer.model
    task: Any = trainer.task
    truth = task.truth
    batch = next(iter(trainer.data.train))
    end = bounce_times(truth, SHOWN)[-1]
    times = torch.linspace(0, end, 500, dtype=torch.float64)
    with torch.no_grad():
        found = model(times.to(batch.times)).cpu()
    radius = float(model.vector_field.estimates()["radius"])
    seen = float(batch.times[-1])
    axis.axvspan(0, seen, color=COLORS["sky"], alpha=0.12, lw=0)
    axis.plot(times.tolist(), heights(truth, times).tolist(), color="0.6", lw=4, alpha=0.6,
              label="true")  # fmt: skip
    axis.plot(batch.times.tolist(), batch.heights.tolist(), ".", color=COLORS["black"], ms=3.5,
              label="samples")  # fmt: skip
    axis.plot(times.tolist(), found.tolist(), color=COLORS["red"], lw=1.5, label="model")
    inside = found[1:-1]
    lowest = (inside < found[:-2]) & (inside <= found[2:])
    bounces = times[1:-1][lowest]
    axis.plot(bounces.tolist(), [radius] * len(bounces), "o", color=COLORS["red"], mfc="white",
              ms=6, label="bounce")  # fmt: skip
    axis.set(xlabel="time (s)", ylabel="height of the centre (m)", xlim=(0, end))
    axis.set_ylim(-0.4, 1.15 * truth.height)
    axis.legend(loc="upper right", ncols=4)
