"""Figures of Robertson's reaction: the fit, the rate constants, and the cost of solves."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...figures.style import COLORS, new_figure, style
from ...nn.swap_solver import temporary_solver
from ...ode import Discrete, SolveError, Solver
from ...training.loop import Trainer
from .kinetics import RATES, SCALES

__all__ = ["count_evaluations", "kinetics_figures"]

NAMES = ("A", r"B $\cdot$ 27,400", "C")
# The curves of both explicit methods coincide: the second is dashed, and its markers are smaller.
METHODS = {
    "dopri5": ("red", "o-", 6),
    "tsit5": ("orange", "s--", 3),
    "trbdf2": ("sky", "o-", 4),
    "kvaerno5": ("blue", "s-", 4),
}
MAX_STEPS = 4000


def count_evaluations(model: Any, end: float, method: str) -> int | None:
    """Function evaluations of a solve from 0 to `end`; None if it gives up."""
    solver = Solver(method, rtol=1e-5, atol=1e-9, max_steps=MAX_STEPS)
    times = torch.tensor([0.0, end], dtype=torch.float64)
    with torch.no_grad(), temporary_solver(model, solver, Discrete()):
        try:
            model(times.to(next(model.parameters()).device))
        except SolveError:
            return None
        return int(model.stats.forward.evaluations)


def kinetics_figures(trainer: Trainer) -> dict[str, Figure]:
    """The fit, the rate constants during training, and evaluations against the final time."""
    with style():
        figure = new_figure(width=9.0, height=3.3)
        fit, rates, costs = figure.subplots(1, 3)
        draw_fit(fit, trainer)
        draw_rates(rates, trainer)
        draw_costs(costs, trainer)
    return {"kinetics": figure}


def draw_fit(axis: Axes, trainer: Trainer) -> None:
    """Draw the samples, and the concentrations for the learned rate constants."""
    model: Any = trainer.model
    batch = next(iter(trainer.data.train))
    end = float(batch.times[-1])
    fine = torch.cat([batch.times[:1], torch.logspace(-4, torch.tensor(end).log10(), 120).to(
        batch.times)])  # fmt: skip
    fine[-1] = end
    model.eval()
    with torch.no_grad():
        found = (model(fine) / fine.new_tensor(SCALES)).cpu()
    for k, color in enumerate(("blue", "red", "green")):
        axis.plot(batch.times[1:].tolist(), batch.concentrations[1:, k].tolist(), ".", ms=4,
                  color=COLORS[color], alpha=0.6)  # fmt: skip
        axis.plot(fine[1:].tolist(), found[1:, k].tolist(), color=COLORS[color], label=NAMES[k])
    axis.set(xscale="log", xlabel="time (s)")
    axis.set_title("concentrations: samples and fit", fontsize=10)
    axis.legend(fontsize=8, loc="center", bbox_to_anchor=(0.36, 0.45))  # between the curves


def draw_rates(axis: Axes, trainer: Trainer) -> None:
    """Draw each rate constant during training, relative to the true one."""
    history = [row for row in trainer.history if "k1/test" in row]
    for k, color in enumerate(("black", "purple", "sky")):
        ratios = [row[f"k{k + 1}/test"] / RATES[k] for row in history]
        axis.plot([row["step"] for row in history], ratios, color=COLORS[color],
                  label=f"$k_{k + 1}$: ${100 * (ratios[-1] - 1):+.1f}$ %")  # fmt: skip
    axis.axhline(1, color="0.6", lw=1, ls="--", zorder=0)
    axis.set(xlabel="optimisation steps", yscale="log", yticks=[0.3, 0.5, 1, 2, 3])
    axis.set_yticklabels(["0.3", "0.5", "1", "2", "3"])
    axis.set_yticks([], minor=True)
    axis.set_title("rate constants relative to true", fontsize=10)
    axis.legend(fontsize=8)


def draw_costs(axis: Axes, trainer: Trainer) -> None:
    """Draw evaluations against the final time, with a cross at the last time before giving up."""
    end = float(trainer.data.test[0].times[-1])
    ends = [end * 10.0**-k for k in range(7, -1, -1)]
    for name, (color, line, size) in METHODS.items():
        found = [(t, count_evaluations(trainer.model, t, name)) for t in ends]
        reached = [(t, count) for t, count in found if count is not None]
        label = f"{name}, {'implicit' if name in ('trbdf2', 'kvaerno5') else 'explicit'}"
        axis.plot([t for t, _ in reached], [count for _, count in reached], line, ms=size,
                  color=COLORS[color], label=label)  # fmt: skip
        if reached and len(reached) < len(found):
            axis.plot(*reached[-1], "x", ms=7 + size, mew=size / 2, color=COLORS[color])
    axis.set(xscale="log", yscale="log", xlabel="end of the solve (s)")
    axis.set_title("function evaluations (x: gave up)", fontsize=10)
    axis.legend(fontsize=8, loc="lower right")
