"""Classification of single inputs: cross-entropy and accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...training.task import Baseline

__all__ = ["Classification", "classification", "predict"]


class Classification:
    """Cross-entropy in nats; accuracy as a fraction from 0 to 1.

    Attributes:
        wrong: Whether each sample of the last evaluation, in order, was misclassified.
    """

    metric = "accuracy"
    higher_is_better = True
    unit = "images"

    def __init__(self) -> None:
        self.wrong = torch.zeros(0, dtype=torch.bool)

    def loss(
        self, model: nn.Module, batch: tuple[Tensor, Tensor], step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy and accuracy of a batch of inputs and labels `(batch,)`."""
        inputs, labels = batch
        logits = model(inputs).float()
        accuracy = (logits.detach().argmax(1) == labels).float().mean()
        return F.cross_entropy(logits, labels), {"accuracy": accuracy}

    def evaluate(
        self, model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]
    ) -> dict[str, float]:
        """Mean cross-entropy and accuracy over all samples."""
        logits, labels = predict(model, batches)
        self.wrong = logits.argmax(1) != labels
        return {
            "loss": float(F.cross_entropy(logits, labels)),
            "accuracy": float((~self.wrong).double().mean()),
        }

    def baseline(self, data: Any) -> Baseline:
        """The cross-entropy of a uniform guess."""
        return Baseline("loss", math.log(data.classes), "every class alike")

    def details(self) -> dict[str, Any]:
        """Indices of the images that the last evaluation misclassified, for `wrong.json`."""
        wrong = self.wrong.nonzero().flatten().tolist()
        return {"wrong": {"images": len(self.wrong), "wrong": wrong}}


def classification(settings: Any, data: Any) -> Classification:
    """The task of all image classifiers, which has no settings."""
    return Classification()


def predict(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Logits `(sample, class)` and labels `(sample,)` of all batches."""
    logits, labels = zip(*((model(x).float(), y) for x, y in batches), strict=True)
    return torch.cat(logits), torch.cat(labels)
