"""Figure 4 of Chen et al. 2018: density matching by planar layers and by a continuous flow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, geometric_mean, median
from typing import TYPE_CHECKING, Any

from pandas import DataFrame

from ...reports.rank_test import SIGNIFICANCE_LEVEL, UNDECIDED
from ...reports.records import differences, has
from ...reports.table import Cell, ReportTable
from ...reports.verdicts import claim_verdict, epoch_sentence, in_brackets
from ...runs.frame import read_epochs
from .flow_runs import (
    MODELS,
    SPREAD,
    Record,
    cell,
    corrected_ps,
    density_matching_runs,
    describe_test,
    estimate,
    group_by_target,
    has_seeds,
    load_panels,
    metric_value,
    not_counted,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["curves", "figure4", "panels"]

Cells = Mapping[tuple[str, int], Sequence[Record]]
Targets = Mapping[str, Cells]
Pairs = Mapping[str, tuple[Sequence[float], Sequence[float]]]
CLAIM = "CNF generally achieves lower loss than NF of equal size (section 4.1)"
OUTCOMES = (
    "lower",
    "higher",
    "not told apart",
    "not tested: one seed",
    "not tested: a KL of 0 or less",
)


def figure4(runs: DataFrame) -> ReportTable:
    """Table of the final losses of all completed runs of density matching, with verdicts."""
    targets = group_by_target(runs)
    units = unit_counts(targets)
    rows = []
    for target, cells in targets.items():
        for model, label in MODELS.items():
            found = [cells.get((model, n)) for n in units]
            steps = sorted({int(run["step"]) for run in model_runs(cells, model)})
            losses = [None if runs is None else cell(runs, "kl", 4) for runs in found]
            shown = ", ".join(f"{step:,}" for step in steps)
            total = Cell(shown, {"": steps[0]} if len(steps) == 1 else {}) if steps else None
            rows.append([target.upper(), label, *losses, total])
    seeds = f" {SPREAD}" if has_seeds(targets) else ""
    counted = [seeds for cells in targets.values() for seeds in cells.values()]
    return ReportTable.of(
        "Figure 4",
        ["target", "flow", *(f"K = M = {n}" for n in units), "training steps"],
        rows,
        caption="KL(q ‖ p) in nats after training, ± its standard error over samples of "
        f"the flow; 0 is the target itself.{seeds}",
        notes=[
            *verdict(targets, units),
            *parameter_counts(targets, units),
            *normalization_notes(targets),
            *filter(None, [epoch_sentence(run for seeds in counted for run in seeds)]),
            *differences(counted, what="Seeds of one cell"),
            *not_counted(density_matching_runs(runs), counted, "kl", "of density matching"),
        ],
        missing="-",
    )


def unit_counts(targets: Mapping[str, Mapping[tuple[str, int], Any]]) -> list[int]:
    """The numbers of units that occur, sorted."""
    return sorted({n for cells in targets.values() for _, n in cells})


def model_runs(cells: Cells, model: str) -> list[Record]:
    """All runs of a model, with any number of units."""
    return [run for (name, _), runs in cells.items() if name == model for run in runs]


def verdict(targets: Targets, units: Sequence[int]) -> list[str]:
    """State in which cells the continuous flow has the lower loss, by a test and by medians."""
    pairs = {
        f"{target.upper()} with {n}": (
            [metric_value(run, "kl") for run in cells["planar_cnf", n]],
            [metric_value(run, "kl") for run in cells["planar_nf", n]],
        )
        for target, cells in targets.items()
        for n in units
        if ("planar_cnf", n) in cells and ("planar_nf", n) in cells
    }
    if not pairs:
        return []
    ps = corrected_ps(logarithms(pairs))
    found: dict[str, list[str]] = {what: [] for what in OUTCOMES}
    for name, pair in pairs.items():
        found[outcome(*pair, ps.get(name))].append(name)
    lower, higher = found.pop("lower"), found.pop("higher")
    rest = [
        f"; in {len(names)} {what}{in_brackets(names)}" for what, names in found.items() if names
    ]
    below = [name for name, (cnf, nf) in pairs.items() if median(cnf) < median(nf)]
    above = [name for name, (cnf, nf) in pairs.items() if median(cnf) > median(nf)]
    standing = claim_verdict(len(lower), len(pairs))
    if not lower and not higher:
        standing = f"is {UNDECIDED}"
    elif lower and 2 * len(lower) <= len(pairs):
        standing = "is not shown in general"
    return [
        f"The paper: {CLAIM}, trained for 50 times fewer steps. Here it {standing}: the CNF has "
        f"the lower loss in {len(lower)} of {len(pairs)} cells{in_brackets(lower)} and the higher "
        f"one in {len(higher)}{in_brackets(higher)}{''.join(rest)}"
        + (f" ({describe_test('log KL', len(ps))})." if ps else "."),
        f"Without a test: the CNF's median KL is below the NF's in {len(below)} of {len(pairs)} "
        f"cells{in_brackets(below)}, and above it in {len(above)}.",
    ]


def parameter_counts(targets: Targets, units: Sequence[int]) -> list[str]:
    """State how many parameters flows of equal size have, which the paper counts by units."""
    counts: dict[tuple[str, int], int] = {}
    for cells in targets.values():
        for key, (run, *_) in cells.items():
            if has(run, ["parameters"]):
                counts.setdefault(key, int(run["parameters"]))
    if not units or any((model, n) not in counts for model in MODELS for n in units):
        return []
    sizes = (
        f"{label}s {', '.join(f'{counts[model, n]:,}' for n in units)}"
        for model, label in MODELS.items()
    )
    return [
        "Flows of equal size have as many units, not as many parameters. With K = M = "
        f"{', '.join(map(str, units))}: {'; '.join(sizes)}."
    ]


def logarithms(pairs: Pairs) -> Pairs:
    """Log losses of the cells where all losses are positive.

    The spread of KL over seeds grows with KL, and differs by factors of up to 90 between the two
    flows of a cell; that of log KL differs far less. An estimate near 0 may be negative.
    """
    return {
        name: ([math.log(kl) for kl in cnf], [math.log(kl) for kl in nf])
        for name, (cnf, nf) in pairs.items()
        if min(*cnf, *nf) > 0
    }


def outcome(ours: Sequence[float], theirs: Sequence[float], p: float | None) -> str:
    """Classify two flows' losses as one of `OUTCOMES`, by the p of a test of their logarithms."""
    if p is None:
        few = min(len(ours), len(theirs)) < 2
        return f"not tested: {'one seed' if few else 'a KL of 0 or less'}"
    if p >= SIGNIFICANCE_LEVEL:
        return "not told apart"
    return "lower" if geometric_mean(ours) < geometric_mean(theirs) else "higher"


