"""PhysioNet 2012 beside Rubanova, Chen & Duvenaud 2019: Tables 4 and 5, and deaths (Table 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import nan
from typing import Any

from pandas import DataFrame

from ...reports.rank_test import JOINED, ordered
from ...reports.table import Cell, ReportTable
from .tables import MODELS, cell, collect, protocols, remarks

__all__ = ["PHYSIONET_TABLES"]

LABELS = {
    **MODELS,
    "rnn_impute": "RNN, missing values imputed",
    "rnn_decay": "RNN with decay",
    "latent_ode_poisson": "latent ODE, Poisson process",
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
        sign: -1 where higher is better.
    """

    task: str
    title: str
    metrics: tuple[str, ...]
    published: Mapping[str, tuple[float, float]]
    scale: float = 1.0
    sign: int = 1


MSE = ("mse_samples/test", "mse/test")
FILLING_IN = Column("interpolation", "interpolation", MSE, INTERPOLATION, 1000)
FORECAST = Column("extrapolation", "extrapolation", MSE, EXTRAPOLATION, 1000)
DEATHS = Column("classification", "AUC", ("auc/test",), MORTALITY, sign=-1)


def table(
    runs: DataFrame, title: str, caption: str, models: Sequence[str], columns: Sequence[Column]
) -> ReportTable:
    """Published values and ours, side by side, and the order that ours have."""
    rows: list[list[Any]] = [[LABELS[model]] for model in models]
    headings, notes, said = ["model"], [], []
    for column in columns:
        cells, others = collect(runs, "physionet2012", column.task, None)
        ours = {
            model: [value(run, column) for run in cells.get((model, 0.0), [])] for model in models
        }
        headings += [f"{column.title}, published", f"{column.title}, ours"]
        for row, model in zip(rows, models, strict=True):
            published = column.published.get(model)
            row += [None if published is None else known(*published), cell(ours[model])]
        losses = {
            LABELS[model]: [column.sign * each for each in found]
            for model, found in ours.items()
            if found
        }
        if len(losses) > 1:
            order = ordered(losses)
            if column.sign < 0:
                order = order.replace(" < ", " > ")
            notes.append(f"{column.title}, from the best to the worst: {order}.")
        unrun = [LABELS[model] for model in models if not ours[model]]
        if losses and unrun:
            notes.append(f"{column.title}, not run: {'; '.join(unrun)}.")
        kept = {key: members for key, members in cells.items() if key[0] in models}
        said.append(f"{column.title}: {protocols(kept)}")
        notes += remarks(kept, others, f"on physionet2012 ({column.task})")
    notes += [JOINED] if any("from the best" in note for note in notes) else []
    return ReportTable.of(
        title,
        headings,
        rows,
        caption=f"{caption} Ours, mean ± deviation over seeds (their number). {' '.join(said)}",
        notes=notes,
        missing="-",
    )


def value(run: Mapping[str, Any], column: Column) -> float:
    """The number of a run, in the unit of the published ones."""
    return column.scale * next((run[name] for name in column.metrics if name in run), nan)


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
