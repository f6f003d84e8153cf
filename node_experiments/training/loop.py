"""The training loop: it handles epochs, the optimiser, the device and events, and no more."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .best_epoch import BestEpoch
from .distributed import SINGLE_PROCESS, Group
from .losses import BatchLoss, Means
from .random_state import random_state, set_random_state
from .task import Task, batch_weight, check_metric, plain_metrics, samples_in

__all__ = ["Batches", "Callback", "Data", "Trainer", "TrainingDiverged"]

# Attributes of the trainer itself that a checkpoint keeps.
COUNTERS = ("epoch", "index", "step", "tested", "metrics", "history", "windows")


class Batches(Protocol):
    """Batches of one epoch; the order of training batches depends on their `epoch`."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Any: ...


class Data(Protocol):
    """Training, validation and test batches."""

    train: Any
    validation: Any
    test: Any


class TrainingDiverged(RuntimeError):
    """The loss became NaN or infinite."""


class Callback:
    """Base class of callbacks; each event does nothing unless a subclass overrides it.

    fit_start
      epoch_start
        step_start                before the forward pass
          after_loss              the graph of a batch exists, its backward pass does not yet
          after_backward          the gradient of a batch was added
        step_end                  gradients were applied
        log                       every few steps; trainer.window holds their means
        between_steps             the state is complete: it may be saved, and training stopped;
                                  also between the batches of an evaluation
        before_save               a checkpoint of this state is about to be written
      evaluate                    trainer.metrics holds the epoch's metrics
      epoch_end
    fit_end                       always, also after an error or an interruption
    """

    def fit_start(self, trainer: Trainer) -> None:
        """Called once, before the first epoch."""

    def epoch_start(self, trainer: Trainer) -> None:
        """Called before the first step of each epoch; not again if a run resumes inside it."""

    def step_start(self, trainer: Trainer) -> None:
        """Called before each step, when its batches are loaded."""

    def after_loss(self, trainer: Trainer) -> None:
        """Called between forward and backward pass of each batch."""

    def after_backward(self, trainer: Trainer) -> None:
        """Called after the backward pass of each batch."""

    def step_end(self, trainer: Trainer) -> None:
        """Called after each step of the optimiser."""

    def log(self, trainer: Trainer) -> None:
        """Called when a window of steps is complete; may add to `trainer.window`."""

    def between_steps(self, trainer: Trainer) -> None:
        """Called when a step and its `log` are done."""

    def before_save(self, trainer: Trainer) -> None:
        """Called before a checkpoint is written: a run that is killed later resumes from here."""

    def evaluate(self, trainer: Trainer) -> None:
        """Called when an epoch, and its evaluation if any, is done; may add to `metrics`."""

    def epoch_end(self, trainer: Trainer) -> None:
        """Called when all metrics of an epoch are known."""

    def fit_end(self, trainer: Trainer) -> None:
        """Called once at the end, also after an error."""

    def state_dict(self) -> dict[str, Any]:
        """State of this callback for a checkpoint: tensors and plain values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from `state`; called before `fit_start`."""


