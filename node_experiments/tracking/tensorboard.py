"""TensorBoard: scalars, hyperparameters once, a layout of the charts that belong together."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from ..training.loop import Callback, Trainer

__all__ = ["TensorBoard"]


class TensorBoard(Callback):
    """Writes one event file.

    Training metrics are written every window of steps, evaluations at the end of each epoch; the
    horizontal axis of all is the number of training steps.

    Args:
        folder: The run folder.
        hyperparameters: Flat settings to compare runs by.
        metric: Name of the task's metric, e.g. `accuracy`.
        go_on_after: On a resume, the step after which what an earlier process wrote is void.
    """

    def __init__(
        self,
        folder: Path,
        hyperparameters: dict[str, Any],
        metric: str,
        go_on_after: int | None = None,
    ) -> None:
        # Also void: what a process wrote here that came to no checkpoint.
        purge = 0 if go_on_after is None else go_on_after + 1
        put_earlier_files_first(folder)
        self._writer = SummaryWriter(str(folder), purge_step=purge)
        self._hyperparameters = hyperparameters
        self._metric = metric

    def fit_start(self, trainer: Trainer) -> None:
        tags = [f"{self._metric}/test", "loss/test", "nfe/forward", "memory/saved_bytes"]
        # As scalar tags of the same event file, and not as the sub-run that add_hparams makes.
        events = self._writer._get_file_writer()
        for summary in hparams(self._hyperparameters, dict.fromkeys(tags)):
            events.add_summary(summary)
        self._writer.add_custom_scalars(chart_layout(self._metric))

    def log(self, trainer: Trainer) -> None:
        for tag, value in trainer.window.items():
            self._writer.add_scalar(tag, value, trainer.step)

    def epoch_end(self, trainer: Trainer) -> None:
        for tag, value in trainer.metrics.items():
            if tag not in trainer.window:
                self._writer.add_scalar(tag, value, trainer.step)
        self._writer.flush()

    def add_image(self, name: str, path: Path, step: int) -> None:
        """Show a PNG file among the images."""
        pixels = np.asarray(Image.open(path).convert("RGB"))
        self._writer.add_image(f"figures/{name}", pixels, step, dataformats="HWC")

    def fit_end(self, trainer: Trainer) -> None:
        self._writer.flush()

    def close(self) -> None:
        """Write what is left and close the event file."""
        self._writer.close()


def put_earlier_files_first(folder: Path) -> None:
    """Rename event files from what will have been the future, after a clock was set back.

    TensorBoard reads the files of a run in the order of the times in their names, and what a later
    one declares void is gone.
    """
    following = int(time.time())
    for path in sorted(folder.glob("events.out.tfevents.*"), reverse=True):
        *kind, seconds, rest = path.name.split(".", 4)
        following = min(int(seconds), following - 1)
        path.rename(path.with_name(".".join([*kind, f"{following:010d}", rest])))


def chart_layout(metric: str) -> dict[str, dict[str, list[Any]]]:
    """The charts of the custom scalars page: what belongs together is drawn together."""

    def chart(*tags: str) -> list[Any]:
        return ["Multiline", [f"^{tag}$" for tag in tags]]

    return {
        "learning": {
            "loss": chart("loss/train", "loss/validation", "loss/test"),
            metric: chart(f"{metric}/train", f"{metric}/validation", f"{metric}/test"),
        },
        "solver": {
            "function evaluations per solve": chart("nfe/forward", "nfe/backward"),
            "steps per solve": chart("solver/accepted", "solver/rejected"),
        },
        "cost": {
            "memory, bytes": chart("memory/saved_bytes", "memory/peak_bytes"),
            "seconds per step": chart("time/step_seconds", "time/data_seconds"),
        },
    }
