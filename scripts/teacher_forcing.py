"""Recurrent models whose training also feeds back their own forecasts, beside others."""

from pathlib import Path
from typing import Any

from paired_table import Pair, paired_table

from node_experiments.reports.records import Record, records
from node_experiments.reports.table import Cell, ReportTable
from node_experiments.runs import load_runs

FOLDERS = (
    "teacher_forcing", "mimic_demo", "storms", "pbcseq", "hopper_extrapolation",
    "periodic_extrapolation",
)  # fmt: skip
SEVERAL_SEEDS = {
    "csv": "the sample file",
    "mimic_demo": "MIMIC's second day",
    "storms": "storms",
    "pbcseq": "pbcseq",
}
ONE_SEED = {"hopper": "Hopper", "periodic": "sinusoids"}
MODELS = {"rnn_dt": "RNN with time gaps", "gru_d": "GRU-D", "ode_rnn": "ODE-RNN"}
FRACTIONS = (0.1, 0.2, 0.3, 0.5)
ON_TRUTH, ON_BOTH = 1.0, 0.5  # of the steps on true values


def own_forecasts(reference: Path) -> list[ReportTable]:
    """Errors beyond the observations with either kind of training, over the same seeds."""
    runs = compared(reference)
    return [over_seeds(runs), over_fractions(runs)]


def compared(reference: Path) -> list[Record]:
    """The runs of both tables."""
    names = {f"{data}_{model}" for data in (*SEVERAL_SEEDS, *ONE_SEED) for model in MODELS}
    return [
        run
        for folder in FOLDERS
        for run in records(load_runs(reference / folder))
        if run["status"] == "completed"
        and run.get("config.dataset.task") == "extrapolation"
        and run["name"] in names
    ]


def over_seeds(runs: list[Record]) -> ReportTable:
    """Datasets with several seeds, and a test of each pair."""
    pairs = [
        Pair(
            f"{of_dataset}, {label}",
            *(by_seed(runs, f"{dataset}_{model}", share) for share in (ON_TRUTH, ON_BOTH)),
        )
        for dataset, of_dataset in SEVERAL_SEEDS.items()
        for model, label in MODELS.items()
    ]
    return paired_table(
        "Training on true values or on forecasts",
        ("on true values alone", "on both"),
        pairs,
        "training on both",
        "Test MSE, a mean over series, in squared standard deviations of the training series, of "
        "forecasts beyond the observations; training on true values alone "
        "(`model.teacher_forcing=1.0`), or with probability one half in each step on the model's "
        "own forecasts (`0.5`, the default). Mean and standard deviation over seeds (their "
        "number), of the best epoch on validation data.",
    )


def over_fractions(runs: list[Record]) -> ReportTable:
    """Simulated series with one seed, by the fraction of points that is observed."""
    rows: list[list[Any]] = []
    for dataset, of_dataset in ONE_SEED.items():
        for model, label in MODELS.items():
            cells = []
            for fraction in FRACTIONS:
                pair = [
                    by_seed(runs, f"{dataset}_{model}", share, fraction).get(0)
                    for share in (ON_TRUTH, ON_BOTH)
                ]
                words = ["-" if mse is None else f"{100 * mse:.2f}" for mse in pair]
                numbers = {"": pair[1]} if pair[1] is not None else {}
                cells.append(Cell(", ".join(words), numbers))
            rows.append([f"{of_dataset}, {label}", *cells])
    return ReportTable.of(
        "Training on true values or on forecasts, simulated series",
        ["", *(f"{fraction:.0%}" for fraction in FRACTIONS)],
        rows,
        caption="Test MSE x 100 of extrapolation by the fraction of points observed, one seed: "
        "training on true values alone, then on both.",
    )


def by_seed(
    runs: list[Record], name: str, share: float, fraction: float | None = None
) -> dict[int, float]:
    """Test errors of an experiment by seed.

    Args:
        share: Fraction of the training steps on true values.
        fraction: Fraction of the points observed; None for all runs.
    """
    return {
        int(run["seed"]): float(run["mse/test"])
        for run in runs
        if run["name"] == name
        and run.get("config.model.teacher_forcing", ON_TRUTH) == share
        and fraction in (None, run.get("config.dataset.observed_fraction"))
    }
