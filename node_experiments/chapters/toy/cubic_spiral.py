"""Trajectories of dy/dt = y^3 A: the one that the official demo fits, and one to test on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from torch import Tensor

from ...data.seeded_batches import SeededBatches
from ...errors import DataError
from .chapter import CubicSpiralConfig

__all__ = ["MATRIX", "CubicSpiralData", "TrajectoryBatch", "cubic_spiral_data"]

MATRIX = ((-0.1, 2.0), (-2.0, -0.1))
START = (2.0, 0.0)
# Halfway between two windings of the fitted trajectory, to test the vector field away from it.
HELD_OUT_START = (1.7, 0.0)


@dataclass
class TrajectoryBatch:
    """Batch of pieces of a trajectory.

    Attributes:
        y0: Initial states, shape `(batch, dim)`.
        times: Shape `(time,)`; the first is the time of y0.
        ys: States at these times, shape `(time, batch, dim)`.
    """

    y0: Tensor
    times: Tensor
    ys: Tensor


@dataclass
class CubicSpiralData:
    """Data of the demonstration.

    Attributes:
        train: Random windows of the fitted trajectory.
        test: A whole trajectory from another initial state, from which no window is taken.
        fitted: The whole trajectory that the windows are taken from.
    """

    train: SeededBatches[TrajectoryBatch]
    validation: None
    test: list[TrajectoryBatch]
    fitted: TrajectoryBatch
    dim: int = 2


def cubic_spiral_data(
    settings: CubicSpiralConfig, seed: int = 0, device: torch.device | None = None
) -> CubicSpiralData:
    """Trajectories from (2, 0) and (1.7, 0), at equally spaced times from 0 to `span`.

    Raises:
        DataError: The trajectory has too few points for the windows of a batch.
    """
    points, span, window = settings.points, settings.span, settings.window
    batch_size = settings.batch_size
    if window + batch_size > points:
        raise DataError(
            f"dataset.batch_size={batch_size} windows of dataset.window={window} points need a "
            f"trajectory of more than dataset.points={points}; raise that"
        )
    matrix, times = np.array(MATRIX), np.linspace(0, span, points)

    def field(t: float, y: NDArray[np.float64]) -> NDArray[np.float64]:
        return y**3 @ matrix

    t = torch.tensor(times, dtype=torch.float32, device=device)

    def trajectory(start: tuple[float, float]) -> TrajectoryBatch:
        exact = solve_ivp(field, (0, span), start, "DOP853", times, rtol=1e-10, atol=1e-12)
        ys = torch.tensor(exact.y.T, dtype=torch.float32, device=device).unsqueeze(1)
        return TrajectoryBatch(ys[0], t, ys)

    fitted = trajectory(START)
    ys = fitted.ys
    places = torch.arange(window, device=device)

    def draw(generator: torch.Generator) -> TrajectoryBatch:
        starts = torch.randperm(points - window, generator=generator)[:batch_size].to(ys.device)
        return TrajectoryBatch(ys[starts, 0], t[:window], ys[starts + places.unsqueeze(1), 0])

    train = SeededBatches(draw, settings.batches, seed)
    return CubicSpiralData(train, None, [trajectory(HELD_OUT_START)], fitted)
