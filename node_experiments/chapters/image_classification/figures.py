"""Figure of misclassified images."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ...figures.style import new_figure, style
from ...training.loop import Trainer
from .task import predict

__all__ = ["classification_figures", "errors_figure"]

ROWS, COLUMNS = 3, 10


def classification_figures(trainer: Trainer) -> dict[str, Figure]:
    """Figures of an image classifier, drawn from its test images."""
    batches = trainer.data.test
    trainer.model.eval()
    with torch.no_grad(), trainer.autocast():
        logits, labels = predict(trainer.model, batches)
    figure = errors_figure(
        batches.data.images[: len(labels)].cpu().numpy(),
        labels.cpu().numpy(),
        logits.softmax(1).cpu().numpy(),
    )
    return {"errors": figure}


def errors_figure(
    images: NDArray[np.uint8], labels: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> Figure:
    """The misclassified test images whose true class has the lowest probability.

    Args:
        images: Shape `(image, channel, height, width)`.
        labels: True classes, shape `(image,)`.
        probabilities: Shape `(image, class)`.
    """
    predicted = probabilities.argmax(1)
    true_probability = probabilities[np.arange(len(labels)), labels]
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(true_probability[wrong])][: ROWS * COLUMNS]
    with style():
        figure = new_figure(height=ROWS * 1.1 + 0.5)
        axes = figure.subplots(ROWS, COLUMNS).ravel()
        for axis in axes:
            axis.axis("off")
        for axis, i in zip(axes, worst, strict=False):
            picture = images[i].transpose(1, 2, 0)
            axis.imshow(picture.squeeze(), cmap="gray_r" if picture.shape[-1] == 1 else None)
            axis.set_title(f"{labels[i]} as {predicted[i]}", fontsize=8.5)
        count = f"{len(wrong)} of {len(labels)}"
        figure.suptitle(f"{count} test images are misclassified; the most confident first")
    return figure
