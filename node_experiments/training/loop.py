"""The training loop. It knows epochs, the optimiser, the device and events, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..tasks.base import Task
from .callbacks import Callback

__all__ = ["Batches", "Data", "Trainer", "TrainingDiverged"]


class Batches(Protocol):
    """Batches of one epoch; the order of the training ones follows `epoch`."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Any: ...


class TrainBatches(Batches, Protocol):
    """Batches that are drawn anew every epoch."""

    epoch: int


class Data(Protocol):
    """Training, validation and test batches."""

    train: Any
    validation: Any
    test: Any


class TrainingDiverged(RuntimeError):
    """The loss became NaN or infinite."""


@dataclass
class Means:
    """Running means of 0-d tensors, read only when asked for, so that no step waits for one."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    count: int = 0

    def add(self, metrics: dict[str, Tensor]) -> None:
        """Take in the metrics of one step."""
        for name, value in metrics.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.count += 1

    def read(self) -> dict[str, float]:
        """The means, as host floats."""
        return {name: float(total) / self.count for name, total in self.sums.items()}


class Trainer:
    """Fits a model to a task.

    Args:
        task: Loss and metrics.
        model: On `device`.
        scheduler: Stepped after every step of the optimiser.
        data: Its batches lie on `device`.
        callbacks: Called in this order at every event.
        epochs: Passes over the training data.
        precision: `fp32`, or `bf16` for products and convolutions in bfloat16.
        clip_norm: Largest norm of the joint gradient, or None.
        log_every: Steps in a window of `log`.

    Attributes:
        epoch: Epochs completed.
        step: Steps completed.
        best: Best value of the task's metric on the validation data, or None.
        window: Means over the last window of steps, by TensorBoard tag.
        metrics: Metrics of the last epoch, by TensorBoard tag.
        history: The metrics of all epochs; `windows` those of all windows.
    """

    def __init__(
        self,
        task: Task,
        model: nn.Module,
        optimizer: Optimizer,
        scheduler: LRScheduler,
        data: Data,
        callbacks: Sequence[Callback] = (),
        *,
        epochs: int,
        device: torch.device,
        precision: str = "fp32",
        clip_norm: float | None = None,
        log_every: int = 20,
    ) -> None:
        self.task, self.model, self.data = task, model, data
        self.optimizer, self.scheduler = optimizer, scheduler
        self.callbacks = callbacks
        self.epochs, self.device, self.precision = epochs, device, precision
        self.clip_norm, self.log_every = clip_norm, log_every
        self.epoch = 0
        self.step = 0
        self.best: float | None = None
        self.improved = False
        self.window: dict[str, float] = {}
        self.metrics: dict[str, float] = {}
        self.windows: list[dict[str, float]] = []
        self.history: list[dict[str, float]] = []

    def fit(self) -> None:
        """Train until `epochs` are done.

        Raises:
            TrainingDiverged: The loss is no longer finite.
        """
        self.emit("fit_start")
        try:
            while self.epoch < self.epochs:
                self.train_epoch()
                self.epoch += 1
                self.evaluate_epoch()
                self.emit("epoch_end")
        finally:
            self.emit("fit_end")

    def train_epoch(self) -> None:
        """One pass over the training data."""
        self.model.train()
        self.data.train.epoch = self.epoch
        self.emit("epoch_start")
        epoch_means, window_means = Means(), Means()
        steps = len(self.data.train)
        for index, batch in enumerate(self.data.train):
            metrics = self.train_step(batch)
            epoch_means.add(metrics)
            window_means.add(metrics)
            if (index + 1) % self.log_every == 0 or index + 1 == steps:
                self.log_window(window_means)
                window_means = Means()
        self.metrics = {f"{name}/train": value for name, value in epoch_means.read().items()}

    def train_step(self, batch: Any) -> dict[str, Tensor]:
        """Loss, gradients, one step of the optimiser; returns detached metrics."""
        self.emit("step_start")
        with self.autocast():
            loss, metrics = self.task.loss(self.model, batch, self.step)
        self.emit("after_loss")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        self.scheduler.step()
        self.step += 1
        self.emit("step_end")
        return {"loss": loss.detach(), **metrics}

    def log_window(self, means: Means) -> None:
        """Publish the means of the last steps.

        Raises:
            TrainingDiverged: The loss is no longer finite.
        """
        values = means.read()
        if not math.isfinite(values["loss"]):
            raise TrainingDiverged(
                f"the loss became {values['loss']} before step {self.step}; lower optimizer.lr "
                "or set trainer.clip_norm. The last good checkpoint was kept"
            )
        self.window = {f"{name}/train": value for name, value in values.items()}
        self.window["lr"] = float(self.scheduler.get_last_lr()[0])
        self.emit("log")
        self.windows.append({"step": float(self.step), **self.window})

    def evaluate_epoch(self) -> None:
        """Metrics on validation and test data; whether the checkpoint is the best so far."""
        self.metrics["lr"] = float(self.scheduler.get_last_lr()[0])
        self.improved = False
        if self.data.validation is not None:
            values = self.evaluate(self.data.validation)
            self.metrics |= {f"{name}/validation": value for name, value in values.items()}
            found = values[self.task.metric]
            sign = 1 if self.task.higher_is_better else -1
            self.improved = self.best is None or sign * found > sign * self.best
            self.best = found if self.improved else self.best
        values = self.evaluate(self.data.test)
        self.metrics |= {f"{name}/test": value for name, value in values.items()}
        self.emit("evaluate")
        self.history.append({"epoch": self.epoch, "step": self.step, **self.metrics})

    def evaluate(self, batches: Batches) -> dict[str, float]:
        """The task's metrics over these batches."""
        self.model.eval()
        with torch.no_grad(), self.autocast():
            return self.task.evaluate(self.model, batches)

    def autocast(self) -> AbstractContextManager:
        """The context in which the model computes in the chosen precision."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def emit(self, event: str) -> None:
        """Call every callback's method of this name."""
        for callback in self.callbacks:
            getattr(callback, event)(self)
