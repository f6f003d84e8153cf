"""Figure 5 of Chen et al. 2018: maximum likelihood by a continuous flow and by planar layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from pandas import DataFrame

from ...reports.rank_test import SIGNIFICANCE_LEVEL, UNDECIDED
from ...reports.records import differences
from ...reports.table import Cell, Estimate, ReportTable
from ...reports.verdicts import epoch_sentence
from .flow_runs import (
    MODELS,
    ONE_SEED,
    SPREAD,
    Record,
    cell,
    corrected_ps,
    describe_test,
    group_by_dataset,
    has_seeds,
    load_panels,
    maximum_likelihood_runs,
    metric_value,
    metric_values,
    not_counted,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figure5", "panels"]


def figure5(runs: DataFrame) -> ReportTable:
    """Table of test log-likelihoods of all completed runs of maximum likelihood, with verdicts."""
    datasets = group_by_dataset(runs)
    rows = []
    for name, cells in datasets.items():
        for model, label in MODELS.items():
            if model not in cells:
                continue
            seeds = cells[model]
            run = seeds[-1]
            true = Estimate.of(metric_values(seeds, "log_likelihood_true"))
            integrals = (metric_value(each, "normalization") for each in seeds)
            worst = max(integrals, key=lambda integral: abs(integral - 1))
            rows.append(
                [
                    name,
                    label,
                    run["config.model.units"],
                    Cell.number(int(run["parameters"]), ","),
                    Cell.number(int(run["step"]), ","),
                    cell(seeds, "log_likelihood", 3),
                    None if true is None else Cell.number(true.mean, ".3f"),
                    Cell.number(worst, ".4f"),
                ]
            )
    spread_note = f" {SPREAD}" if has_seeds(datasets) else ""
    counted = [seeds for cells in datasets.values() for seeds in cells.values()]
    return ReportTable.of(
        "Figure 5",
        [
            "dataset",
            "flow",
            "units",
            "parameters",
            "training steps",
            "test log-likelihood",
            "truth",
            "integral on a grid",
        ],
        rows,
        caption="Log-likelihood of held-out points in nats per point, mean ± its standard error; "
        f"`truth` is the density that they were drawn from.{spread_note}",
        notes=[
            *verdicts(datasets),
            *([] if has_seeds(datasets) or not datasets else [ONE_SEED]),
            *filter(None, [epoch_sentence(run for seeds in counted for run in seeds)]),
            *differences(counted, what="Seeds of one cell"),
            *not_counted(
                maximum_likelihood_runs(runs), counted, "log_likelihood", "of maximum likelihood"
            ),
        ],
        missing="-",
    )


def verdicts(datasets: Mapping[str, Mapping[str, Sequence[Record]]]) -> list[str]:
    """State which flow has the higher log-likelihood on each dataset, and by how much."""
    pairs = {
        name: (
            [metric_value(run, "log_likelihood") for run in cells["planar_cnf"]],
            [metric_value(run, "log_likelihood") for run in cells["planar_nf"]],
        )
        for name, cells in datasets.items()
        if set(MODELS) <= set(cells)
    }
    ps = corrected_ps(pairs)
    lines = [compare_on_dataset(name, *pair, ps.get(name)) for name, pair in pairs.items()]
    return lines + ([f"By {describe_test('log-likelihoods', len(ps))}."] if ps else [])


def compare_on_dataset(
    name: str, cnf: Sequence[float], nf: Sequence[float], p: float | None
) -> str:
    """State the difference on one dataset, and whether the seeds establish it.

    Both flows are tested on the same points, but only means over points are kept: the standard
    error of such a mean is not that of the difference.
    """
    gap = fmean(cnf) - fmean(nf)
    side = "above" if gap > 0 else "below"
    statement = f"the CNF is {abs(gap):.3f} nats per point {side} the NF"
    decided = p is not None and p < SIGNIFICANCE_LEVEL
    if p is not None:
        statement += f" (p = {p:.2g})"
    elif len(cnf) == len(nf):
        statement = f"one each; {statement}"
    else:
        statement = f"{len(cnf)} of the CNF and {len(nf)} of the NF; {statement}"
    if name == "two_moons":
        standing = ("holds" if gap > 0 else "does not hold") if decided else f"is {UNDECIDED}"
        statement = f"in the paper, the NF struggles here; this {standing}: {statement}"
    elif not decided:
        statement = f"{UNDECIDED}: {statement}"
    return f"{name}: {statement}."


def panels(runs: DataFrame, title: str) -> Figure:
    """node-report figure figure5: densities and samples over time, both kinds of flow.

    Raises:
        ValueError: No run kept its panels.
    """
    from .figures_4_and_5 import maximum_likelihood_figure

    found = {
        name: {
            model: (kept, f"test log-likelihood\n{cell(seeds, 'log_likelihood', 3)} nats")
            for model, seeds in members.items()
            if (kept := load_panels(seeds)) is not None
        }
        for name, members in group_by_dataset(runs).items()
    }
    found = {name: members for name, members in found.items() if members}
    if not found:
        raise ValueError(
            "no completed run of a planar flow on points is among them; make some with "
            "node-run sweep=figure5"
        )
    return maximum_likelihood_figure(found)
