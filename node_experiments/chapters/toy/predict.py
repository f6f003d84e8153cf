"""Predictions of trajectories by the demo's model, and of outputs by the networks of Figure 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from ...figures.style import COLORS, new_figure, style
from ..prediction import Prediction, Request, as_table, parse_times, read_columns

__all__ = ["predict_map", "predict_trajectories"]


def predict_trajectories(trained: Any, request: Request) -> Prediction:
    """Predict states at `times` from each initial state at time 0, one row per state and time.

    Args:
        request: Its inputs are a table of initial states with the columns `y1`, `y2`, ...; if
            None, the initial state of the data.

    Raises:
        ConfigError: A time is below 0.
    """
    batch, dim = trained.data.fitted, trained.data.dim
    names = [f"y{n + 1}" for n in range(dim)]
    starts = batch.y0.cpu().double().numpy()
    if request.inputs is not None:
        starts = read_columns(as_table(request.inputs), names)
    times = batch.times.cpu().double().numpy()
    if request.times is not None:
        times = parse_times(request.times, 0.0, np.inf)
    # The solve starts at time 0, whether or not this time is requested.
    solved = np.unique(np.append(times, 0.0))
    y0 = torch.tensor(starts, dtype=torch.float32, device=trained.device)
    t = torch.tensor(solved, dtype=torch.float32, device=trained.device)
    states = y0.unsqueeze(0) if len(t) == 1 else trained.model(y0, t)
    found = states.cpu().double().numpy()[np.isin(solved, times)]
    table = pd.DataFrame(
        {
            "start": np.repeat(np.arange(len(starts)), len(times)),
            "time": np.tile(times, len(starts)),
        }
    )
    for place, name in enumerate(names):
        table[name] = found[:, :, place].T.ravel()
    return Prediction(
        table, f"{len(starts)} initial states", lambda: trajectory_figure(table, names)
    )


def trajectory_figure(table: pd.DataFrame, names: list[str]) -> Figure:
    """Figure of the first trajectory against time."""
    first = table[table["start"] == 0]
    with style():
        figure = new_figure(7.0, 3.0)
        axis = figure.subplots()
        for name, color in zip(names, (COLORS["blue"], COLORS["orange"]), strict=False):
            axis.plot(first["time"], first[name], color=color, label=name)
        axis.set(xlabel="time", ylabel="state")
        axis.legend()
    return figure


def predict_map(trained: Any, request: Request) -> Prediction:
    """Predict the outputs `residual` and `ode` of both networks at inputs `x`.

    Args:
        request: Its inputs are a table with the column `x`; if None, the test grid.
    """
    x = trained.data.test[0].x.cpu().double().numpy()
    if request.inputs is not None:
        x = read_columns(as_table(request.inputs), ["x"])
    both = trained.model(torch.tensor(x, dtype=torch.float32, device=trained.device))
    residual, ode = (found[:, 0].cpu().double().numpy() for found in both)
    table = pd.DataFrame({"x": x[:, 0], "residual": residual, "ode": ode})
    return Prediction(table, f"{len(table)} inputs", lambda: map_figure(table))


def map_figure(table: pd.DataFrame) -> Figure:
    """Figure of both outputs against the input."""
    table = table.sort_values("x")
    with style():
        figure = new_figure(5.0, 3.4)
        axis = figure.subplots()
        axis.plot(table["x"], table["residual"], color=COLORS["blue"], label="residual network")
        axis.plot(table["x"], table["ode"], "--", color=COLORS["red"], label="ODE network")
        axis.set(xlabel="input", ylabel="output")
        axis.legend()
    return figure
