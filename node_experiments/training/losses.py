"""The loss of a batch with its penalties, and means of metrics over steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from ..nn.ode_module import solving_modules
from ..nn.regularizers import Penalty
from .distributed import SINGLE_PROCESS, Group
from .task import Task

__all__ = ["BatchLoss", "Means", "take_penalties"]


@dataclass
class Means:
    """Running means of 0-d tensors, read only on request, so that no step waits for the device.

    A metric that only some batches have is a mean over these.

    Attributes:
        sums: Sums over samples.
        counts: Number of samples of the batches that had each metric.
    """

    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> Means:
        """The means of a checkpoint; an older one has one count for all metrics."""
        sums, count = state["sums"], state.get("count", 0)
        return cls(sums, state.get("counts", dict.fromkeys(sums, count)))

    def add(self, metrics: Mapping[str, Tensor], samples: int) -> None:
        """Add the metrics of one batch, which are means over its samples."""
        for name, value in metrics.items():
            total = samples * value
            self.sums[name] = self.sums[name] + total if name in self.sums else total
            self.counts[name] = self.counts.get(name, 0) + samples

    def read(self, group: Group = SINGLE_PROCESS) -> dict[str, float]:
        """The means over the samples of all processes, as host floats."""
        own = {name: (float(total), self.counts[name]) for name, total in self.sums.items()}
        found: dict[str, list[tuple[float, int]]] = {}
        for each in group.gather(own):
            for name, part in each.items():
                found.setdefault(name, []).append(part)
        return {
            name: sum(total for total, _ in parts) / sum(count for _, count in parts)
            for name, parts in found.items()
        }


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
