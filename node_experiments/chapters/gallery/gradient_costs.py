"""Memory and time of one gradient through a solve, for every gradient method and numbers of steps.

Memory is the peak of the bytes that are alive at once in forward and backward pass, counted from
the operations (`training.live_bytes`), so that it is the same on every machine. The solver is
`rk4` with so many equal steps for all methods.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from ...figures.style import COLORS, new_figure, style
from ...nn.swap_solver import solving_with
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
from ...runs.files import write_json
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
STEPS = (32, 64, 128)


def gradient_costs(
    trainer: Trainer, steps: Sequence[int], repeats: int
) -> list[dict[str, float | str | bool]]:
    """One row for each method and number of steps.

    Args:
        repeats: Timed gradients, of which the median counts; bytes are counted in one more.

    Returns:
        `gradient`, `steps`, `peak_bytes`, `seconds`, whether it is `trusted` (the method gave no
        warning), and its `error` relative to backpropagation through the same steps.
    """
    rows: list[dict[str, float | str | bool]] = []
    for count in steps:
        exact = None
        for name, method in GRADIENT_METHODS.items():
            with (
                warnings.catch_warnings(record=True) as warned,
                solving_with(trainer.model, Solver("rk4", num_steps=count), method),
            ):
                warnings.simplefilter("always")
                with LiveBytes() as counter:
                    found = gradient(trainer)
                seconds = []
                for _ in range(repeats):
                    start = time.perf_counter()
                    gradient(trainer)
                    seconds.append(time.perf_counter() - start)
            exact = found if exact is None else exact
            rows.append({
                "gradient": name,
                "steps": count,
                "peak_bytes": counter.peak,
                "seconds": sorted(seconds)[len(seconds) // 2],
                "trusted": not warned,
                "error": float((found - exact).norm() / exact.norm()),
            })  # fmt: skip
    return rows


def gradient(trainer: Trainer) -> torch.Tensor:
    """The gradient of the loss of one batch, by all parameters in one vector."""
    batch = next(iter(trainer.data.train))
    loss, _ = trainer.task.loss(trainer.model, batch, trainer.step)
    parameters = [p for p in trainer.model.parameters() if p.requires_grad]
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, parameters)])


def costs_figure(rows: Sequence[dict[str, Any]], title: str) -> Figure:
    """Peak memory and time against the number of steps, a line for each method."""
    with style():
        figure = new_figure(width=8.4, height=3.4)
        memory, seconds = figure.subplots(1, 2)
        for name, color in LINES.items():
            own = [row for row in rows if row["gradient"] == name]
            steps = [row["steps"] for row in own]
            look = {"color": COLORS[color], "marker": "o", "ms": 4, "label": name}
            memory.plot(steps, [row["peak_bytes"] / 1e6 for row in own], **look)
            seconds.plot(steps, [row["seconds"] for row in own], **look)
        memory.set(ylabel="peak memory of a gradient (MB)", yscale="log")
        seconds.set(ylabel="time of a gradient (s)", yscale="log")
        for axis in (memory, seconds):
            axis.set_xscale("log")
            axis.set_xticks(steps, [str(count) for count in steps])
            axis.set_xticks([], minor=True)
            axis.set_xlabel("steps of rk4")
        figure.legend(*memory.get_legend_handles_labels(), loc="outside right center")
        figure.suptitle(title, fontsize=10)
    return figure


class GradientCosts(Callback):
    """Measures after the last epoch, and writes `gradient_costs.json` and a figure.

    Args:
        folder: Of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def epoch_end(self, trainer: Trainer) -> None:
        if trainer.epoch < trainer.epochs or not getattr(trainer.model, "compare_gradients", True):
            return
        trainer.model.train()
        data: Any = trainer.data
        size = data.scene.size
        # On a small grid, as in a protocol of seconds, it is only shown that everything works.
        rows = gradient_costs(trainer, STEPS if size >= 64 else (8, 16), 3 if size >= 64 else 1)
        write_json(self._folder / "gradient_costs.json", rows)
        title = f"fluid of {size} x {size} points, float32, {torch.get_num_threads()} threads"
        figure = costs_figure(rows, title)
        (self._folder / "figures").mkdir(exist_ok=True)
        figure.savefig(self._folder / "figures" / "gradients.png")
