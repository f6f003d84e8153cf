"""The interface of tasks and of their batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

__all__ = ["Baseline", "Task", "samples_in", "weight_of"]


@dataclass(frozen=True)
class Baseline:
    """Score of a model that learned nothing, on validation data, else on test data.

    Attributes:
        metric: Of which less is better.
        value: What it reaches.
        predicts: What it predicts, such as `the training mean`.
    """

    metric: str
    value: float
    predicts: str


class Task(Protocol):
    """One kind of problem.

    It may also have

    - `steps_per_epoch`: steps of the optimiser in an epoch, for a loss that changes with the
      epochs; the trainer sets it
    - `details() -> {name: JSON}`: what else an evaluation found, which `mode=eval` writes to
      `<name>.json`
    - `baseline(data) -> Baseline`: what a model that learned nothing reaches; a run that ends ten
      times worse has diverged
    - `calibrate(model, data) -> {metric: value}`: fit, once training has ended, what is no matter
      of gradients, such as the width of a band, and say what that reaches on the validation data;
      it changes nothing by which the best epoch was chosen
    - `coverage_metrics(model, data) -> {metric: value}`: what the calibrated model reaches on the
      test data, beside the metrics of every evaluation

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


def samples_in(batch: Any) -> int:
    """The number of samples of a batch: that of its first tensor, else its length; 0 without one.

    >>> import torch
    >>> samples_in((torch.zeros(3, 2), torch.zeros(3)))
    3
    """
    if isinstance(batch, Tensor):
        return len(batch) if batch.ndim else 0
    if isinstance(batch, list | tuple):
        return samples_in(batch[0]) if batch else 0
    if isinstance(batch, Mapping):
        return samples_in(next(iter(batch.values()))) if batch else 0
    return len(batch) if hasattr(batch, "__len__") else 0


def weight_of(batch: Any) -> int:
    """Weight of a batch in means: its samples, or 1 if unknown."""
    return samples_in(batch) or 1
