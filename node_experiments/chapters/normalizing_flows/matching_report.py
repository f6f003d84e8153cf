"""Report of flow matching on the point sets: log-likelihoods beside those of true densities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pandas import DataFrame

from ...reports.records import group_runs, has, trainings
from ...reports.table import Cell, Estimate, ReportTable
from .flow_runs import (
    ONE_SEED,
    SPREAD,
    cell,
    finite_runs,
    load_panels,
    metric_value,
    metric_values,
    not_counted,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["densities", "matching_table"]

Runs = dict[tuple[str, str], list[Mapping[str, Any]]]


def matching_runs(runs: DataFrame) -> list[Mapping[str, Any]]:
    """Training runs of flow matching on points, of any status."""
    return [
        run
        for run in trainings(runs)
        if run.get("config.model.name") == "flow_matching"
        and has(run, texts=["config.dataset.name", "config.model.pairs"])
    ]


def group_by_set(runs: DataFrame) -> Runs:
    """Completed runs of flow matching on points, by point set and pairing; one per seed."""
    return group_runs(
        finite_runs(matching_runs(runs), "log_likelihood"),
        lambda run: (run["config.dataset.name"], run["config.model.pairs"]),
    )


def matching_table(runs: DataFrame) -> ReportTable:
    """Table of log-likelihood, true log-likelihood, their gap, and evaluations per solve."""
    rows, sets = [], group_by_set(runs)
    for (name, pairs), members in sets.items():
        true = Estimate.of(metric_values(members, "log_likelihood_true"))
        found = Estimate.of(metric_values(members, "log_likelihood"))
        gap = None if true is None or found is None else true.mean - found.mean
        integral, nfe = (
            Estimate.of(metric_values(members, tag)) for tag in ("normalization", "evaluations")
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
            *not_counted(matching_runs(runs), sets.values(), "log_likelihood", "of flow matching"),
        ],
        missing="-",
    )  # fmt: skip


def densities(runs: DataFrame, title: str) -> Figure:
    """node-report figure flow_matching: the density that each flow learned.

    Raises:
        ValueError: No run kept its panels.
    """
    from ...figures.style import new_figure, style  # imported only to draw
    from .draw_panels import draw_density

    kept = {
        key: (members[0], panels)
        for key, members in group_by_set(runs).items()
        if (panels := load_panels(members)) is not None
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
            gap = metric_value(run, "log_likelihood_true") - metric_value(run, "log_likelihood")
            label = f"{name}, {pairs.split('_')[0]}" if several else name
            axis.set_title(
                f"{label.replace('_', ' ')}\n{gap:.3f} nats below the truth", fontsize=10
            )
        for axis in axes[len(kept) :]:
            axis.set_axis_off()
        figure.suptitle("densities learned by flow matching")
    return figure
