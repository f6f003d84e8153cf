"""What follows the last epoch: whether anything was learned at all, and how sure the model is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..runs.files import FORECASTS, write_atomically
from ..training.checkpoints import Checkpoints
from ..training.loop import Trainer, TrainingDiverged

__all__ = ["calibrate", "check_that_it_learned"]

FACTOR = 10  # times as bad as a model that learned nothing
REMEDY = "lower optimizer.lr, set trainer.clip_norm, or leave both as the recipe has them"


def check_that_it_learned(trainer: Trainer) -> None:
    """Compare the last epoch with a model that learned nothing.

    Raises:
        TrainingDiverged: A metric is not finite, or ten times worse than that model's.
    """
    task: Any = trainer.task
    last = trainer.history[-1] if trainer.history else {}
    part = "test" if trainer.data.validation is None else "validation"
    for name in ("loss", task.metric):
        value = last.get(f"{name}/{part}", 0.0)
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"diverged: {name} on the {part} data is {value} after epoch {trainer.epoch}; "
                f"{REMEDY}"
            )
    if not hasattr(task, "baseline"):
        return
    baseline = task.baseline(trainer.data)
    value = last.get(f"{baseline.metric}/{part}", 0.0)
    if value > FACTOR * baseline.value > 0:
        raise TrainingDiverged(
            f"diverged: {baseline.metric} on the {part} data is {value:.4g} after epoch "
            f"{trainer.epoch}, and {baseline.value:.4g} when {baseline.predicts} is predicted; "
            f"{REMEDY}"
        )


def calibrate(trainer: Trainer, checkpoints: Checkpoints, folder: Path) -> None:
    """Calibrate the model that the run is reported by, and add what it then reaches.

    What it predicts of held-out test values is written to `forecasts.npz` in the run directory.

    The best checkpoint is written again with it. Without validation data there is none, and
    nothing to calibrate by, which the task says.
    """
    task: Any = trainer.task
    if not hasattr(task, "calibrate") or not trainer.history:
        return
    # The order of the training series as in the last epoch, also in a process that trained none.
    trainer.data.train.epoch = trainer.epoch - 1
    reported = trainer.reported
    has_best = trainer.best_epoch.value is not None
    if has_best:
        best = checkpoints.best(trainer.device)
        trainer.model.load_state_dict(best["model"])
    fitted = task.calibrate(trainer.model, trainer.data)
    reported.update({f"{name}/validation": value for name, value in fitted.items()})
    if has_best:
        checkpoints.replace_best({**best, "model": trainer.model.state_dict()})
    found = task.coverage_metrics(trainer.model, trainer.data)
    reported.update({f"{name}/test": value for name, value in found.items()})
    if forecasts := getattr(task, "forecasts", None):
        write_atomically(folder / FORECASTS, lambda file: np.savez_compressed(file, **forecasts))
