"""A table of errors with one setting and with another, over the same training seeds."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from node_experiments.reports.rank_test import SIGNIFICANCE_LEVEL
from node_experiments.reports.records import Record, records
from node_experiments.reports.seed_tests import describe_comparison, holm, paired_p
from node_experiments.reports.table import Estimate, ReportTable
from node_experiments.runs import load_runs

MODELS = {
    "rnn_dt": "RNN with time gaps",
    "gru_d": "GRU-D",
    "ode_rnn": "ODE-RNN",
    "latent_ode": "latent ODE",
}
ON_TRUTH, ON_BOTH = 1.0, 0.5  # of the training steps on true values; half is the default


class Pair(NamedTuple):
    """Errors by training seed, without a change and with it."""

    label: str
    before: Mapping[int, float]
    after: Mapping[int, float]


def extrapolations(
    reference: Path, folders: Iterable[str], datasets: Collection[str]
) -> list[Record]:
    """The completed runs in these folders of the models on these datasets that extrapolate."""
    names = {f"{dataset}_{model}" for dataset in datasets for model in MODELS}
    return [
        run
        for folder in folders
        for run in records(load_runs(reference / folder))
        if run["status"] == "completed"
        and run["name"] in names
        and run.get("config.dataset.task") == "extrapolation"
    ]


def teacher_forcing(run: Record) -> float:
    """Fraction of the training steps on true values; the default for models without any."""
    latent = run["name"].endswith("latent_ode")
    return ON_BOTH if latent else float(run.get("config.model.teacher_forcing", ON_TRUTH))


def paired_errors(
    runs: Sequence[Record],
    datasets: Mapping[str, str],
    models: Iterable[str],
    changed: Callable[[Record], bool],
) -> list[Pair]:
    """The test errors of each model on each dataset, by whether a run has the change."""
    found = []
    for dataset, label in datasets.items():
        for model in models:
            own = [run for run in runs if run["name"] == f"{dataset}_{model}"]
            before, after = (
                {
                    int(run.get("trained.seed", run["seed"])): float(run["mse/test"])
                    for run in own
                    if changed(run) == expected
                }
                for expected in (False, True)
            )
            found.append(Pair(f"{label}, {MODELS[model]}", before, after))
    return found


def paired_table(
    title: str, headings: tuple[str, str], pairs: Sequence[Pair], subject: str, caption: str
) -> ReportTable:
    """A row for each pair, and a test of each.

    Args:
        headings: Of the errors before and after.
        subject: What is better or worse than the first heading.
    """
    rows: list[list[Any]] = []
    notes: list[str] = []
    ps: list[float] = []
    for label, before, after in pairs:
        seeds = sorted(before.keys() & after.keys())
        old, new = ([each[seed] for seed in seeds] for each in (before, after))
        rows.append([label, *(Estimate.of(each).cell(".3f", ".3f", 1) for each in (old, new))])
        notes.append(f"{label}: {subject} is {describe_comparison(new, old, headings[0])}.")
        if (p := paired_p(new, old)) is not None:
            ps.append(p)
    low, left = (sum(p < SIGNIFICANCE_LEVEL for p in each) for each in (ps, holm(ps)))
    return ReportTable.of(
        title,
        ["", *headings],
        rows,
        caption=caption,
        notes=[
            *notes,
            f"p is that of a t-test paired by training seed. Of the {len(ps)} comparisons, {low} "
            f"have p < {SIGNIFICANCE_LEVEL:g}, and {left} after Holm's correction for their "
            "number.",
        ],
    )
