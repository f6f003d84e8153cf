"""PhysioNet 2012: Tables 4, 5 and 6 (mortality) of Rubanova, Chen & Duvenaud 2019 beside ours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pandas import DataFrame

from ...reports.rank_test import ORDER_LEGEND, order_text
from ...reports.table import Cell, ReportTable
from .counted_runs import Counted, collect, first_metric, protocols
from .tables import MODELS, SQUARED_ERRORS, cell

__all__ = [
    "AUTOREGRESSIVE",
    "ENCODING",
    "EXTRAPOLATION_COLUMN",
    "INTERPOLATION_COLUMN",
    "MORTALITY_COLUMN",
    "PHYSIONET_TABLES",
    "column_runs",
]

LABELS = {
    **MODELS,
    "rnn_impute": "RNN (missing values imputed)",
    "rnn_decay": "RNN with decay",
    "latent_ode_poisson": "latent ODE (Poisson process)",
}
# Published mean and standard deviation: squared errors x 1000, then areas under the curve.
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
    "official code takes min and max of all patients, test patients included, and predicts 41 "
    "parameters, 4 of which never change. Later papers scale and round differently, so errors are "
    "not comparable between papers."
)


@dataclass(frozen=True)
class Column:
    """One task: the metrics that are read from a run, and the published values.

    Attributes:
        metrics: Tags, of which the first that a run has counts.
        higher_is_better: Whether the metric is a fraction whose distance from 1 is the error.
    """

    task: str
    title: str
    metrics: tuple[str, ...]
    published: Mapping[str, tuple[float, float]]
    scale: float = 1.0
    higher_is_better: bool = False


INTERPOLATION_COLUMN = Column(
    "interpolation", "interpolation", SQUARED_ERRORS, INTERPOLATION, 1000
)
EXTRAPOLATION_COLUMN = Column(
    "extrapolation", "extrapolation", SQUARED_ERRORS, EXTRAPOLATION, 1000
)
MORTALITY_COLUMN = Column("classification", "AUC", ("auc/test",), MORTALITY, higher_is_better=True)


def table(
    runs: DataFrame, title: str, caption: str, models: Sequence[str], columns: Sequence[Column]
) -> ReportTable:
    """Table of published values beside ours, with the ranking of ours."""
    rows: list[list[Any]] = [[LABELS[model]] for model in models]
    headings, notes = ["model"], []
    titles_by_budget: dict[str, list[str]] = defaultdict(list)
    for column in columns:
        counted = column_runs(runs, models, column)
        found = counted.by_model()
        ours = {
            model: [
                column.scale * first_metric(run, column.metrics) for run in found.get(model, [])
            ]
            for model in models
        }
        headings += [f"{column.title}, published", f"{column.title}, ours"]
        for row, model in zip(rows, models, strict=True):
            published = column.published.get(model)
            row += [None if published is None else published_cell(*published), cell(ours[model])]
        notes += order(column, {LABELS[model]: ours[model] for model in found})
        unrun = [LABELS[model] for model in models if model not in found]
        if found and unrun:
            notes.append(f"{column.title}, not run: {'; '.join(unrun)}.")
        titles_by_budget[protocols(counted.runs)].append(column.title)
        notes += counted.notes
    if any("to the highest" in note for note in notes):
        notes.append(ORDER_LEGEND)
    budgets = " ".join(
        f"{', '.join(titles)}: {budget}" for budget, titles in titles_by_budget.items()
    )
    return ReportTable.of(
        title,
        headings,
        rows,
        caption=f"{caption} Ours, mean ± deviation over seeds (their number). {budgets}",
        notes=notes,
        missing="-",
    )


def column_runs(runs: DataFrame, models: Collection[str], column: Column) -> Counted:
    """The runs that a column counts."""
    return collect(runs, "physionet2012", column.task, models, column.metrics)


def order(column: Column, ours: Mapping[str, Sequence[float]]) -> list[str]:
    """Sentence that ranks the models from the lowest error to the highest; none for one model.

    Args:
        ours: Values of the column by the label of the model.
    """
    if len(ours) < 2:
        return []
    what, errors = f"{column.title} error", ours
    if column.higher_is_better:
        what = f"1 - {column.title}"
        errors = {label: [1 - each for each in found] for label, found in ours.items()}
    return [f"{what}, from the lowest median to the highest: {order_text(errors)}."]


def published_cell(mean: float, deviation: float) -> Cell:
    """Cell of a published mean and standard deviation."""
    return Cell(f"{mean:.3f} ± {deviation:.3f}", {"": mean, "spread": deviation})


PHYSIONET_TABLES: dict[str, Callable[[DataFrame], ReportTable]] = {
    "table4": partial(
        table,
        title="Table 4",
        caption=f"Autoregressive models on PhysioNet 2012. {ERRORS} Each value is predicted from "
        "those before it.",
        models=AUTOREGRESSIVE,
        columns=[INTERPOLATION_COLUMN],
    ),
    "table5": partial(
        table,
        title="Table 5",
        caption=f"Models with a latent z0 on PhysioNet 2012. {ERRORS} In interpolation, models "
        "read the values that are scored; in extrapolation, they read those of the first 24 h.",
        models=ENCODING,
        columns=[INTERPOLATION_COLUMN, EXTRAPOLATION_COLUMN],
    ),
    "auc": partial(
        table,
        title="Mortality",
        caption="Area under the ROC curve of deaths in hospital, PhysioNet 2012 (Table 6). The "
        "published RNN-VAE reads another patient's record (`model.variant=official_bug`).",
        models=(*AUTOREGRESSIVE, *ENCODING),
        columns=[MORTALITY_COLUMN],
    ),
}
