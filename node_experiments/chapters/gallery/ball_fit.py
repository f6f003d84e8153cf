"""The task of fitting a ball to samples of its height."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from .bounces import BounceData
from .settings import BouncesConfig

__all__ = ["BallFit", "ball_fit"]


class BallFit:
    """Mean absolute error relative to the height, as in the official demonstration.

    Args:
        truth: The settings that generated the samples.
    """

    metric = "rmse"
    higher_is_better = False

    def __init__(self, truth: BouncesConfig) -> None:
        self.truth = truth

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """|h - h_true| / (h_true + 0.001), averaged over samples."""
        return relative_error(model(batch.times), batch.heights), {}

    def evaluate(self, model: Any, batches: Iterable[Any]) -> dict[str, float]:
        """The loss, `rmse` in metres, and the learned gravity, restitution and radius."""
        (batch,) = batches
        found = model(batch.times)
        return {
            "loss": float(relative_error(found, batch.heights)),
            "rmse": float((found - batch.heights).square().mean().sqrt()),
            **{name: float(value) for name, value in model.vector_field.estimates().items()},
        }


def relative_error(found: Tensor, true: Tensor) -> Tensor:
    """Mean relative error over samples, 0-d."""
    return ((found - true) / (true.abs() + 1e-3)).abs().mean()


def ball_fit(settings: Any, data: BounceData) -> BallFit:
    """The task of fitting the samples of the data."""
    return BallFit(data.truth)
