"""Smoke without and with control: a figure and an animation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...figures.style import COLORS, new_figure, style
from ...tracking.animation import Film
from ...training.loop import Callback, Trainer
from .gradient_costs import GradientCosts

__all__ = ["fluid_callbacks", "fluid_figures", "fluid_frames"]

FRAMES = 31
ARROWS = 10  # along a side
SMOKE = "Greys"


def fluid_callbacks(folder: Path) -> list[Callback]:
    """Callbacks for the animation, and for the cost of each gradient method."""
    return [Film(folder / "figures" / "smoke.gif", fluid_frames), GradientCosts(folder)]


def trajectories(trainer: Trainer, frames: int) -> tuple[Any, Tensor, Tensor, Tensor]:
    """Batch, times, and states without and with control, `(time, 3, size, size)`, on the CPU."""
    model: Any = trainer.model
    (batch,) = trainer.data.test
    model.eval()
    with torch.no_grad():
        times = torch.linspace(float(batch.times[0]), float(batch.times[1]), frames).to(
            batch.times
        )
        uncontrolled = model.uncontrolled(batch.smoke, times)[:, 0]
        controlled = model(batch.smoke, times)[:, 0]
    return batch, times, uncontrolled.cpu(), controlled.cpu()


def fluid_figures(trainer: Trainer) -> dict[str, Figure]:
    """Smoke at five times, without control and with it, beside the target."""
    batch, times, uncontrolled, controlled = trajectories(trainer, 5)
    left = 100 * (1 - trainer.metrics.get("reduction/test", 0.0))
    with style():
        figure = new_figure(width=9.0, height=3.15)
        axes = figure.subplots(2, 6)
        for k, t in enumerate(times.tolist()):
            draw_smoke(axes[0, k], uncontrolled[k, 2])
            draw_smoke(
                axes[1, k], controlled[k, 2], batch.target[0] if k == len(times) - 1 else None
            )
            if k:
                draw_velocity(axes[0, k], uncontrolled[k])
                draw_velocity(axes[1, k], controlled[k])
            axes[0, k].set_title(f"t = {t:g}", fontsize=11)
        draw_smoke(axes[0, 5], batch.target[0].cpu())
        axes[0, 5].set_title("target", fontsize=11)
        axes[1, 5].set_axis_off()
        axes[1, 5].text(
            0.04, 0.5, f"distance to\nthe target:\n{left:.1f} % of\nthat without\n"
            "control", transform=axes[1, 5].transAxes, va="center", fontsize=11,
        )  # fmt: skip
        axes[0, 0].set_ylabel("no control", fontsize=11)
        axes[1, 0].set_ylabel("controlled", fontsize=11)
    return {"smoke": figure}


def fluid_frames(trainer: Trainer) -> Iterator[Figure]:
    """Frames of the smoke without control, with control, and the target."""
    batch, times, uncontrolled, controlled = trajectories(trainer, FRAMES)
    for k, t in enumerate(times.tolist()):
        with style():
            figure = new_figure(width=7.6, height=2.9)
            left, middle, right = figure.subplots(1, 3)
            draw_smoke(left, uncontrolled[k, 2])
            draw_smoke(middle, controlled[k, 2])
            draw_smoke(right, batch.target[0].cpu())
            left.set_title("no control", fontsize=11)
            middle.set_title("controlled", fontsize=11)
            right.set_title("target", fontsize=11)
            left.set_xlabel(f"t = {t:.2f}")
        yield figure


def draw_smoke(axis: Axes, smoke: Tensor, target: Tensor | None = None) -> None:
    """Draw a density from 0 to 1, and the outline of the target."""
    extent = (0, 1, 0, 1)
    axis.imshow(
        smoke.numpy(), cmap=SMOKE, vmin=0, vmax=1.1, origin="lower", extent=extent,
        interpolation="bilinear",
    )  # fmt: skip
    if target is not None:
        axis.contour(
            target.cpu().numpy(), levels=[0.5], colors=COLORS["red"], linewidths=1.2, extent=extent
        )
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    for spine in axis.spines.values():
        spine.set(visible=True, color="0.7")


def draw_velocity(axis: Axes, state: Tensor) -> None:
    """Draw the velocity of the fluid on a coarse grid, with the same scale in all panels."""
    size = state.shape[-1]
    every = max(1, size // ARROWS)
    places = (torch.arange(every // 2, size, every) + 0.5) / size
    velocity = state[:2, every // 2 :: every, every // 2 :: every]
    axis.quiver(
        places,
        places,
        velocity[0],
        velocity[1],
        color=COLORS["blue"],
        scale=9,
        width=0.01,
        alpha=0.8,
    )
