"""Evaluations of an ODE-Net after ever more epochs of training: Figure 3d, and 3c at its end."""

from pathlib import Path

from pandas import DataFrame

from node_experiments.chapters.image_classification.figure3_verdicts import (
    FILE,
    MIN_GROWTH,
    verdict_backward,
)
from node_experiments.reports.records import Record, records
from node_experiments.reports.table import Cell, ReportTable
from node_experiments.reports.verdicts import claim_verdict
from node_experiments.runs.directory import read_json
from node_experiments.runs.frame import read_epochs

__all__ = ["by_seed", "growth"]

STEP = 6  # evaluations of a step of dopri5


def by_seed(table1: DataFrame) -> str:
    """Forward evaluations in the first and the last epoch of Table 1's ODE-Nets, in a sentence."""
    found = []
    for run in sorted(records(table1), key=lambda run: run["seed"]):
        if run["name"] == "mnist_odenet":
            first, *_, last = (row["nfe/forward"] for row in read_epochs(run["directory"]))
            found.append(f"{first:.1f} to {last:.1f}")
    return (
        f"In the {len(found)} seeds of Table 1, evaluations per solve went from "
        f"{'; '.join(found)} between the first and the last epoch. A step of dopri5 takes six "
        "evaluations, so at this tolerance less growth than that cannot be seen."
    )


def growth(runs: DataFrame) -> ReportTable:
    """Forward evaluations by epoch and tolerance, and verdicts on claims (c) and (d).

    Args:
        runs: One training run, evaluations of its weights after some epochs (mode=eval), and one
            run of mode=figure3 with its last weights.
    """
    by_mode: dict[str, list[Record]] = {}
    for run in records(runs):
        by_mode.setdefault(run["config.mode"], []).append(run)
    (trained,), (figure3,) = by_mode["train"], by_mode["figure3"]
    found = {
        (int(run["trained.epoch"]), float(run["config.solver.rtol"])): run
        for run in by_mode["eval"]
    }
    epochs = sorted({epoch for epoch, _ in found})
    tolerances = sorted({tolerance for _, tolerance in found}, reverse=True)
    own = float(trained["config.solver.rtol"])
    rows = [
        [
            Cell.number(epoch, "d"),
            Cell.number(100 * (1 - found[epoch, own]["accuracy/test"]), ".2f"),
            *(Cell.number(found[epoch, at]["nfe/forward"], ".1f") for at in tolerances),
        ]
        for epoch in epochs
    ]
    counts = {at: [found[epoch, at]["nfe/forward"] for epoch in epochs] for at in tolerances}
    grown = [each[-1] > (1 + MIN_GROWTH) * each[0] for each in counts.values()]
    changes = "; ".join(
        f"at {at:.0e} from {each[0]:.1f} to {each[-1]:.1f} (most: {max(each):.1f})"
        for at, each in counts.items()
    )
    measured = read_json(Path(figure3["directory"]) / FILE)
    first = found[epochs[0], own]
    return ReportTable.of(
        "Figure 3, long training",
        [
            "weights after epoch",
            "test error, %",
            *(f"evaluations at {at:.0e}" for at in tolerances),
        ],
        rows,
        caption=(
            f"`{trained['name']}`, seed {trained['seed']:g}, trained with "
            f"{trained['config.solver.method']} at {own:g} for "
            f"{trained['config.trainer.epochs']:g} epochs of "
            f"{trained['config.dataset.train_size']:,} images: {int(trained['last/step']):,} "
            f"steps of {trained['config.dataset.batch_size']:g} images. Errors and evaluations "
            f"per forward solve are means over the first {tested(first):,} test images."
        ),
        notes=[
            "**(c) Half as many evaluations backward as forward, with the last weights: "
            f"{verdict_backward(measured)}",
            f"**(d) Evaluations grow while the network trains: "
            f"{claim_verdict(sum(grown), len(grown)) if any(grown) else 'does not show'}.** From "
            f"epoch {epochs[0]} to {epochs[-1]}, {changes}. Criterion: growth of more than "
            f"{MIN_GROWTH:.0%}. A step takes {STEP} evaluations, and one step more or less comes "
            "and goes between epochs.",
        ],
    )


def tested(run: Record) -> int:
    """Number of images of an evaluation."""
    return int(read_json(Path(run["directory"]) / "result.json")["tested"]["count"])
