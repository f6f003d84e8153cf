"""Flow matching on the point sets: log-likelihoods beside those of the true densities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pandas import DataFrame

from ...reports.records import has, most_alike, one_per_seed, trainings
from ...reports.table import Cell, Estimate, ReportTable
from .flow_runs import ONE_SEED, SPREAD, cell, finite, not_counted, number, panels_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["densities", "matching_table"]

Runs = dict[tuple[str, str], list[Mapping[str, Any]]]


def of_sets(runs: DataFrame) -> list[Mapping[str, Any]]:
    """Trainings of flow matching on points, however they ended."""
    return [
        run
        for run in trainings(runs)
        if run.get("config.model.name") == "flow_matching"
        and has(run, texts=["config.dataset.name", "config.model.pairs"])
    ]


def by_set(runs: DataFrame) -> Runs:
    """Completed runs of flow matching on points, by set and by pairs; one of each seed."""
    found: Runs = {}
    for run in finite(of_sets(runs), "log_likelihood"):
        key = run["config.dataset.name"], run["config.model.pairs"]
        found.setdefault(key, []).append(run)
    return {key: one_per_seed(most_alike(found[key])) for key in sorted(found)}


def matching_table(runs: DataFrame) -> ReportTable:
    """Log-likelihood, truth, the gap between both, and what an evaluation costs."""
    rows, sets = [], by_set(runs)
    for (name, pairs), members in sets.items():
        true = Estimate.of(numbers(members, "log_likelihood_true"))
        found = Estimate.of(numbers(members, "log_likelihood"))
        gap = None if true is None or found is None else true.mean - found.mean
        integral, nfe = (
            Estimate.of(numbers(members, tag)) for tag in ("normalization", "evaluations")
        )
        rows.append([
            name,
            pairs.replace("_", " "),
            cell(members, "log_likelihood", 3),
            None if true is None else Cell.number(true.mean, ".3f"),
            None if gap is None else Cell.number(gap, ".4f"),
            None if integral is None else Cell.number(integral.mean, ".4f"),
            None if nfe is None else Cell.number(round(nfe.mean), "d"),
        ])  # fmt: skip
    several = any(len(members) > 1 for members in sets.values())
    return ReportTable.of(
        "Flow matching",
        ["points", "pairs", "test log-likelihood", "truth", "below the truth",
         "integral on a grid", "evaluations"],
        rows,
        caption="Log-likelihood of held-out points in nats per point, mean ± its standard error; "
        "`truth` is the density that they were drawn from, `evaluations` the function evaluations "
        "of the solve for all of them.",
        notes=[
            SPREAD if several else ONE_SEED,
            *not_counted(of_sets(runs), sets.values(), "log_likelihood", "of flow matching"),
        ],
        missing="-",
    )  # fmt: skip


def numbers(runs: Sequence[Mapping[str, Any]], metric: str) -> list[float]:
    """A test metric of those runs that have it."""
    return [run[f"{metric}/test"] for run in runs if f"{metric}/test" in run]


def densities(runs: DataFrame, title: str) -> Figure:
    """node-report figure flow_matching: the density that each flow learned.

    Raises:
        ValueError: No run kept its panels.
    """
    from ...figures.style import new_figure, style  # only where it is drawn
    from .draw_panels import draw_density

    kept = {
        key: (members[0], panels)
        for key, members in by_set(runs).items()
        if (panels := panels_of(members)) is not None
    }
    if not kept:
        raise ValueError(
            "no completed run of flow matching on points is among them; make some with "
            "node-run sweep=flow_matching"
        )
    columns = min(4, len(kept))
    height = -(-len(kept) // columns)
    several = len({pairs for _, pairs in kept}) > 1
    with style():
        figure = new_figure(width=2.3 * columns, height=2.7 * height + 0.3)
        axes = figure.subplots(height, columns, squeeze=False).ravel()
        for axis, ((name, pairs), (run, panels)) in zip(axes, kept.items(), strict=False):
            draw_density(axis, panels["densities"][-1], float(panels["half_width"]))
            gap = number(run, "log_likelihood_true") - number(run, "log_likelihood")
            label = f"{name}, {pairs.split('_')[0]}" if several else name
            axis.set_title(
                f"{label.replace('_', ' ')}\n{gap:.3f} nats below the truth", fontsize=10
            )
        for axis in axes[len(kept) :]:
            axis.set_axis_off()
        figure.suptitle("densities learned by flow matching")
    return figure
