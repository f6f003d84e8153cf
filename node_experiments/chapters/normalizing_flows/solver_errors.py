"""Error of a log-likelihood against function evaluations, for eight solvers.

The reference is `dopri8` with tolerances of 1e-11 and 1e-12; all solves are in double precision,
so that the error is that of the solver.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...figures.style import COLORS, new_figure, style
from ...files import write_json
from ...nn.swap_solver import temporary_solver
from ...ode import Discrete, Solver
from ...training.loop import Callback, Trainer
from .continuous_flow import ContinuousFlow
from .figures import flow_callbacks

__all__ = ["ADAPTIVE", "FIXED", "SolverErrors", "matching_callbacks", "solver_errors"]

FIXED = {"euler": 1, "midpoint": 2, "rk4": 4, "reversible_heun": 1}  # evaluations per step
ADAPTIVE = ("bosh3", "dopri5", "tsit5", "dopri8")
EVALUATIONS = (8, 16, 32, 64, 128, 256)
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
REFERENCE = Solver("dopri8", rtol=1e-11, atol=1e-12)
POINTS = 200
LINES = dict(zip((*FIXED, *ADAPTIVE),
                 ("sky", "purple", "green", "black", "orange", "blue", "red", "grey"),
                 strict=True))  # fmt: skip


def solvers_to_compare(evaluations: Sequence[int], tolerances: Sequence[float]) -> list[Solver]:
    """Every solver with every number of evaluations, or with every tolerance if adaptive."""
    fixed = [
        Solver(name, num_steps=max(1, count // per_step))
        for name, per_step in FIXED.items()
        for count in evaluations
    ]
    return fixed + [Solver(name, rtol=tol, atol=tol) for name in ADAPTIVE for tol in tolerances]


def solver_errors(
    model: ContinuousFlow,
    points: Tensor,
    evaluations: Sequence[int] = EVALUATIONS,
    tolerances: Sequence[float] = TOLERANCES,
) -> list[dict[str, Any]]:
    """Measure every solver at every cost.

    Args:
        points: Points at which to compute the density, shape `(batch, dim)`.

    Returns:
        For each solve `solver`, `tolerance` or `steps`, its evaluations `nfe`, and the `error`:
        the mean over points of the absolute difference from the reference in nats.
    """
    exact_model, points = copy.deepcopy(model).double().eval(), points.double()
    rows = []
    with torch.no_grad():
        with temporary_solver(exact_model, REFERENCE, Discrete()):
            reference = exact_model.log_prob(points)
        for solver in solvers_to_compare(evaluations, tolerances):
            with temporary_solver(exact_model, solver, Discrete()):
                log_density = exact_model.log_prob(points)
                nfe = exact_model.stats.forward.evaluations
            rows.append({
                "solver": solver.method,
                "tolerance": None if solver.fixed_steps else solver.rtol,
                "steps": solver.num_steps,
                "nfe": nfe,
                "error": float((log_density - reference).abs().mean()),
            })  # fmt: skip
    return rows


def errors_figure(rows: Sequence[dict[str, Any]], title: str) -> Figure:
    """Error against evaluations, a line for each solver; those with fixed steps are dashed."""
    with style():
        figure = new_figure(width=7.2, height=4.4)
        axis = figure.subplots()
        for name, color in LINES.items():
            own = [row for row in rows if row["solver"] == name]
            axis.plot(
                [row["nfe"] for row in own], [row["error"] for row in own],
                "o--" if name in FIXED else "o-", ms=4, color=COLORS.get(color, "0.55"),
                label=name,
            )  # fmt: skip
        axis.set(xscale="log", yscale="log", xlabel="function evaluations of a solve")
        axis.set_ylabel("error of the log-likelihood (nats per point)")
        axis.set_title(title, fontsize=11)
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), title="dashed: fixed steps")
    return figure


class SolverErrors(Callback):
    """Measurement after the last epoch, which writes `solver_errors.json` and a figure.

    Args:
        folder: The folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def epoch_end(self, trainer: Trainer) -> None:
        if not trainer.is_last:
            return
        model: Any = trainer.model
        points = next(iter(trainer.data.test))[:POINTS]
        # With few points, as in a smoke test, a small grid shows that everything works.
        few = len(points) < POINTS
        rows = (
            solver_errors(model, points, (8, 32), (1e-2, 1e-4))
            if few
            else solver_errors(model, points)
        )
        write_json(self._folder / "solver_errors.json", rows)
        (self._folder / "figures").mkdir(exist_ok=True)
        title = f"log-likelihoods of {len(points)} test points, by one trained flow"
        errors_figure(rows, title).savefig(self._folder / "figures" / "solver_errors.png")


def matching_callbacks(folder: Path) -> list[Callback]:
    """Callbacks of every flow, and that of solver errors."""
    return [*flow_callbacks(folder), SolverErrors(folder)]
