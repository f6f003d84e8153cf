"""Models and tasks of irregular series, whose data says what is asked of them."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from torch import nn

from ...config import ConfigError
from ...ode import (
    Gradient,
    Solver,
)
from ...training.task import Task
from .batches import ForecastData
from .models import (
    AUTOREGRESSIVE,
    SeriesModel,
    mean_values,
    series_model,
)
from .tasks import (
    AutoregressiveSeriesTask,
    VariationalSeriesTask,
)

__all__ = ["irregular_model", "irregular_task"]


def irregular_model(c: Any, data: Any, solver: Solver, gradient: Gradient) -> nn.Module:
    """A model of irregular series, sized for its data.

    Raises:
        ConfigError: The dataset is of another kind.
    """
    if not isinstance(data, ForecastData):
        raise ConfigError(
            f"model.name={c.name!r} reads irregular series; choose a dataset of them: periodic, "
            "hopper, japanese_vowels, physionet2012, human_activity or csv"
        )
    known = {f.name for f in fields(SeriesModel)}
    settings = {name: value for name, value in asdict(c).items() if name in known}
    imputes = c.name in ("rnn_impute", "gru_d")
    parts = SeriesModel(
        dim=data.dim,
        classes=data.classes,
        label_per=data.label_per if data.task == "classification" else None,
        span=data.span,
        mean_gap=data.mean_gap,
        extrapolates=data.task == "extrapolation",
        values=mean_values(data.train, data.dim) if imputes else None,
        **settings,
    )
    return series_model(parts, solver, gradient)


def irregular_task(c: Any, data: Any) -> Task:
    """What is optimised on irregular series, where the data says what is asked for."""
    if c.name in AUTOREGRESSIVE:
        return AutoregressiveSeriesTask(
            data.task, data.classes, c.reconstruction_weight, c.classification_weight
        )
    return VariationalSeriesTask(
        data.task,
        data.classes,
        c.reconstruction_weight,
        c.classification_weight,
        c.samples,
        len(data.train),
        c.kl_wait,
        c.kl_rate,
    )
