"""Samples of a flow, or its log-density at a user's points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...config import ConfigError
from ...figures.style import new_figure, style
from ..prediction import Prediction, Request, as_table, read_columns
from .draw_panels import draw_density, draw_points
from .grid import CHUNK, log_density_on, square_grid

__all__ = ["predict_flow"]

SIDE = 80  # points of the drawn density along a side


def predict_flow(trained: Any, request: Request) -> Prediction:
    """Table with `x1`, `x2`, ... and `log_density` in nats, of `samples` draws or given points.

    Args:
        request: Its inputs are a table with the columns `x1`, `x2`, ...; other columns are kept.

    Raises:
        DataError: A column is missing, or a cell is not a number.
        ConfigError: Times or latent trajectories are requested, which a flow does not have.
    """
    if request.times is not None or request.latent:
        raise ConfigError("a flow has neither times nor a latent trajectory: it draws samples")
    model, dim = trained.model, trained.data.dim
    names = [f"x{n + 1}" for n in range(dim)]
    if request.inputs is None:
        noise = torch.randn(request.samples, dim)
        drawn = [model.sample(some.to(trained.device)) for some in noise.split(CHUNK)]
        points = torch.cat([points for points, _ in drawn])
        densities = torch.cat([densities for _, densities in drawn])
        table, of = pd.DataFrame(points.cpu().double().numpy(), columns=names), "samples"
    else:
        given = as_table(request.inputs)
        numbers = read_columns(given, names)
        points = torch.tensor(numbers, dtype=torch.float32, device=trained.device)
        densities = torch.cat([model.log_prob(some) for some in points.split(CHUNK)])
        table, of = given.rows.assign(**dict(zip(names, numbers.T, strict=True))), "points"
    table = table.assign(log_density=densities.cpu().double().numpy())
    half_width = float(trained.data.half_width)

    def figure() -> Figure:
        with torch.no_grad():
            grid = square_grid(half_width, SIDE).to(trained.device)
            density = log_density_on(model.log_prob, grid).exp().cpu().numpy()
        return flow_figure(density, points, half_width, of)

    return Prediction(table, f"{len(table)} {of}", figure if dim == 2 else None)


def flow_figure(density: np.ndarray, points: Tensor, half_width: float, of: str) -> Figure:
    """The density of the flow beside the samples or points."""
    with style():
        drawing = new_figure(width=6.4, height=3.2)
        left, right = drawing.subplots(1, 2, sharex=True, sharey=True)
        draw_density(left, density, half_width)
        draw_points(right, points[:5000].cpu().numpy(), half_width)
        left.set_title("density of the flow", fontsize=10)
        right.set_title(of, fontsize=10)
        for axis in (left, right):
            axis.set_xlabel("$x_1$")
        left.set_ylabel("$x_2$")
    return drawing
