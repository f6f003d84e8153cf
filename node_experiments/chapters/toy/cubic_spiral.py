"""One trajectory of dy/dt = y^3 A, which the official demonstration fits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from torch import Tensor

from ...data.errors import DataError
from ...data.seeded_batches import SeededBatches
from .chapter import CubicSpiralConfig

__all__ = ["MATRIX", "CubicSpiralData", "TrajectoryBatch", "cubic_spiral_data"]

MATRIX = ((-0.1, 2.0), (-2.0, -0.1))


@dataclass
class TrajectoryBatch:
    """Pieces of a trajectory.

    Attributes:
        y0: States to start from, shape `(batch, dim)`.
        times: Shape `(time,)`; the first is that of y0.
        ys: States at these times, shape `(time, batch, dim)`.
    """

    y0: Tensor
    times: Tensor
    ys: Tensor


@dataclass
class CubicSpiralData:
    """What the demonstration reads: random windows to train on, the whole trajectory to test."""

    train: SeededBatches[TrajectoryBatch]
    validation: None
    test: list[TrajectoryBatch]
    dim: int = 2


def cubic_spiral_data(
    settings: CubicSpiralConfig, seed: int = 0, device: torch.device | None = None
) -> CubicSpiralData:
    """The trajectory from (2, 0), at equally spaced times from 0 to `span`.

    Raises:
        DataError: Windows that the trajectory does not have.
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

    exact = solve_ivp(field, (0, span), [2.0, 0.0], "DOP853", times, rtol=1e-10, atol=1e-12)
    ys = torch.tensor(exact.y.T, dtype=torch.float32, device=device).unsqueeze(1)
    t = torch.tensor(times, dtype=torch.float32, device=device)
    whole = TrajectoryBatch(ys[0], t, ys)
    places = torch.arange(window, device=device)

    def draw(generator: torch.Generator) -> TrajectoryBatch:
        starts = torch.randperm(points - window, generator=generator)[:batch_size].to(ys.device)
        return TrajectoryBatch(ys[starts, 0], t[:window], ys[starts + places.unsqueeze(1), 0])

    return CubicSpiralData(SeededBatches(draw, settings.batches, seed), None, [whole])
