"""Logger to Weights & Biases, through its own library; `WANDB_MODE=offline` uploads nothing.

Its environment variables set project and owner: `WANDB_PROJECT`, `WANDB_ENTITY` and so on.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import wandb
from PIL import Image

from .loggers import TrackedRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["WandbRun"]

PROJECT = "node_experiments"


class WandbRun:
    """Logs to one run of W&B, which a resumed training continues; see `Logger`.

    W&B keeps the first values that it is given for a step; a resumed training computes the same.
    """

    def __init__(self, run: TrackedRun) -> None:
        # The same ID for the same run folder; W&B allows no slash in it.
        place = "-".join(run.folder.resolve().parts[-3:])
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=re.sub(r"[^A-Za-z0-9_.=-]+", "-", place)[-120:],
            name=run.folder.name,
            group=run.name,
            dir=run.folder,
            config=dict(run.hyperparameters),
            notes="\n".join(f"{name}: {text}" for name, text in run.texts.items()),
            resume="allow",
        )
        self._first = 0 if run.valid_until is None else run.valid_until + 1

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        if step >= self._first:
            self._run.log(dict(values), step=step)

    def figure(self, name: str, figure: Figure, step: int) -> None:
        if step >= self._first:
            # Given a Figure itself, W&B would use pyplot, which nothing here imports.
            png = io.BytesIO()
            figure.savefig(png, format="png")
            self._run.log({name: wandb.Image(Image.open(png))}, step=step)

    def flush(self) -> None:
        """Do nothing: W&B's own process writes the data."""

    def close(self, status: str) -> None:
        self._run.finish(exit_code=0 if status == "completed" else 1)
