"""Checkpoints: everything that a run needs to go on, or a model to be evaluated."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from ..files import write_atomically
from .callbacks import Callback
from .loop import Trainer

__all__ = ["CheckpointError", "Checkpoints", "load_checkpoint"]


class CheckpointError(Exception):
    """A checkpoint that is missing, damaged or of something else."""


class Checkpoints(Callback):
    """Writes `last.pt` after every epoch and `best.pt` whenever the validation metric improved.

    Args:
        folder: Where they are written.
        config: The resolved configuration of the run, as plain dicts and lists.
    """

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self._folder, self._config = folder, config

    def fit_start(self, trainer: Trainer) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)

    def epoch_end(self, trainer: Trainer) -> None:
        self.save(trainer, "last.pt")
        if trainer.improved:
            self.save(trainer, "best.pt")

    def save(self, trainer: Trainer, name: str) -> None:
        """Write the state of training under this name."""
        checkpoint = {
            "config": self._config,
            "model": trainer.model.state_dict(),
            "optimizer": trainer.optimizer.state_dict(),
            "scheduler": trainer.scheduler.state_dict(),
            "epoch": trainer.epoch,
            "step": trainer.step,
            "best": trainer.best,
            "metrics": trainer.metrics,
            "torch_random_state": torch.get_rng_state(),
        }
        write_atomically(self._folder / name, lambda file: torch.save(checkpoint, file))


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint from a file, or the best (else the last) one of a run folder.

    Only tensors and plain values are read: a checkpoint cannot run code.

    Raises:
        CheckpointError: It is missing, damaged, or no checkpoint of this program.
    """
    file = path
    if path.is_dir():
        candidates = [path / "checkpoints" / name for name in ("best.pt", "last.pt")]
        file = next((c for c in candidates if c.exists()), candidates[-1])
    if not file.is_file():
        raise CheckpointError(
            f"checkpoint={path} is missing: there is no file {file}; "
            "give a run folder or a .pt file"
        )
    try:
        checkpoint = torch.load(file, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        first_line = (str(error).splitlines() or [repr(error)])[0]
        raise CheckpointError(
            f"checkpoint {file} is damaged or no checkpoint ({first_line[:120]}); "
            "take another one of the run's checkpoints folder"
        ) from error
    if not isinstance(checkpoint, dict) or not {"config", "model"} <= checkpoint.keys():
        raise CheckpointError(
            f"{file} holds no model of this program: a checkpoint has the keys config and model"
        )
    return checkpoint
