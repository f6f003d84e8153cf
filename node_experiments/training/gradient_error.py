"""Error of the gradient of the chosen solver and gradient method."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from .loop import Callback, Trainer
from .random_state import random_state, set_random_state

__all__ = ["GradientError"]


class GradientError(Callback):
    """Compares the gradient of all parameters with a reference, on one batch per epoch.

    Writes:

    - `gradient/error`: norm of the difference to the reference, relative to its norm

    Args:
        exactly: Context in which a model solves its ODEs accurately enough for a reference.
    """

    def __init__(self, exactly: Callable[[nn.Module], AbstractContextManager]) -> None:
        self._exactly = exactly

    def evaluate(self, trainer: Trainer) -> None:
        before, training = random_state(), trainer.model.training
        batch = next(iter(trainer.data.train))
        trainer.model.eval()  # no penalties, no dropout, no running statistics
        found = gradient(trainer, batch, before, trainer.autocast())
        with self._exactly(trainer.model):
            reference = gradient(trainer, batch, before, nullcontext())
        trainer.model.train(training)
        set_random_state(before)
        trainer.metrics["gradient/error"] = float((found - reference).norm() / reference.norm())


def gradient(
    trainer: Trainer, batch: Any, random: dict[str, Any], precision: AbstractContextManager
) -> Tensor:
    """The gradient of one batch's loss as a vector, with noise drawn from the given state on."""
    set_random_state(random)
    parameters = [p for p in trainer.model.parameters() if p.requires_grad]
    # cuDNN's recurrent networks have no backward pass in evaluation mode.
    with precision, torch.backends.cudnn.flags(enabled=False):
        loss, _ = trainer.task.loss(trainer.model, batch, trainer.step)
    parts = torch.autograd.grad(loss, parameters, materialize_grads=True)
    return torch.cat([part.flatten().double() for part in parts])
