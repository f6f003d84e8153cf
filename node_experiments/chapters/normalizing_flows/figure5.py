"""Figure 5 of Chen et al. 2018: maximum likelihood, a continuous flow beside planar layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from pandas import DataFrame

from ...reports.rank_test import UNDECIDED
from ...reports.records import differences
from ...reports.seed_tests import LEVEL
from ...reports.table import Cell, Estimate, ReportTable
from ...reports.verdicts import epoch_sentence
from .flow_runs import (
    MODELS,
    ONE_SEED,
    SPREAD,
    Record,
    by_dataset,
    cell,
    corrected_ps,
    has_seeds,
    not_counted,
    number,
    of_points,
    panels_of,
    tested_by,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figure5", "panels"]


def figure5(runs: DataFrame) -> ReportTable:
    """Test log-likelihoods of all completed runs of maximum likelihood, and the paper's claim."""
    datasets = by_dataset(runs)
    rows = []
    for name, cells in datasets.items():
        for model, label in MODELS.items():
            if model not in cells:
                continue
            seeds = cells[model]
            run = seeds[-1]
            true = Estimate.of(
                each["log_likelihood_true/test"]
                for each in seeds
                if "log_likelihood_true/test" in each
            )
            integral = max((number(each, "normalization") for each in seeds), key=off_by)
            rows.append(
                [
                    name,
                    label,
                    run["config.model.units"],
                    Cell.number(int(run["parameters"]), ","),
                    Cell.number(int(run["step"]), ","),
                    cell(seeds, "log_likelihood", 3),
                    None if true is None else Cell.number(true.mean, ".3f"),
                    Cell.number(integral, ".4f"),
                ]
            )
    seeds_told = f" {SPREAD}" if has_seeds(datasets) else ""
    joined = [seeds for cells in datasets.values() for seeds in cells.values()]
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
        f"`truth` is the density that they were drawn from.{seeds_told}",
        notes=[
            *verdicts(datasets),
            *([] if has_seeds(datasets) or not datasets else [ONE_SEED]),
            *filter(None, [epoch_sentence(run for seeds in joined for run in seeds)]),
            *differences(joined, what="Seeds of one cell"),
            *not_counted(of_points(runs), joined, "log_likelihood", "of maximum likelihood"),
        ],
        missing="-",
    )


def off_by(integral: float) -> float:
    """How far a density is from integrating to 1."""
    return abs(integral - 1)


def verdicts(datasets: Mapping[str, Mapping[str, Sequence[Record]]]) -> list[str]:
    """Which flow is closer to the data, and by how much."""
    pairs = {
        name: (
            [number(run, "log_likelihood") for run in cells["planar_cnf"]],
            [number(run, "log_likelihood") for run in cells["planar_nf"]],
        )
        for name, cells in datasets.items()
        if set(MODELS) <= set(cells)
    }
    ps = corrected_ps(pairs)
    lines = [compared(name, *pair, ps.get(name)) for name, pair in pairs.items()]
    return lines + ([f"By {tested_by('log-likelihoods', len(ps))}."] if ps else [])


def compared(name: str, cnf: Sequence[float], nf: Sequence[float], p: float | None) -> str:
    """The difference on one dataset, and whether the seeds show it.

    Both flows are tested on the same points, and of these only the means are kept: the error of a
    mean over points is no error of the difference.
    """
    gap = fmean(cnf) - fmean(nf)
    side = "above" if gap > 0 else "below"
    says = f"the CNF is {abs(gap):.3f} nats per point {side} the NF"
    decided = p is not None and p < LEVEL
    if p is not None:
        says += f" (p = {p:.2g})"
    elif len(cnf) == len(nf):
        says = f"one each; {says}"
    else:
        says = f"{len(cnf)} of the CNF and {len(nf)} of the NF; {says}"
    if name == "two_moons":
        standing = ("holds" if gap > 0 else "does not hold") if decided else f"is {UNDECIDED}"
        says = f"the paper sees the NF in trouble here; this {standing}: {says}"
    elif not decided:
        says = f"{UNDECIDED}: {says}"
    return f"{name}: {says}."


def panels(runs: DataFrame, title: str) -> Figure:
    """node-report figure figure5: densities and samples on the way, both kinds of flow.

    Raises:
        ValueError: No run kept its panels.
    """
    from .figures_4_and_5 import maximum_likelihood_figure

    found = {
        name: {
            model: (kept, f"test log-likelihood\n{cell(seeds, 'log_likelihood', 3)} nats")
            for model, seeds in members.items()
            if (kept := panels_of(seeds)) is not None
        }
        for name, members in by_dataset(runs).items()
    }
    found = {name: members for name, members in found.items() if members}
    if not found:
        raise ValueError(
            "no completed run of a planar flow on points is among them; make some with "
            "node-run sweep=figure5"
        )
    return maximum_likelihood_figure(found)
