"""The interface of tasks and of their batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from ..errors import UserError

__all__ = ["Baseline", "Task", "batch_weight", "check_metric", "plain_metrics", "samples_in"]


@dataclass(frozen=True)
class Baseline:
    """Score of a model that learned nothing, on validation data, else on test data.

    Attributes:
        metric: Name of a metric of which lower values are better.
        value: Its value for this model.
        predicts: What this model predicts, such as `the training mean`.
    """

    metric: str
    value: float
    predicts: str


class Task(Protocol):
    """One kind of problem to train on: its loss and metrics.

    It may also have

    - `steps_per_epoch`: steps of the optimiser in an epoch, for a loss that changes with the
      epochs; the trainer sets it
    - `details() -> {name: JSON}`: further results of an evaluation, which `mode=eval` writes to
      `<name>.json`
    - `baseline(data) -> Baseline`: the score of a model that learned nothing; a run that ends ten
      times worse has diverged
    - `calibrate(model, data) -> {metric: value}`: after training, fit what gradients do not, such
      as the width of a band, and return the resulting metrics on the validation data; it must not
      change the metric by which the best epoch was chosen
    - `coverage_metrics(model, data) -> {metric: value}`: metrics of the calibrated model on the
      test data, in addition to those of every evaluation
    - `error_table(model, data) -> DataFrame or None`: test errors by feature, in the units of the
      data, which a run prints and writes to `errors.csv`

    Attributes:
        metric: Name of the metric by which the best checkpoint is chosen.
        higher_is_better: Whether higher values of that metric are better.
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


def batch_weight(batch: Any) -> int:
    """Weight of a batch in means: its number of samples, or 1 if unknown."""
    return samples_in(batch) or 1


def plain_metrics(task: Task, values: Any) -> dict[str, float]:
    """The metrics that a task's `evaluate` returned as host floats.

    Raises:
        UserError: It returned no dictionary, or a value that is not one number.
    """
    name = type(task).__name__
    if not isinstance(values, Mapping):
        raise UserError(
            f"evaluate of the task {name} returned a {type(values).__name__}; it must return a "
            "dictionary of metrics by name"
        )
    found: dict[str, float] = {}
    for metric, value in values.items():
        try:
            found[str(metric)] = float(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise UserError(
                f"evaluate of the task {name} returned a {type(value).__name__} for {metric!r}; "
                "it must be one number, such as float(values.mean())"
            ) from error
    return found


def check_metric(task: Task, found: Mapping[str, float]) -> None:
    """Check that a task measures the metric that it names.

    Args:
        found: The metrics that its `evaluate` returned for any part of the data.

    Raises:
        UserError: It measures others only.
    """
    if task.metric not in found:
        raise UserError(
            f"the task {type(task).__name__} names the metric {task.metric!r}, but its evaluate "
            f"returned {', '.join(found) or 'none'}; name one of them, or return {task.metric!r}"
        )
