"""The events of the training loop. Everything optional hangs on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .loop import Trainer

__all__ = ["Callback"]


class Callback:
    """Base of all callbacks; each event does nothing until a subclass says otherwise.

    fit_start
      epoch_start
        step_start                before the forward pass
        after_loss                the graph exists, the backward pass does not yet
        step_end                  gradients were applied
        log                       every few steps; trainer.window holds their means
        between_steps             the state is whole: it may be saved, and training stopped;
                                  also between the batches of an evaluation
      evaluate                    trainer.metrics holds the epoch's metrics
      epoch_end
    fit_end                       always, also after an error or an interruption
    """

    def fit_start(self, trainer: Trainer) -> None:
        """Called once, before the first epoch."""

    def epoch_start(self, trainer: Trainer) -> None:
        """Called before the first step of each epoch; not again on a resume inside it."""

    def step_start(self, trainer: Trainer) -> None:
        """Called before each forward pass."""

    def after_loss(self, trainer: Trainer) -> None:
        """Called between forward and backward pass."""

    def step_end(self, trainer: Trainer) -> None:
        """Called after each step of the optimiser."""

    def log(self, trainer: Trainer) -> None:
        """Called when a window of steps is complete; may add to `trainer.window`."""

    def between_steps(self, trainer: Trainer) -> None:
        """Called when a step and its `log` are done."""

    def evaluate(self, trainer: Trainer) -> None:
        """Called after the evaluation of an epoch; may add to `trainer.metrics`."""

    def epoch_end(self, trainer: Trainer) -> None:
        """Called when all metrics of an epoch are known."""

    def fit_end(self, trainer: Trainer) -> None:
        """Called once at the end, however it came."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must keep of this callback: tensors and plain values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there; called before `fit_start`."""
