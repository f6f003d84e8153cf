"""Memory and CPU time of one gradient through a solve, for every gradient method.

Memory is the peak of the bytes that are alive at once in forward and backward pass, counted from
the operations (`training.live_bytes`), so that it is the same on every machine. The solver is
`rk4` with a number of equal steps for all methods, but `reversible_rk4` for `reversible`. The
reference for the error is the gradient through a solve with twice the largest number of steps. The
error thus contains that of the solve, even for a gradient that is exact for its steps.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from ...figures.style import COLORS, log_scale, new_figure, style
from ...files import write_json
from ...nn.swap_solver import temporary_solver
from ...ode import (
    Adjoint,
    Backprop,
    Checkpoint,
    Discrete,
    Gradient,
    Interpolated,
    Reversible,
    Solver,
)
from ...training.live_bytes import LiveBytes
from ...training.loop import Callback, Trainer

__all__ = ["GRADIENT_METHODS", "GradientCosts", "gradient_costs"]

GRADIENT_METHODS: dict[str, Gradient] = {
    "backprop": Backprop(),
    "discrete": Discrete(),
    "checkpoint": Checkpoint(),
    "interpolated": Interpolated(),
    "adjoint": Adjoint(),
    "reversible": Reversible(),
}
LINES = dict(zip(GRADIENT_METHODS, ("red", "orange", "sky", "purple", "blue", "green"),
                 strict=True))  # fmt: skip
STEPS = (48, 96, 192)


def gradient_costs(
    trainer: Trainer, steps: Sequence[int], repeats: int
) -> list[dict[str, float | str | bool]]:
    """Measure each gradient method with each number of steps.

    Args:
        repeats: Number of timed gradients, whose median is reported; bytes are counted in another.

    Returns:
        Rows with `gradient`, `steps`, `peak_bytes`, `seconds` of CPU time, whether the gradient is
        `trusted` (the method gave no warning), and its relative `error`.
    """
    rows: list[dict[str, float | str | bool]] = []
    with temporary_solver(trainer.model, Solver("rk4", num_steps=2 * max(steps)), Checkpoint()):
        accurate = gradient(trainer)
    for count in steps:
        for name, method in GRADIENT_METHODS.items():
            with (
                warnings.catch_warnings(record=True) as warned,
                temporary_solver(trainer.model, Solver("rk4", num_steps=count), method),
            ):
                warnings.simplefilter("always")
                with LiveBytes() as counter:
                    found = gradient(trainer)
                seconds = []
                for _ in range(repeats):
                    start = time.process_time()
                    gradient(trainer)
                    seconds.append(time.process_time() - start)
            rows.append({
                "gradient": name,
                "steps": count,
                "peak_bytes": counter.peak,
                "seconds": sorted(seconds)[len(seconds) // 2],
                "trusted": not warned,
                "error": float((found - accurate).norm() / accurate.norm()),
            })  # fmt: skip
    return rows


def gradient(trainer: Trainer) -> torch.Tensor:
    """The gradient of the loss of one batch with respect to all parameters, as one vector."""
    batch = next(iter(trainer.data.train))
    loss, _ = trainer.task.loss(trainer.model, batch, trainer.step)
    parameters = [p for p in trainer.model.parameters() if p.requires_grad]
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, parameters)])


def costs_figure(rows: Sequence[dict[str, Any]], title: str) -> Figure:
    """Memory, time and error against the number of steps; hollow markers where a method warned."""
    panels = {
        "peak_bytes": "peak memory (MB)",
        "seconds": "CPU time (s)",
        "error": "relative error of the gradient",
    }
    with style():
        figure = new_figure(height=3.2)
        axes = figure.subplots(1, 3)
        for axis, (column, label) in zip(axes, panels.items(), strict=True):
            scale = 1e-6 if column == "peak_bytes" else 1.0
            shown: list[float] = []
            for name, color in LINES.items():
                own = [row for row in rows if row["gradient"] == name]
                steps = [row["steps"] for row in own]
                values = [scale * row[column] or math.nan for row in own]
                shown += [value for value in values if value > 0]
                axis.plot(steps, values, color=COLORS[color], label=name)
                for step, value, row in zip(steps, values, own, strict=True):
                    face = COLORS[color] if row["trusted"] else "white"
                    axis.plot(step, value, "o", ms=5, color=COLORS[color], mfc=face)
            log_scale(axis, "y", shown)
            axis.set(xscale="log", xlabel="steps of rk4")
            axis.set_title(label, fontsize=10)
            axis.set_xticks(steps, [str(count) for count in steps])
            axis.set_xticks([], minor=True)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
        figure.suptitle(title, fontsize=10)
    return figure


class GradientCosts(Callback):
    """Measurement after the last epoch, which writes `gradient_costs.json` and a figure.

    Args:
        folder: The folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def epoch_end(self, trainer: Trainer) -> None:
        if not trainer.is_last or not getattr(trainer.model, "compare_gradients", True):
            return
        trainer.model.train()
        data: Any = trainer.data
        size = data.scene.size
        # On a small grid, as in a smoke test, a few steps show that everything works.
        steps = (3, 6) if size < 64 else STEPS if size < 128 else STEPS[:2]
        rows = gradient_costs(trainer, steps, repeats=1)
        write_json(self._folder / "gradient_costs.json", rows)
        title = (
            f"one gradient through a fluid of {size} x {size} points in float32\n"
            "(hollow: the method warned; exact for their steps, three methods have one error)"
        )
        figure = costs_figure(rows, title)
        (self._folder / "figures").mkdir(exist_ok=True)
        figure.savefig(self._folder / "figures" / "gradients.png")
