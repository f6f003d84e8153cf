"""Figure 4 of Chen et al. 2018: density matching, planar layers beside a continuous flow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from pandas import DataFrame

from ...reports.records import differences
from ...reports.seed_tests import LEVEL, welch_p
from ...reports.table import Cell, ReportTable
from ...reports.verdicts import epoch_sentence, held, in_brackets, within_two_errors
from ...runs.frame import read_epochs
from .flow_runs import (
    MODELS,
    ONE_SEED,
    SPREAD,
    Record,
    by_target,
    cell,
    estimate,
    has_seeds,
    number,
    panels_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["curves", "figure4", "panels"]

Cells = Mapping[tuple[str, int], Sequence[Record]]
Targets = Mapping[str, Cells]
CLAIM = "CNF generally achieves lower loss than NF of equal size (section 4.1)"


def figure4(runs: DataFrame) -> ReportTable:
    """Final losses of all completed runs of density matching, and the paper's claim."""
    targets = by_target(runs)
    units = sizes(targets)
    rows = []
    for target, cells in targets.items():
        for model, label in MODELS.items():
            found = [cells.get((model, n)) for n in units]
            steps = sorted({int(run["step"]) for run in of_model(cells, model)})
            losses = [None if runs is None else cell(runs, "kl", 4) for runs in found]
            shown = ", ".join(f"{step:,}" for step in steps)
            total = Cell(shown, {"": steps[0]} if len(steps) == 1 else {}) if steps else None
            rows.append([target.upper(), label, *losses, total])
    seeds = f" {SPREAD}" if has_seeds(targets) else ""
    joined = [seeds for cells in targets.values() for seeds in cells.values()]
    return ReportTable.of(
        "Figure 4",
        ["target", "flow", *(f"K = M = {n}" for n in units), "training steps"],
        rows,
        caption="KL(q ‖ p) in nats after training, ± its standard error over samples of "
        f"the flow; 0 is the target itself.{seeds}",
        notes=[
            *verdict(targets, units),
            *checks(targets),
            *filter(None, [epoch_sentence(run for seeds in joined for run in seeds)]),
            *differences(joined, what="Seeds of one cell"),
        ],
        missing="-",
    )


def sizes(targets: Targets) -> list[int]:
    """The numbers of units that occur."""
    return sorted({n for cells in targets.values() for _, n in cells})


def of_model(cells: Cells, model: str) -> list[Record]:
    """All runs of a model, whatever its units."""
    return [run for (name, _), runs in cells.items() if name == model for run in runs]


def verdict(targets: Targets, units: Sequence[int]) -> list[str]:
    """In which cells the continuous flow has the lower loss."""
    found: dict[str, list[str]] = {"lower": [], "higher": [], "not told apart": []}
    tests = set()
    for target, cells in targets.items():
        for n in units:
            if ("planar_nf", n) in cells and ("planar_cnf", n) in cells:
                pair = cells["planar_cnf", n], cells["planar_nf", n]
                outcome = beside(*pair)
                tests.add(
                    "Welch's t-test over seeds, p < 0.05"
                    if over_seeds(*pair)
                    else "two standard errors"
                )
                found[outcome].append(f"{target.upper()} with {n}")
    total = sum(map(len, found.values()))
    if not total:
        return []
    lower, higher, open_cells = found.values()
    by = "; where a flow has one seed, ".join(sorted(tests))
    rest = f", and in {len(open_cells)} the two are not told apart{in_brackets(open_cells)}"
    return [
        f"The paper: {CLAIM}, trained for 50 times fewer steps. Here it "
        f"{held(len(lower), total)}: the CNF has the lower loss in {len(lower)} of {total} cells"
        f"{in_brackets(lower)} and the higher one in {len(higher)}{in_brackets(higher)}"
        f"{rest if open_cells else ''} ({by})."
        + (f" {ONE_SEED}" if "two standard errors" in tests else "")
    ]


def over_seeds(ours: Sequence[Record], theirs: Sequence[Record]) -> bool:
    """Whether both flows have several seeds, over which they can be tested."""
    return min(len(ours), len(theirs)) > 1


def beside(ours: Sequence[Record], theirs: Sequence[Record]) -> str:
    """Whether one loss is `lower` than another, `higher`, or `not told apart` from it.

    Tested over seeds where both have several; of single runs, by the errors of their estimates.
    """
    one, other = (estimate(runs, "kl") for runs in (ours, theirs))
    if over_seeds(ours, theirs):
        told = welch_p(*([number(run, "kl") for run in runs] for runs in (ours, theirs))) < LEVEL
    else:
        known = not math.isnan(one.error + other.error)
        told = known and not within_two_errors(one.mean - other.mean, one, other)
    if not told:
        return "not told apart"
    return "lower" if one.mean < other.mean else "higher"


def checks(targets: Targets) -> Iterator[str]:
    """How far the densities are from integrating to 1."""
    runs = [run for cells in targets.values() for seeds in cells.values() for run in seeds]
    if not runs:
        return
    worst = max(abs(number(run, "normalization") - 1) for run in runs)
    yield f"Integrals of the {len(runs)} densities on a grid: 1 within {100 * worst:.2f} %."


def panels(runs: DataFrame, title: str) -> Figure:
    """node-report figure figure4: targets, densities of both kinds of flow, final losses."""
    from .figures_4_and_5 import density_matching_figure

    targets = drawn(runs)
    return density_matching_figure(targets, drawn_units(targets))


def curves(runs: DataFrame, title: str) -> Figure:
    """node-report figure figure4_curves: losses against training steps."""
    from .figures_4_and_5 import loss_curves_figure

    targets = drawn(runs)
    return loss_curves_figure(targets, drawn_units(targets))


def drawn(runs: DataFrame) -> dict[str, dict[tuple[str, int], dict[str, Any]]]:
    """What the figures need of each cell that kept its panels.

    Raises:
        ValueError: There is none.
    """
    found: dict[str, dict[tuple[str, int], dict[str, Any]]] = {}
    for target, cells in by_target(runs).items():
        for key, seeds in sorted(cells.items(), key=lambda item: (item[0][0], item[0][1])):
            kept = panels_of(seeds)
            if kept is not None:
                final = estimate(seeds, "kl")
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


def mean_curve(runs: Sequence[Record]) -> list[tuple[float, float]]:
    """Training step and divergence at evaluations that all seeds have, as a mean over them."""
    curves = [
        {row["step"]: row["kl/test"] for row in read_epochs(run["directory"]) if "kl/test" in row}
        for run in runs
    ]
    steps = sorted(set.intersection(*map(set, curves)))
    return [(step, fmean(curve[step] for curve in curves)) for step in steps]


def drawn_units(targets: dict[str, dict[tuple[str, int], dict[str, Any]]]) -> list[int]:
    """The numbers of units that are drawn."""
    return sorted({n for runs in targets.values() for _, n in runs})
