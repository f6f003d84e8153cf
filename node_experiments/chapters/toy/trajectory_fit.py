"""Fit the vector field of a trajectory that was observed (the official demonstration)."""

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
        """Of the windows of a batch, each solved from its own start."""
        return (model(batch.y0, batch.times) - batch.ys).abs().mean(), {}

    def evaluate(self, model: nn.Module, batches: Iterable[Any]) -> dict[str, float]:
        """Of whole trajectories, solved from their start; also the root mean squared error."""
        errors = torch.cat(
            [(model(batch.y0, batch.times) - batch.ys).flatten() for batch in batches]
        )
        return {"loss": float(errors.abs().mean()), "rmse": float(errors.square().mean().sqrt())}


def trajectory_fit(settings: Any, data: Any) -> TrajectoryFit:
    """The task of the demo, which has no settings."""
    return TrajectoryFit()
