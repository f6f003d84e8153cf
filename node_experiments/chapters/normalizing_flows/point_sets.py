"""Points in the plane to fit flows to; every training batch is drawn afresh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ...data.seeded_batches import SeededBatches
from .chapter import PointsConfig
from .point_shapes import sample_points
from .true_densities import true_log_density

__all__ = ["PointData", "point_data"]


@dataclass
class PointData:
    """Training and test points for maximum likelihood.

    Attributes:
        test: One batch of held-out points.
        true_log_likelihood: Mean log-density in nats of the test points under the density that
            they were drawn from, which a model can exceed only by chance. None if unknown.
        half_width: Half the side of the square in which densities are shown.
    """

    train: SeededBatches[Tensor]
    validation: None
    test: list[Tensor]
    true_log_likelihood: float | None
    half_width: float
    dim: int = 2


def point_data(
    settings: PointsConfig, seed: int = 0, device: torch.device | None = None
) -> PointData:
    """Build the batches of training points, and the test points."""
    name, noise, scale = settings.name, settings.noise, settings.scale

    def points(size: int) -> Callable[[Generator], Tensor]:
        return lambda generator: (scale * sample_points(name, size, noise, generator)).to(device)

    train = SeededBatches(points(settings.batch_size), settings.batches, seed)
    (test,) = SeededBatches(points(settings.test_size), 1, seed + 1_000_000_007)
    true = true_log_density(name, test, noise, scale)
    return PointData(
        train=train,
        validation=None,
        test=[test],
        true_log_likelihood=None if true is None else float(true.mean()),
        half_width=round(1.1 * float(test.abs().max()), 1) or 1.0,
    )
