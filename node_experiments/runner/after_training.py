"""Steps after the last epoch: check that the model learned something, then calibrate it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..files import write_atomically
from ..runs.directory import FORECASTS
from ..training.checkpoints import Checkpoints
from ..training.loop import Trainer, TrainingDiverged

__all__ = ["calibrate", "check_that_it_learned"]

FACTOR = 10  # by which the error may exceed that of a model that learned nothing
REMEDY = "lower optimizer.lr, set trainer.clip_norm, or leave both as the recipe has them"


def check_that_it_learned(trainer: Trainer) -> None:
    """Check that the last epoch is not much worse than a model that learned nothing.

    Raises:
        TrainingDiverged: A metric is not finite, or more than ten times that model's.
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
    """Calibrate the reported model and add the metrics that it then has to the reported ones.

    Its predictions of held-out test values are written to `forecasts.npz` in the run folder.

    The best checkpoint is rewritten with the calibrated model. Without validation data there is
    no best checkpoint and nothing to calibrate on, of which the task warns.
    """
    task: Any = trainer.task
    if not hasattr(task, "calibrate") or not trainer.history:
        return
    # Order the training series as in the last epoch, also in a process that trained no epoch.
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
