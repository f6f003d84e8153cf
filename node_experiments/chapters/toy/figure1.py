"""Figure 1 of Chen et al. 2018: hidden states against depth, with the evaluation points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...figures.style import COLORS, SMALLEST, new_figure, style
from ...training.loop import Trainer

__all__ = ["depth_figures", "evaluation_points"]

TRAJECTORIES = 11
ROWS = 19  # rows of arrows


def depth_figures(trainer: Trainer) -> dict[str, Figure]:
    """Figure of a residual network's and an ODE network's trajectories from the same inputs."""
    model: Any = trainer.model
    data: Any = trainer.data
    bound = data.bound
    model.eval()
    with torch.no_grad(), style():
        device = data.test[0].x.device
        x = torch.linspace(-bound, bound, TRAJECTORIES, device=device).unsqueeze(1)
        h = torch.linspace(-1.1 * bound, 1.1 * bound, ROWS, device=device).unsqueeze(1)
        figure = new_figure(height=4.9)
        left, right = figure.subplots(1, 2, sharey=True)
        draw_residual(left, model.residual, x, h)
        evaluations = draw_ode(right, model.ode, x, h)
        blocks = len(model.residual.functions)
        left.set_title(f"residual network: jumps at {blocks} depths")
        right.set_title(
            f"ODE network: {min(evaluations)} to {max(evaluations)} evaluations "
            f"({model.ode.solver.method})"
        )
        left.set_ylabel("hidden state")
        for axis in (left, right):
            axis.set(
                xlabel="depth", ylim=(-1.15 * bound, 1.15 * bound), xlim=(-0.3, blocks + 0.15)
            )
            axis.grid(False)
        figure.suptitle("two networks that learned y = 3 tanh(x), from the input to the output")
        figure.supxlabel(
            "Circles: where the vector field was evaluated. Some are off the curves: the inner "
            "stages\nof a Runge-Kutta step, which try a state before the step is taken.",
            fontsize=SMALLEST,
        )
    return {"figure1": figure}


def draw_residual(axis: Axes, residual: Any, x: Tensor, h: Tensor) -> None:
    """Draw the piecewise linear trajectories of a residual network, and its evaluations."""
    states = residual(x).squeeze(-1).cpu()
    blocks = len(residual.functions)
    arrows(axis, range(blocks), h, lambda k: residual.functions[k](h))
    axis.plot(range(blocks + 1), states, color=COLORS["blue"], lw=1.3)
    for k in range(blocks):
        axis.plot([k] * len(x), states[k], "o", color=COLORS["black"], ms=3.5, mfc="white", mew=1)


def draw_ode(axis: Axes, ode: Any, x: Tensor, h: Tensor) -> list[int]:
    """Draw the trajectories of an ODE network; return the number of evaluations of each.

    Each trajectory is solved separately.
    """
    depth = float(ode.times[-1])
    fine = torch.linspace(0.0, depth, 121, device=x.device)
    columns = torch.arange(0.0, depth + 0.25, 0.5, device=x.device)
    arrows(axis, columns.tolist(), h, lambda t: ode.vector_field(torch.as_tensor(t).to(h), h))
    counts = []
    for start in x.unsqueeze(1):
        points = evaluation_points(ode, start)
        axis.plot(fine.cpu(), ode(start, fine)[:, 0, 0].cpu(), color=COLORS["red"], lw=1.3)
        axis.plot(
            *zip(*points, strict=True), "o", color=COLORS["black"], ms=3, mfc="white", mew=0.8
        )
        counts.append(len(points))
    return counts


def evaluation_points(ode: Any, x: Tensor) -> list[tuple[float, float]]:
    """Depths and states at which the solver evaluates the vector field, in order.

    Args:
        x: One input, shape `(1, 1)`.
    """
    points: list[tuple[float, float]] = []

    def note(module: Any, arguments: Any, output: Any) -> None:
        points.append((float(arguments[0]), float(arguments[1])))

    hook = ode.vector_field.register_forward_hook(note)
    try:
        ode(x)
    finally:
        hook.remove()
    return points


def arrows(axis: Axes, depths: Any, h: Tensor, change: Callable[[Any], Tensor]) -> None:
    """Draw the direction (1, dh/d depth) of a vector field as arrows on a grid.

    Args:
        change: Derivative of the states `h` at a depth.
    """
    for depth in depths:
        slope = change(depth).flatten().cpu()
        length = (1 + slope**2).sqrt()
        axis.quiver(
            [depth] * len(h), h.flatten().cpu(), 1 / length, slope / length,
            color="0.72", angles="xy", width=0.003, scale=22, zorder=0,
        )  # fmt: skip
