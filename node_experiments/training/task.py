"""What the trainer asks of a task."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from torch import Tensor, nn

__all__ = ["Task"]


class Task(Protocol):
    """One kind of problem.

    It may also have `details() -> {name: JSON}`: what else an evaluation found, which `mode=eval`
    writes to `<name>.json`.

    Attributes:
        metric: Name of the metric by which a checkpoint is the best.
        higher_is_better: Direction of that metric.
    """

    metric: str
    higher_is_better: bool

    def loss(self, model: nn.Module, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch, 0-d, and further metrics, detached and averaged over the batch."""
        ...

    def evaluate(self, model: nn.Module, batches: Iterable[Any]) -> dict[str, float]:
        """Metrics over all batches, `loss` among them. Called without gradients."""
        ...
