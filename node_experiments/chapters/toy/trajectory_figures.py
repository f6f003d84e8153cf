"""Figures of the fitted and the held-out trajectory, and of the learned vector field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from ...figures.style import COLORS, TRUTH, legend_below, mark_start, new_figure, style
from ...tracking.animation import Animation
from ...training.loop import Callback, Trainer

__all__ = ["trajectory_callbacks", "trajectory_figures", "trajectory_frame"]


def trajectory_figures(trainer: Trainer) -> dict[str, Figure]:
    """Figure at the end of training, the last frame of the animation."""
    return {"trajectory": trajectory_frame(trainer)}


def trajectory_callbacks(folder: Path) -> list[Callback]:
    """Callback that writes an animation of the training."""
    return [Animation(folder / "figures" / "training.gif", trajectory_frame)]


def trajectory_frame(trainer: Trainer) -> Figure:
    """Animation frame: states against time, phase plane and direction of the learned field."""
    model: Any = trainer.model
    data: Any = trainer.data
    whole, (held_out,) = data.fitted, data.test
    model.eval()
    with torch.no_grad(), style():
        found = model(whole.y0, whole.times)[:, 0]
        beside = model(held_out.y0, held_out.times)[:, 0]
        times, true = whole.times.tolist(), whole.ys[:, 0]
        axis_points = torch.linspace(-2.2, 2.2, 19, device=true.device)
        grid = torch.stack(torch.meshgrid(axis_points, axis_points, indexing="xy"), -1)
        field = model.velocity(whole.times[0], grid)
        field = field / field.norm(dim=-1, keepdim=True).clamp(min=1e-9)

        figure = new_figure(height=4.0)
        series, plane = figure.subplots(1, 2, width_ratios=(1.25, 1))
        for k, color in enumerate((COLORS["blue"], COLORS["orange"])):
            series.plot(times, true[:, k].tolist(), color=TRUTH, lw=4, alpha=0.7,
                        label="true trajectory")  # fmt: skip
            series.plot(times, found[:, k].tolist(), color=color, lw=1.4,
                        label=f"neural ODE, $y_{k + 1}$")  # fmt: skip
        series.set(xlabel="time (units of the model)", ylabel="state (data units)")
        series.set_ylim(-2.4, 2.4)
        series.set_title("the fitted trajectory over time")
        plane.quiver(grid[..., 0].cpu(), grid[..., 1].cpu(), field[..., 0].cpu(),
                     field[..., 1].cpu(), color="0.5", width=0.003, scale=32)  # fmt: skip
        for start, true_path, path, look in (
            ("fitted", true, found, {"color": COLORS["red"]}),
            ("held out", held_out.ys[:, 0], beside, {"color": COLORS["green"], "ls": "--"}),
        ):
            plane.plot(*true_path.T.tolist(), color=TRUTH, lw=4, alpha=0.7)
            plane.plot(*path.T.tolist(), lw=1.4, label=f"neural ODE, {start}", **look)
            mark_start(plane, true_path[0].tolist(), look["color"])
        plane.set(xlabel="$y_1$", ylabel="$y_2$", aspect="equal")
        plane.set(xlim=(-2.3, 2.3), ylim=(-2.3, 2.3))
        plane.set_title("in the learned vector field; circles: start")
        legend_below(figure, (series, plane))
        figure.suptitle(f"a neural ODE learns a trajectory: after {trainer.step:,} steps")
        return figure
