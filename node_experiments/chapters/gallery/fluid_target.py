"""The task of bringing the smoke close to its target at the end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

__all__ = ["FluidTarget", "fluid_target"]


class FluidTarget:
    """Squared distance of the final smoke from the target, over the target's squared norm."""

    metric = "reduction"
    higher_is_better = True

    def __init__(self) -> None:
        self._uncontrolled: float | None = None

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """|s(T) - target|^2 / |target|^2."""
        return distance(model(batch.smoke, batch.times), batch.target), {}

    def evaluate(self, model: Any, batches: Iterable[Any]) -> dict[str, float]:
        """The distance, and the fraction `reduction` by which the control reduces it."""
        (batch,) = batches
        if self._uncontrolled is None:
            states = model.uncontrolled(batch.smoke, batch.times)
            self._uncontrolled = float(distance(states, batch.target))
        states = model(batch.smoke, batch.times)
        loss = float(distance(states, batch.target))
        return {
            "loss": loss,
            "reduction": 1 - loss / self._uncontrolled,
            "loss_uncontrolled": self._uncontrolled,
        }


def distance(states: Tensor, target: Tensor) -> Tensor:
    """The loss at the last of states `(time, batch, 3, size, size)`, 0-d."""
    return (states[-1, :, 2] - target).square().sum() / target.square().sum()


def fluid_target(settings: Any, data: Any) -> FluidTarget:
    """The task of the scene, which has no settings."""
    return FluidTarget()
