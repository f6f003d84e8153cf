"""The loss of a batch with its penalties, and means of metrics over steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from ..nn.ode_module import solving_modules
from ..nn.regularizers import Penalty
from .task import Task

__all__ = ["BatchLoss", "Means", "take_penalties", "weighted_means"]


@dataclass
class Means:
    """Running means of 0-d tensors, read only on request, so that no step waits for the device.

    Attributes:
        sums: Sums over samples.
        count: Number of samples.
    """

    sums: dict[str, Tensor] = field(default_factory=dict)
    count: int = 0

    def add(self, metrics: dict[str, Tensor], samples: int) -> None:
        """Add the metrics of one step, which are means over its samples."""
        for name, value in metrics.items():
            total = samples * value
            self.sums[name] = self.sums[name] + total if name in self.sums else total
        self.count += samples

    def read(self) -> dict[str, float]:
        """The means, as host floats."""
        return {name: float(total) / self.count for name, total in self.sums.items()}


def take_penalties(model: nn.Module) -> Iterator[tuple[str, Penalty]]:
    """The penalties of all solves since the last call, with the names of their integrals."""
    for module in solving_modules(model):
        penalties, module.penalties = module.penalties, {}
        yield from penalties.items()


class BatchLoss(nn.Module):
    """Loss with penalties, and metrics, of a batch, as a single module that can be wrapped."""

    def __init__(self, task: Task, model: nn.Module) -> None:
        super().__init__()
        self.task, self.model = task, model

    def forward(self, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        loss, metrics = self.task.loss(self.model, batch, step)
        for name, penalty in take_penalties(self.model):
            loss = loss + penalty.weight * penalty.integral
            tag = f"regularizer/{name}"
            metrics[tag] = metrics.get(tag, 0) + penalty.integral.detach()
        return loss, metrics


def weighted_means(
    metrics: Sequence[dict[str, Tensor]], weights: Sequence[int]
) -> dict[str, Tensor]:
    """Weighted means over batches of the metrics of each name."""
    fractions = [weight / sum(weights) for weight in weights]
    total: dict[str, Tensor] = {}
    for fraction, each in zip(fractions, metrics, strict=True):
        for name, value in each.items():
            total[name] = total[name] + fraction * value if name in total else fraction * value
    return total
