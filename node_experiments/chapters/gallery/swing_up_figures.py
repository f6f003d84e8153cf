"""Figures of the plan, and of the learned and the true pendulum under it."""

from __future__ import annotations

import math
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
from .swing_up import execute_plan

__all__ = ["swing_up_callbacks", "swing_up_figures"]

FRAMES = 41


def swing_up_callbacks(folder: Path) -> list[Callback]:
    """Callbacks that draw an animation of the true pendulum under the plan."""
    return [Film(folder / "figures" / "swing_up.gif", swing_up_frames)]


def trajectories(trainer: Trainer, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Seconds, planned and true states (angle, speed), and torque, at `count` times."""
    model: Any = trainer.model
    task: Any = trainer.task
    times = torch.linspace(0, 1, count).to(model.plan.raw)
    model.eval()
    with torch.no_grad():
        planned = model.plan(times)[:, 0].cpu()
        u = model.plan.torque()
        torque = torch.stack([u(t)[0, 0] for t in times]).cpu()
    true = execute_plan(model.plan, task.truth, times)[:, 0].cpu()
    return model.plan.span * times.cpu(), planned, true, torque


def swing_up_figures(trainer: Trainer) -> dict[str, Figure]:
    """Angle and torque against time, and the phase plane."""
    model: Any = trainer.model
    seconds, planned, true, torque = trajectories(trainer, 201)
    with style():
        figure = new_figure(width=9.0, height=3.8)
        grid = figure.add_gridspec(2, 2, width_ratios=(1.3, 1), height_ratios=(1.5, 1))
        angle = figure.add_subplot(grid[0, 0])
        draw_angle(angle, seconds, planned, true)
        force = figure.add_subplot(grid[1, 0], sharex=angle)
        force.plot(seconds.tolist(), torque.tolist(), color=COLORS["green"])
        largest = model.plan.largest
        force.axhline(0, color="0.7", lw=0.8)
        force.set(
            xlabel="time (s)", ylabel="torque (1/s²)", ylim=(-1.15 * largest, 1.15 * largest)
        )
        phase = figure.add_subplot(grid[:, 1])
        phase.plot(
            true[:, 0].tolist(), true[:, 1].tolist(), color=COLORS["blue"], label="true pendulum"
        )
        phase.plot(planned[:, 0].tolist(), planned[:, 1].tolist(), "--", color=COLORS["red"],
                   lw=1.3, label="learned dynamics")  # fmt: skip
        phase.plot(0, 0, "o", color=COLORS["black"], ms=5)
        phase.plot(*true[-1].tolist(), "o", color=COLORS["blue"], ms=7)
        phase.set(xlabel="angle (rad)", ylabel="speed (rad/s)")
        phase.legend()
    return {"swing_up": figure}


def draw_angle(axis: Axes, seconds: Tensor, planned: Tensor, true: Tensor) -> None:
    """Draw angles, with lines where the pendulum is upright."""
    axis.plot(seconds.tolist(), true[:, 0].tolist(), color=COLORS["blue"], label="true pendulum")
    axis.plot(seconds.tolist(), planned[:, 0].tolist(), "--", color=COLORS["red"], lw=1.3,
              label="learned dynamics")  # fmt: skip
    for turn in (-math.pi, math.pi):
        axis.axhline(turn, color="0.5", lw=0.8, ls=":")
    axis.set_yticks([-math.pi, 0, math.pi], [r"$-\pi$", "0", r"$\pi$"])
    axis.set_ylabel("angle (upright: $\\pm\\pi$)")
    axis.legend(loc="upper left", fontsize=8)


def swing_up_frames(trainer: Trainer) -> Iterator[Figure]:
    """Frames of the pendulum beside its angle."""
    seconds, _, true, torque = trajectories(trainer, FRAMES)
    fine = trajectories(trainer, 201)
    for k in range(FRAMES):
        with style():
            figure = new_figure(width=7.4, height=3.0)
            swing, angle = figure.subplots(1, 2, width_ratios=(1, 1.5))
            theta = float(true[k, 0])
            x, y = math.sin(theta), -math.cos(theta)
            swing.plot([0, x], [0, y], color=COLORS["black"], lw=3)
            swing.plot(x, y, "o", color=COLORS["blue"], ms=16)
            push = float(torque[k])
            swing.set_title(f"torque {push:+.1f} 1/s²".replace("-", "\N{MINUS SIGN}"), fontsize=11)
            swing.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), xticks=[], yticks=[], aspect="equal")
            swing.grid(False)
            swing.spines[:].set_visible(False)
            draw_angle(angle, fine[0], fine[1], fine[2])
            angle.axvline(float(seconds[k]), color="0.4", lw=1)
            angle.set_xlabel("time (s)")
        yield figure
