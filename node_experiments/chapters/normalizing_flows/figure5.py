"""Figure 5 of Chen et al. 2018: maximum likelihood, a continuous flow beside planar layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pandas import DataFrame

from ...reports.records import differences
from ...reports.table import Cell, Estimate, ReportTable
from ...reports.verdicts import epoch_sentence, within_two_errors
from .flow_runs import (
    MODELS,
    ONE_SEED,
    SPREAD,
    Record,
    by_dataset,
    cell,
    estimate,
    has_seeds,
    number,
    panels_of,
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
        ],
        missing="-",
    )


def off_by(integral: float) -> float:
    """How far a density is from integrating to 1."""
    return abs(integral - 1)


def verdicts(datasets: Mapping[str, Mapping[str, Sequence[Record]]]) -> list[str]:
    """Which flow is closer to the data, and by how much."""
    lines = []
    for name, cells in datasets.items():
        if not set(MODELS) <= set(cells):
            continue
        nf, cnf = (estimate(cells[model], "log_likelihood") for model in MODELS)
        gap = cnf.mean - nf.mean
        same = within_two_errors(gap, nf, cnf)
        says = f"the CNF is {gap:.3f} nats per point above the NF"
        if gap < 0:
            says = f"the NF is {-gap:.3f} nats per point above the CNF"
        if same:
            says = f"both are within two standard errors ({gap:+.3f} nats per point)"
        if name == "two_moons":
            holds = "holds" if gap > 0 and not same else "does not show in the likelihood"
            says = f"the paper sees the NF in trouble here; this {holds}: {says}"
        lines.append(f"{name}: {says}.")
    return lines


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
