"""Predictions of spirals and of event rates, with bands from samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...config import ConfigError
from ...data.ragged import ragged
from ...data.time_series import TimeSeries
from ...errors import DataError
from ...figures.style import COLORS, new_figure, style
from ...nn.likelihoods import sample_normal
from ..prediction import (
    Prediction,
    Request,
    as_table,
    parse_times,
    read_columns,
    read_series_column,
)

__all__ = ["predict_rates", "predict_spirals"]

MAX_HORIZON = 20  # latest time to predict at, as a multiple of the end of the default grid
POINTS = 100  # points of the default grid


def predict_spirals(trained: Any, request: Request) -> Prediction:
    """Predict the mean and 90 % band of each coordinate; one row for each series and time.

    The mean is decoded from that of z0, or rolled out; the quantiles are those of an observation.

    Args:
        request: Its inputs are a table `series, time, x1, x2` in the units of the data; if None,
            the observed part of the test series.

    Raises:
        ConfigError: The model predicts next observations, and a time is not after the last
            observation.
    """
    model, data = trained.model, trained.data
    names, observed = series_of(trained, request, data.dim)
    last = observed.times.expand(len(names), -1)
    last = last.masked_fill(~observed.mask, -torch.inf).amax(1)
    decodes = hasattr(model, "decode")
    latest = float(last.max())
    start = 0.0 if decodes else float(torch.nextafter(last.max(), last.new_tensor(torch.inf)))
    end = max(2 * data.span, latest + data.span)
    times = prediction_times(request, start, end, trained.device)
    if not decodes and float(times[0, 0]) <= latest:
        raise ConfigError(
            f"model {trained.config.model.name!r} predicts what comes after the observations, the "
            f"last of which is at {latest:g}; found predict.times from "
            f"{float(times[0, 0]):g} on; a latent ODE predicts at any time"
        )
    mean = model.forecast(observed, times)
    draws = model.forecast(observed, times, request.samples)
    draws = draws + model.log_noise_std.exp() * torch.randn_like(draws)
    features = [f"x{n + 1}" for n in range(data.dim)]
    table = quantile_table(names, times, mean, draws, features)
    latent = None
    if request.latent:
        latent = latent_table(names, times, model.trajectory(model.encode(observed)[0], times))
    return Prediction(
        table, f"{len(names)} series", lambda: plane_figure(table, observed, features), latent
    )


def predict_rates(trained: Any, request: Request) -> Prediction:
    """Predict the mean and 90 % band of the rate in events per unit of time, from draws of z0.

    Args:
        request: Its inputs are a table `series, time` of events; if None, the test sequences.
    """
    model, data = trained.model, trained.data
    names, events = series_of(trained, request, 0)
    times = prediction_times(request, 0.0, data.span, trained.device)
    centre, log_variance = model.encode(events)
    mean = model.rate(centre, times).unsqueeze(-1)
    draws = model.rate(sample_normal(centre, log_variance, request.samples), times).unsqueeze(-1)
    table = quantile_table(names, times, mean, draws, ["rate"])
    latent = None
    if request.latent:
        start = torch.cat([centre, torch.zeros_like(centre[:, :1])], 1)
        latent = latent_table(names, times, model.trajectory(start, times)[..., :-1])
    return Prediction(table, f"{len(names)} sequences", lambda: rate_figure(table, events), latent)


def series_of(trained: Any, request: Request, dim: int) -> tuple[list[str], TimeSeries]:
    """Names and observations of the series in a request.

    Args:
        dim: Number of columns `x1`, `x2`, ... in the table; 0 for events, whose value is 1.

    Raises:
        DataError: A column is missing, a cell is not a number, or a series has two rows at the
            same time.
    """
    if request.inputs is None:
        test = trained.data.test.data
        return list(map(str, range(len(test)))), test.observed
    table = as_table(request.inputs)
    names, number = read_series_column(table)
    rows = read_columns(table, ["time", *(f"x{n + 1}" for n in range(dim))])
    order = np.lexsort((rows[:, 0], number))
    same = (np.diff(rows[order, 0]) == 0) & (np.diff(number[order]) == 0)
    if same.any():
        row = int(order[int(same.argmax()) + 1])
        raise DataError(f"{table.at(row)}: this series has another row at the same time")
    points = torch.from_numpy(rows[order])
    values = points[:, 1:] if dim else torch.ones(len(points), 1, dtype=torch.float64)
    lengths = torch.from_numpy(np.bincount(number, minlength=len(names)))
    series = ragged(points[:, 0], values, lengths)
    return names, series.pad(torch.arange(len(names))).to(trained.device)


def prediction_times(request: Request, first: float, last: float, device: torch.device) -> Tensor:
    """Increasing times to predict at, shape `(1, time)`: those requested, or a grid by default.

    Raises:
        ConfigError: Times are not numbers, before 0 or much later than those of training.
    """
    if request.times is None:
        return torch.linspace(first, last, POINTS, device=device).unsqueeze(0)
    times = parse_times(request.times, 0.0, MAX_HORIZON * last)
    return torch.tensor(times, dtype=torch.float32, device=device).unsqueeze(0)


def quantile_table(
    names: Sequence[str], times: Tensor, mean: Tensor, draws: Tensor, features: Sequence[str]
) -> pd.DataFrame:
    """Table with a row for each series and time: mean, `_q05` and `_q95` of each feature.

    Args:
        mean: Shape `(series, time, feature)`.
        draws: Shape `(sample, series, time, feature)`.
    """
    # torch.quantile is limited to 16 million numbers.
    low, high = np.quantile(draws.cpu().numpy(), (0.05, 0.95), axis=0)
    columns: dict[str, Any] = keys(names, times)
    for place, feature in enumerate(features):
        columns[feature] = mean[..., place].cpu().numpy().ravel()
        columns[f"{feature}_q05"] = low[..., place].ravel()
        columns[f"{feature}_q95"] = high[..., place].ravel()
    return pd.DataFrame(columns)


def latent_table(names: Sequence[str], times: Tensor, states: Tensor) -> pd.DataFrame:
    """Table with a row for each series and time: the latent state as `z1`, `z2`, ..."""
    of_states = states.cpu().numpy().reshape(-1, states.shape[-1])
    return pd.DataFrame(keys(names, times) | {f"z{k + 1}": z for k, z in enumerate(of_states.T)})


def keys(names: Sequence[str], times: Tensor) -> dict[str, Any]:
    """The columns `series` and `time`."""
    at = times[0].double().cpu().numpy()
    return {"series": np.repeat(list(names), len(at)), "time": np.tile(at, len(names))}


def plane_figure(table: pd.DataFrame, observed: TimeSeries, features: Sequence[str]) -> Figure:
    """Figure of the first series in the plane of its first two coordinates."""
    one = table[table["series"] == table["series"].iloc[0]]
    seen = observed.values[0][observed.mask[0]].cpu().numpy()
    with style():
        figure = new_figure(4.6, 4.2)
        axis = figure.subplots()
        axis.plot(one[features[0]], one[features[1]], color=COLORS["blue"], label="predicted")
        axis.plot(seen[:, 0], seen[:, 1], ".", color=COLORS["black"], label="observed")
        axis.set(xlabel=features[0], ylabel=features[1], title="First series")
        axis.legend()
    return figure


def rate_figure(table: pd.DataFrame, events: TimeSeries) -> Figure:
    """Figure of the rate of the first sequence, above its events."""
    one = table[table["series"] == table["series"].iloc[0]]
    seen = events.times.expand(len(events), -1)[0][events.mask[0]].cpu().numpy()
    with style():
        figure = new_figure(7.0, 3.0)
        axis = figure.subplots()
        axis.fill_between(
            one["time"], one["rate_q05"], one["rate_q95"], color=COLORS["blue"], alpha=0.2, lw=0
        )
        axis.plot(one["time"], one["rate"], color=COLORS["blue"], label="rate, with 90 % band")
        axis.plot(seen, np.zeros(len(seen)), "|", color=COLORS["black"], label="events")
        axis.set(xlabel="time", ylabel="events per unit of time")
        axis.legend()
    return figure
