"""PhysioNet 2012 beside Rubanova, Chen & Duvenaud 2019: Tables 4 and 5, and deaths (Table 6)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pandas import DataFrame

from ...reports.rank_test import JOINED, ordered
from ...reports.table import Cell, ReportTable
from .counted_runs import Counted, collect, first_of, protocols
from .tables import MODELS, SQUARED_ERRORS, cell

__all__ = [
    "AUTOREGRESSIVE",
    "DEATHS",
    "ENCODING",
    "FILLING_IN",
    "FORECAST",
    "PHYSIONET_TABLES",
    "column_runs",
]

LABELS = {
    **MODELS,
    "rnn_impute": "RNN (missing values imputed)",
    "rnn_decay": "RNN with decay",
    "latent_ode_poisson": "latent ODE (Poisson process)",
}
# Mean and deviation as published: squared errors x 1000, then areas under the curve.
INTERPOLATION = {
    "irregular_rnn_dt": (3.520, 0.276),
    "rnn_impute": (3.243, 0.275),
    "rnn_decay": (3.215, 0.276),
    "gru_d": (3.384, 0.274),
    "ode_rnn": (2.361, 0.086),
    "rnn_vae": (5.930, 0.249),
    "irregular_latent_ode/rnn": (3.907, 0.252),
    "irregular_latent_ode": (2.118, 0.271),
    "latent_ode_poisson": (2.789, 0.771),
}
EXTRAPOLATION = {
    "rnn_vae": (3.055, 0.145),
    "irregular_latent_ode/rnn": (3.162, 0.052),
    "irregular_latent_ode": (2.231, 0.029),
    "latent_ode_poisson": (2.208, 0.050),
}
MORTALITY = {
    "irregular_rnn_dt": (0.787, 0.014),
    "rnn_impute": (0.764, 0.016),
    "rnn_decay": (0.807, 0.003),
    "gru_d": (0.818, 0.008),
    "ode_rnn": (0.833, 0.009),
    "rnn_vae": (0.515, 0.040),
    "irregular_latent_ode/rnn": (0.781, 0.018),
    "irregular_latent_ode": (0.829, 0.004),
    "latent_ode_poisson": (0.826, 0.007),
}
AUTOREGRESSIVE = ("irregular_rnn_dt", "rnn_impute", "rnn_decay", "gru_d", "ode_rnn")
ENCODING = ("rnn_vae", "irregular_latent_ode/rnn", "irregular_latent_ode", "latent_ode_poisson")

ERRORS = (
    "Test MSE x 1000 per observed value: over the observed times of each parameter, then over the "
    "parameters of a patient, then over patients. Values are scaled as (x - min) / max, of the "
    "training patients; times are rounded to minutes, and 37 parameters are predicted. The "
    "official code scales so by all patients, test ones too, and predicts 41 parameters, of "
    "which 4 never change; later papers scale and round in other ways again, so that errors of "
    "different papers do not compare."
)


@dataclass(frozen=True)
class Column:
    """One task: what is read of a run, and what is published.

    Attributes:
        metrics: Tags of which the first that a run has counts.
        higher_is_better: A fraction whose distance to 1 is the error.
    """

    task: str
    title: str
    metrics: tuple[str, ...]
    published: Mapping[str, tuple[float, float]]
    scale: float = 1.0
    higher_is_better: bool = False


FILLING_IN = Column("interpolation", "interpolation", SQUARED_ERRORS, INTERPOLATION, 1000)
FORECAST = Column("extrapolation", "extrapolation", SQUARED_ERRORS, EXTRAPOLATION, 1000)
DEATHS = Column("classification", "AUC", ("auc/test",), MORTALITY, higher_is_better=True)


def table(
    runs: DataFrame, title: str, caption: str, models: Sequence[str], columns: Sequence[Column]
) -> ReportTable:
    """Published values and ours, side by side, and the order that ours have."""
    rows: list[list[Any]] = [[LABELS[model]] for model in models]
    headings, notes = ["model"], []
    said: dict[str, list[str]] = defaultdict(list)
    for column in columns:
        counted = column_runs(runs, models, column)
        found = counted.by_model()
        ours = {
            model: [column.scale * first_of(run, column.metrics) for run in found.get(model, [])]
            for model in models
        }
        headings += [f"{column.title}, published", f"{column.title}, ours"]
        for row, model in zip(rows, models, strict=True):
            published = column.published.get(model)
            row += [None if published is None else known(*published), cell(ours[model])]
        notes += order(column, {LABELS[model]: ours[model] for model in found})
        unrun = [LABELS[model] for model in models if model not in found]
        if found and unrun:
            notes.append(f"{column.title}, not run: {'; '.join(unrun)}.")
        said[protocols(counted.runs)].append(column.title)
        notes += counted.notes
    if any("to the highest" in note for note in notes):
        notes.append(JOINED)
    budgets = " ".join(f"{', '.join(titles)}: {budget}" for budget, titles in said.items())
    return ReportTable.of(
        title,
        headings,
        rows,
        caption=f"{caption} Ours, mean ± deviation over seeds (their number). {budgets}",
        notes=notes,
        missing="-",
    )


def column_runs(runs: DataFrame, models: Collection[str], column: Column) -> Counted:
    """The runs of a column of such a table."""
    return collect(runs, "physionet2012", column.task, models, column.metrics)


def order(column: Column, ours: Mapping[str, Sequence[float]]) -> list[str]:
    """The models from the lowest error to the highest; no sentence where there is one.

    Args:
        ours: Numbers of the column by the label of the model.
    """
    if len(ours) < 2:
        return []
    what, errors = f"{column.title} error", ours
    if column.higher_is_better:
        what = f"1 - {column.title}"
        errors = {label: [1 - each for each in found] for label, found in ours.items()}
    return [f"{what}, from the lowest median to the highest: {ordered(errors)}."]


def known(mean: float, deviation: float) -> Cell:
    """A published value."""
    return Cell(f"{mean:.3f} ± {deviation:.3f}", {"": mean, "spread": deviation})


PHYSIONET_TABLES: dict[str, Callable[[DataFrame], ReportTable]] = {
    "table4": partial(
        table,
        title="Table 4",
        caption=f"Autoregressive models on PhysioNet 2012. {ERRORS} Each value is predicted from "
        "those before it.",
        models=AUTOREGRESSIVE,
        columns=[FILLING_IN],
    ),
    "table5": partial(
        table,
        title="Table 5",
        caption=f"Models with a latent z0 on PhysioNet 2012. {ERRORS} At interpolation the values "
        "that are scored were read; at extrapolation those of the first 24 h were.",
        models=ENCODING,
        columns=[FILLING_IN, FORECAST],
    ),
    "auc": partial(
        table,
        title="Mortality",
        caption="Area under the ROC curve of deaths in hospital, PhysioNet 2012 (Table 6). The "
        "published RNN-VAE reads another patient's record (`model.variant=official_bug`).",
        models=(*AUTOREGRESSIVE, *ENCODING),
        columns=[DEATHS],
    ),
}
