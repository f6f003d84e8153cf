"""Task of fitting a vector field to an observed trajectory (the official demonstration)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["TrajectoryFit", "trajectory_fit"]


class TrajectoryFit:
    """Mean absolute error of the states, in their units."""

    metric = "rmse"
    higher_is_better = False

    def loss(self, model: nn.Module, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean absolute error over the windows of a batch, each solved from its initial state."""
        return (model(batch.y0, batch.times) - batch.ys).abs().mean(), {}

    def evaluate(self, model: nn.Module, batches: Iterable[Any]) -> dict[str, float]:
        """Mean absolute (`loss`) and root mean squared error of trajectories from their start."""
        errors = torch.cat(
            [(model(batch.y0, batch.times) - batch.ys).flatten() for batch in batches]
        )
        return {"loss": float(errors.abs().mean()), "rmse": float(errors.square().mean().sqrt())}


def trajectory_fit(settings: Any, data: Any) -> TrajectoryFit:
    """The task of the demo, which has no settings."""
    return TrajectoryFit()
