"""Figure 4 of Chen et al. 2018: density matching, planar layers beside a continuous flow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ...runs.run import (
    Run,
    find_runs,
)
from .flow_runs import (
    MODELS,
    SPREAD,
    Estimate,
    by_target,
    has_seeds,
    number,
    panels_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["curves", "figure4", "panels"]

Cells = dict[tuple[str, int], list[Run]]
CLAIM = "CNF generally achieves lower loss than NF of equal size (section 4.1)"


def figure4(folder: Path) -> str:
    """Markdown from all completed runs below a folder: final losses, and the paper's claim."""
    targets = by_target(find_runs(folder))
    units = sizes(targets)
    lines = [
        "KL(q ‖ p) in nats at the end of training, ± its standard error over samples of the flow; "
        "0 is the target itself." + (f" {SPREAD}" if has_seeds(targets) else ""),
        "",
        "| target | flow | " + " | ".join(f"K = M = {n}" for n in units) + " | training steps |",
        "| --- | --- |" + " ---: |" * (len(units) + 1),
    ]
    for target, runs in targets.items():
        for model, label in MODELS.items():
            cells = [loss(runs.get((model, n))) for n in units]
            steps = sorted({int(run.metrics["step"]) for run in of_model(runs, model)})
            shown = ", ".join(f"{step:,}" for step in steps) or "-"
            lines.append(f"| {target.upper()} | {label} | " + " | ".join([*cells, shown]) + " |")
    return "\n".join([*lines, "", *verdict(targets, units), *checks(targets)]) + "\n"


def sizes(targets: dict[str, Cells]) -> list[int]:
    """The numbers of units that occur."""
    return sorted({n for runs in targets.values() for _, n in runs})


def loss(runs: Sequence[Run] | None) -> str:
    """The final divergence of a cell."""
    return "-" if runs is None else Estimate.of(runs, "kl").text(4)


def of_model(cells: Cells, model: str) -> list[Run]:
    """All runs of a model, whatever its units."""
    return [run for (name, _), runs in cells.items() if name == model for run in runs]


def verdict(targets: dict[str, Cells], units: Sequence[int]) -> list[str]:
    """In which cells the continuous flow has the lower loss."""
    lower: list[str] = []
    higher: list[str] = []
    for target, runs in targets.items():
        for n in units:
            if ("planar_nf", n) not in runs or ("planar_cnf", n) not in runs:
                continue
            nf, cnf = (Estimate.of(runs[model, n], "kl") for model in MODELS)
            difference = cnf.mean - nf.mean
            error = (cnf.error**2 + nf.error**2) ** 0.5
            name = f"{target.upper()} with {n}"
            if abs(difference) < 2 * error:
                name += " (within two standard errors)"
            (lower if difference < 0 else higher).append(name)
    if not lower and not higher:
        return []
    total = len(lower) + len(higher)
    word = "holds" if len(lower) == total else "does not hold" if not lower else "holds in part"
    lines = [
        f"- The paper: {CLAIM}, trained for 50 times fewer steps. Here it {word}: the CNF has the "
        f"lower loss in {len(lower)} of {total} cells" + listed(lower) + ", and the higher one"
        f" in {len(higher)}" + listed(higher) + ".",
    ]
    return lines


def listed(names: Sequence[str]) -> str:
    """Names in brackets, or nothing."""
    return f" ({'; '.join(names)})" if names else ""


def checks(targets: dict[str, Cells]) -> list[str]:
    """How far the densities are from integrating to 1, and what the runs cost."""
    runs = [run for cells in targets.values() for seeds in cells.values() for run in seeds]
    if not runs:
        return []
    worst = max(abs(number(run, "normalization") - 1) for run in runs)
    lines = [f"- Integrals of the {len(runs)} densities on a grid: 1 within {100 * worst:.2f} %."]
    for model, label in MODELS.items():
        seconds = [
            run.seconds or 0 for cells in targets.values() for run in of_model(cells, model)
        ]
        if seconds:
            lines.append(
                f"- Seconds of a run, {label}: {min(seconds):.0f} to {max(seconds):.0f} on one "
                "core that was shared with other work."
            )
    return lines


def panels(runs: Sequence[Run], title: str) -> Figure:
    """node-report figure figure4: targets, densities of both kinds of flow, final losses."""
    from .figures_4_and_5 import density_matching_figure

    targets = drawn(runs)
    return density_matching_figure(targets, drawn_units(targets))


def curves(runs: Sequence[Run], title: str) -> Figure:
    """node-report figure figure4_curves: losses against training steps."""
    from .figures_4_and_5 import loss_curves_figure

    targets = drawn(runs)
    return loss_curves_figure(targets, drawn_units(targets))


def drawn(runs: Sequence[Run]) -> dict[str, dict[tuple[str, int], dict[str, Any]]]:
    """What the figures need of each cell that kept its panels.

    Raises:
        ValueError: There is none.
    """
    found: dict[str, dict[tuple[str, int], dict[str, Any]]] = {}
    for target, cells in by_target(runs).items():
        for key, seeds in sorted(cells.items(), key=lambda item: (item[0][0], item[0][1])):
            kept = panels_of(seeds)
            if kept is not None:
                final = Estimate.of(seeds, "kl")
                found.setdefault(target, {})[key] = {
                    "panels": kept,
                    "kl": final.mean,
                    "kl_se": final.error,
                    "curve": mean_curve(seeds),
                }
    if not found:
        raise ValueError(
            "no completed run of energies_planar_nf or energies_planar_cnf is among them; "
            "make some with node-run sweep=figure4"
        )
    return found


def mean_curve(runs: Sequence[Run]) -> list[tuple[float, float]]:
    """Training step and divergence at evaluations that all seeds have, as a mean over them."""
    curves = [
        {row["step"]: row["kl/test"] for row in run.epochs if "kl/test" in row} for run in runs
    ]
    steps = sorted(set.intersection(*map(set, curves)))
    return [(step, fmean(curve[step] for curve in curves)) for step in steps]


def drawn_units(targets: dict[str, dict[tuple[str, int], dict[str, Any]]]) -> list[int]:
    """The numbers of units that are drawn."""
    return sorted({n for runs in targets.values() for _, n in runs})
