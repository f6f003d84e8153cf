"""Figures of a run: PNG files in its folder, and images in TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..data.images import EvaluationBatches
from ..figures.classification import errors_figure
from ..figures.training import training_figure
from ..tasks.classification import Classification, predict
from ..training.callbacks import Callback
from .tensorboard import TensorBoard

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..training.loop import Trainer

__all__ = ["Figures"]


class Figures(Callback):
    """Draws the course of training after every epoch, and what the task shows at the end.

    Args:
        folder: Where PNG files are written.
        title: Name of the run.
    """

    def __init__(self, folder: Path, tensorboard: TensorBoard, title: str) -> None:
        self._folder, self._tensorboard, self._title = folder, tensorboard, title

    def fit_start(self, trainer: Trainer) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)

    def epoch_end(self, trainer: Trainer) -> None:
        metric = trainer.task.metric
        figure = training_figure(trainer.windows, trainer.history, metric, self._title)
        self._show("training", figure, trainer)
        if trainer.epoch == trainer.epochs and isinstance(trainer.task, Classification):
            self._show("errors", self._errors(trainer), trainer)

    def _errors(self, trainer: Trainer) -> Figure:
        batches = trainer.data.test
        assert isinstance(batches, EvaluationBatches)
        trainer.model.eval()
        with torch.no_grad(), trainer.autocast():
            logits, labels = predict(trainer.model, batches)
        return errors_figure(
            batches.data.images.cpu().numpy(),
            labels.cpu().numpy(),
            logits.softmax(1).cpu().numpy(),
            self._title,
        )

    def _show(self, name: str, figure: Figure, trainer: Trainer) -> None:
        figure.savefig(self._folder / f"{name}.png")
        self._tensorboard.add_figure(name, figure, trainer.step)