def normalization_notes(targets: Targets) -> Iterator[str]:
    """State how far the densities are from integrating to 1."""
    runs = [run for cells in targets.values() for seeds in cells.values() for run in seeds]
    if not runs:
        return
    worst = max(abs(metric_value(run, "normalization") - 1) for run in runs)
    yield f"Integrals of the {len(runs)} densities on a grid: 1 within {100 * worst:.2f} %."


def panels(runs: DataFrame, title: str) -> Figure:
    """node-report figure figure4: targets, densities of both kinds of flow, final losses."""
    from .figures_4_and_5 import density_matching_figure

    targets = figure_data(runs)
    return density_matching_figure(targets, unit_counts(targets))


def curves(runs: DataFrame, title: str) -> Figure:
    """node-report figure figure4_curves: losses against training steps."""
    from .figures_4_and_5 import loss_curves_figure

    targets = figure_data(runs)
    return loss_curves_figure(targets, unit_counts(targets))


def figure_data(runs: DataFrame) -> dict[str, dict[tuple[str, int], dict[str, Any]]]:
    """Data of the figures for each cell that kept its panels.

    Raises:
        ValueError: No cell kept its panels.
    """
    found: dict[str, dict[tuple[str, int], dict[str, Any]]] = {}
    for target, cells in group_by_target(runs).items():
        for key, seeds in sorted(cells.items(), key=lambda item: (item[0][0], item[0][1])):
            kept = load_panels(seeds)
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
    """Training steps at which all seeds were evaluated, each with the mean divergence."""
    curves = [
        {row["step"]: row["kl/test"] for row in read_epochs(run["directory"]) if "kl/test" in row}
        for run in runs
    ]
    steps = sorted(set.intersection(*map(set, curves)))
    return [(step, fmean(curve[step] for curve in curves)) for step in steps]
