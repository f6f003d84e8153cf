"""One trajectory of dy/dt = y^3 A, which the official demonstration fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from torch import Tensor

from ...data.errors import DataError
from .chapter import CubicSpiralConfig

__all__ = ["MATRIX", "CubicSpiralData", "TrajectoryBatch", "Windows", "cubic_spiral_data"]

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

    train: Windows
    validation: None
    test: list[TrajectoryBatch]
    dim: int = 2


class Windows:
    """Batches of windows at random places; they depend on the seed and the epoch alone.

    Args:
        whole: The trajectory, a batch of one.
        batch_size: Windows a batch.
        length: Points of a window.
        batches: Batches an epoch.
    """

    def __init__(
        self, whole: TrajectoryBatch, batch_size: int, length: int, batches: int, seed: int
    ) -> None:
        self._whole, self._seed = whole, seed
        self._batch_size, self._length, self._batches = batch_size, length, batches
        self.epoch = 0

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[TrajectoryBatch]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self.epoch)
        ys = self._whole.ys[:, 0]
        places = torch.arange(self._length, device=ys.device)
        for _ in range(self._batches):
            starts = torch.randperm(len(ys) - self._length, generator=generator)
            starts = starts[: self._batch_size].to(ys.device)
            yield TrajectoryBatch(
                ys[starts], self._whole.times[: self._length], ys[starts + places.unsqueeze(1)]
            )


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
    train = Windows(whole, batch_size, window, settings.batches, seed)
    return CubicSpiralData(train, None, [whole])