class Trainer:
    """Fits a model to a task.

    Args:
        task: Loss and metrics.
        model: The model, on `device`.
        scheduler: Learning-rate schedule, stepped after every step of the optimiser.
        data: Batches, on `device`.
        callbacks: Called in this order at every event.
        epochs: Passes over the training data.
        precision: `fp32`, or `bf16` for matrix products and convolutions in bfloat16.
        clip_norm: Largest norm of the gradient of all parameters, or None for no limit.
        accumulate: Successive batches per step; those left at the end of an epoch are a step too.
        log_every: Steps per window of `log`.
        evaluate_every: Epochs from one evaluation to the next; the last epoch always has one.
        patience: Evaluations in a row without a better validation metric after which training
            ends; None to train for all epochs.
        group: The processes that train this model together.

    Attributes:
        epoch: Epochs completed.
        index: Steps completed in the current epoch.
        step: Steps completed in all epochs.
        best_epoch: The best epoch by the task's metric on the validation data.
        tested: Number of samples of the last evaluation; 0 if unknown.
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
        accumulate: int = 1,
        log_every: int = 20,
        evaluate_every: int = 1,
        patience: int | None = None,
        group: Group = SINGLE_PROCESS,
    ) -> None:
        self.task, self.model, self.data = task, model, data
        self.optimizer, self.scheduler = optimizer, scheduler
        self.callbacks = callbacks
        self.epochs, self.device, self.precision = epochs, device, precision
        self.clip_norm, self.log_every = clip_norm, log_every
        self.evaluate_every = evaluate_every
        self.accumulate = accumulate
        if hasattr(task, "steps_per_epoch"):
            task.steps_per_epoch = self.steps_per_epoch
        self.group = group
        self.batch_loss = group.wrap(BatchLoss(task, model))
        self.epoch = 0
        self.index = 0
        self.step = 0
        self.best_epoch = BestEpoch(task.metric, task.higher_is_better, patience)
        self.tested = 0
        self.window: dict[str, float] = {}
        self.metrics: dict[str, float] = {}
        self.windows: list[dict[str, float]] = []
        self.history: list[dict[str, float]] = []
        self._epoch_means, self._window_means = Means(), Means()
        self._random_before_evaluation: dict[str, Any] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Steps of the optimiser in an epoch."""
        return math.ceil(len(self.data.train) / self.accumulate)

    @property
    def reported(self) -> dict[str, float]:
        """The metrics that represent the run so far: those of the best epoch, or of the last."""
        return self.best_epoch.row(self.history)

    def fit(self) -> None:
        """Train until `epochs` are done, or patience runs out.

        Raises:
            TrainingDiverged: The loss is no longer finite.
        """
        self.emit("fit_start")
        try:
            while not self.is_last:
                self.train_epoch()
                self.best_epoch.improved = False
                if self.is_evaluated(self.epoch + 1):
                    self.evaluate_epoch()
                self.end_epoch()
        finally:
            self.emit("fit_end")

    def train_epoch(self) -> None:
        """Train for one pass over the data, or for what is left of it after a resume."""
        self.model.train()
        self.data.train.epoch = self.epoch
        if self.index == 0:
            self.emit("epoch_start")
        steps = self.steps_per_epoch
        batches = self.batches_left() if self.index < steps else iter(())
        while step := list(islice(batches, self.accumulate)):
            found = self.train_step([self.group.shard(batch) for batch in step])
            for batch, metrics in zip(step, found, strict=True):
                self._epoch_means.add(metrics, batch_weight(batch))
                self._window_means.add(metrics, batch_weight(batch))
            self.index += 1
            if self.index % self.log_every == 0 or self.index == steps:
                self.log_window(self._window_means)
                self._window_means = Means()
            self.emit("between_steps")
        means = self._epoch_means.read(self.group)
        self.metrics = {training_tag(name): value for name, value in means.items()}

    def batches_left(self) -> Iterator[Any]:
        """The batches of this epoch that were not trained on yet."""
        batches = iter(self.data.train)
        if self.index:
            random = random_state()
            for _ in range(self.index * self.accumulate):
                next(batches)
            set_random_state(random)
        return batches

    def train_step(self, batches: Sequence[Any]) -> list[dict[str, Tensor]]:
        """Compute losses and gradients, step the optimiser; return each batch's detached metrics.

        The loss is the mean over the samples of all batches, as if they were one.
        """
        self.emit("step_start")
        self.optimizer.zero_grad(set_to_none=True)
        sizes = [*map(batch_weight, batches)]
        found: list[dict[str, Tensor]] = []
        for batch, size in zip(batches, sizes, strict=True):
            fraction = size / sum(sizes)
            with self.autocast():
                loss, metrics = self.batch_loss(batch, self.step)
            self.emit("after_loss")
            (loss if fraction == 1.0 else fraction * loss).backward()
            found.append({"loss": loss.detach(), **metrics})
            self.emit("after_backward")
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        self.scheduler.step()
        self.step += 1
        self.emit("step_end")
        return found

    def log_window(self, means: Means) -> None:
        """Publish the means of the last steps.

        Raises:
            TrainingDiverged: The loss is no longer finite.
        """
        values = means.read(self.group)
        if not math.isfinite(values["loss"]):
            raise TrainingDiverged(
                f"the loss became {values['loss']} before step {self.step}; lower optimizer.lr "
                "or set trainer.clip_norm. Checkpoints from before are kept"
            )
        self.window = {training_tag(name): value for name, value in values.items()}
        self.window["lr"] = float(self.scheduler.get_last_lr()[0])
        self.emit("log")
        self.windows.append({"step": float(self.step), **self.window})

    @property
    def is_last(self) -> bool:
        """Whether no epoch follows the completed ones."""
        return self.epoch >= self.epochs or self.best_epoch.stopped

    def is_evaluated(self, epoch: int) -> bool:
        """Whether the model is evaluated after this number of epochs."""
        return epoch % self.evaluate_every == 0 or epoch == self.epochs

    def evaluate_epoch(self) -> None:
        """Evaluate on validation and test data, and compare with the best epoch so far."""
        # Checkpoints during the evaluation hold the state from before it.
        self._random_before_evaluation = random_state()
        validation = None
        if self.data.validation is not None:
            validation = self.evaluate(self.data.validation)
        test = self.evaluate(self.data.test)
        self._random_before_evaluation = None
        if getattr(self.data, "class_counts", None) is None:  # else a class may be missing in both
            check_metric(self.task, {**(validation or {}), **test})

        if validation is not None:
            self.metrics |= {f"{name}/validation": value for name, value in validation.items()}
            self.best_epoch.update(validation)
        self.metrics |= {f"{name}/test": value for name, value in test.items()}

    def end_epoch(self) -> None:
        """Count the epoch and publish its metrics."""
        self.metrics["lr"] = float(self.scheduler.get_last_lr()[0])
        self.epoch, self.index = self.epoch + 1, 0
        self._epoch_means = Means()
        self.emit("evaluate")
        self.history.append({"epoch": self.epoch, "step": self.step, **self.metrics})
        self.emit("epoch_end")

    def evaluate(self, batches: Batches) -> dict[str, float]:
        """The task's metrics over these batches, computed by process 0."""
        values: dict[str, float] = {}
        self.model.eval()
        if self.group.rank == 0:
            evaluated = InterruptibleBatches(self, batches)
            with torch.no_grad(), self.autocast():
                values = plain_metrics(self.task, self.task.evaluate(self.model, evaluated))
            self.tested = evaluated.samples
        return self.group.from_first(values)

    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs to resume as if there had been no interruption.

        To be called between two steps, by all processes of the group.
        """
        local = {
            "random": self._random_before_evaluation or random_state(),
            "means": [vars(self._epoch_means), vars(self._window_means)],
            "callbacks": {type(each).__name__: each.state_dict() for each in self.callbacks},
        }
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "ranks": self.group.gather(local),
            **{name: getattr(self, name) for name in COUNTERS},
            **self.best_epoch.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a state of the same configuration, with as many processes."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        for name in COUNTERS:
            setattr(self, name, state.get(name, getattr(self, name)))
        self.best_epoch.load_state_dict(state)
        self.window = dict(self.windows[-1]) if self.windows else {}
        local = state["ranks"][self.group.rank]
        self._epoch_means, self._window_means = map(Means.of_state, local["means"])
        for callback in self.callbacks:
            callback.load_state_dict(local["callbacks"].get(type(callback).__name__, {}))
        set_random_state(local["random"])

    def autocast(self) -> AbstractContextManager:
        """The context in which the model computes in the chosen precision."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def emit(self, event: str) -> None:
        """Call every callback's method of this name."""
        for callback in self.callbacks:
            getattr(callback, event)(self)


def training_tag(name: str) -> str:
    """The TensorBoard tag of a training metric; a name with `/` is a tag already."""
    return name if "/" in name else f"{name}/train"


class InterruptibleBatches:
    """Batches of an evaluation, between which a run of one process may be stopped."""

    def __init__(self, trainer: Trainer, batches: Batches) -> None:
        self._trainer, self._batches = trainer, batches
        self.samples = 0

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Any]:
        self.samples = 0
        for batch in self._batches:
            self.samples += samples_in(batch)
            yield batch
            if self._trainer.index and self._trainer.group.size == 1:
                self._trainer.emit("between_steps")
