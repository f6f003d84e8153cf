"""Recurrent models whose training also feeds back their own forecasts, beside others."""

from pathlib import Path

from paired_table import (
    ON_BOTH,
    Pair,
    extrapolations,
    paired_errors,
    paired_table,
    teacher_forcing,
)

from node_experiments.reports.records import Record
from node_experiments.reports.table import Cell, ReportTable

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
RECURRENT = ("rnn_dt", "gru_d", "ode_rnn")
FRACTIONS = (0.1, 0.2, 0.3, 0.5)


def own_forecasts(reference: Path) -> list[ReportTable]:
    """Errors beyond the observations with either kind of training, over the same seeds."""
    runs = compared(reference)
    return [over_seeds(runs), over_fractions(runs)]


def compared(reference: Path) -> list[Record]:
    """The runs of both tables."""
    found = extrapolations(reference, FOLDERS, (*SEVERAL_SEEDS, *ONE_SEED))
    return [run for run in found if run["name"].endswith(RECURRENT)]


def over_seeds(runs: list[Record]) -> ReportTable:
    """Datasets with several seeds, and a test of each pair."""
    return paired_table(
        "Training on true values or on forecasts",
        ("on true values alone", "on both"),
        paired_errors(runs, SEVERAL_SEEDS, RECURRENT, on_both),
        "training on both",
        "Test MSE, a mean over series, in squared standard deviations of the training series, of "
        "forecasts beyond the observations; training on true values alone "
        "(`model.teacher_forcing=1.0`), or with probability one half in each step on the model's "
        "own forecasts (`0.5`, the default). Mean and standard deviation over seeds (their "
        "number), of the best epoch on validation data.",
    )


def over_fractions(runs: list[Record]) -> ReportTable:
    """Simulated series with one seed, by the fraction of points that is observed."""
    columns = [
        paired_errors(
            [run for run in runs if run.get("config.dataset.observed_fraction") == fraction],
            ONE_SEED,
            RECURRENT,
            on_both,
        )
        for fraction in FRACTIONS
    ]
    rows = [[row[0].label, *map(of_seed_0, row)] for row in zip(*columns, strict=True)]
    return ReportTable.of(
        "Training on true values or on forecasts, simulated series",
        ["", *(f"{fraction:.0%}" for fraction in FRACTIONS)],
        rows,
        caption="Test MSE x 100 of extrapolation by the fraction of points observed, one seed: "
        "training on true values alone, then on both.",
    )


def of_seed_0(pair: Pair) -> Cell:
    """Cell with both errors of one seed; its number is that of training on both."""
    before, after = pair.before.get(0), pair.after.get(0)
    text = ", ".join("-" if mse is None else f"{100 * mse:.2f}" for mse in (before, after))
    return Cell(text, {} if after is None else {"": after})


def on_both(run: Record) -> bool:
    """Whether a training was on true values and on forecasts."""
    return teacher_forcing(run) == ON_BOTH
