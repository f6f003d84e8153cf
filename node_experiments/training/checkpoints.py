"""Checkpoints: everything that is needed to resume a run or to evaluate its model."""

from __future__ import annotations

import io
import logging
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from ..errors import UserError
from ..files import write_atomically
from .loop import Callback, Trainer
from .signals import Interrupted, StopRequest

__all__ = ["CheckpointError", "Checkpoints", "checkpoint_file", "load_checkpoint", "load_last"]

log = logging.getLogger(__name__)

LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"

# Contents of a checkpoint of any version, with their types. Current ones hold everything that
# `Checkpoints.save` and `Trainer.state_dict` name, such as learned data and more counters.
CONTENT: dict[str, type] = {
    "config": dict,
    "model": dict,
    "optimizer": dict,
    "scheduler": dict,
    "ranks": list,
    "history": list,
    "windows": list,
    "metrics": dict,
    "epoch": int,
    "index": int,
    "step": int,
}


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged, or not one of this program."""


class Checkpoints(Callback):
    """Writes `last.pt` after every epoch, every few minutes, and when a stop is requested.

    The one before it is kept as `previous.pt`; `best.pt` is that of the best validation metric.
    Must be the last callback, so that the others have finished the epoch when it is saved.

    Args:
        folder: Folder of the checkpoints; process 0 writes them.
        metadata: What is saved with the state, as plain dicts and lists: `config`, the resolved
            configuration of the run, and `files`, the fingerprints of the data.
        minutes: Time between two checkpoints inside an epoch.
        stop: Checked between steps.
    """

    def __init__(
        self, folder: Path, metadata: dict[str, Any], minutes: float, stop: StopRequest
    ) -> None:
        self._folder, self._metadata = folder, metadata
        self._seconds, self._stop = 60 * minutes, stop
        self._saved = time.monotonic()

    def fit_start(self, trainer: Trainer) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._saved = time.monotonic()

    def between_steps(self, trainer: Trainer) -> None:
        due = time.monotonic() - self._saved >= self._seconds
        due, stop = trainer.group.any(due, self._stop.signum is not None)
        if due or stop:
            self.save(trainer)
        if stop:
            raise Interrupted(f"interrupted in epoch {trainer.epoch + 1} of {trainer.epochs}")

    def epoch_end(self, trainer: Trainer) -> None:
        self.save(trainer, best=trainer.best_epoch.improved)

    def best(self, device: torch.device) -> dict[str, Any]:
        """The checkpoint of the best epoch."""
        return load_checkpoint(self._folder / BEST, device)

    def replace_best(self, checkpoint: dict[str, Any]) -> None:
        """Overwrite the checkpoint of the best epoch."""
        write_atomically(self._folder / BEST, lambda file: torch.save(checkpoint, file))

    def save(self, trainer: Trainer, best: bool = False) -> None:
        """Write the state of training; if `best`, to `best.pt` first."""
        trainer.emit("before_save")
        learned = getattr(trainer.data, "learned", None)
        checkpoint = {**self._metadata, "data": learned, **trainer.state_dict()}
        self._saved = time.monotonic()
        if trainer.group.rank != 0:
            return
        # In memory first: a full disk then raises in one place only, an OSError.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        if best:
            write_atomically(self._folder / BEST, lambda file: file.write(content.getbuffer()))
        last = self._folder / LAST
        write_atomically(
            last, lambda file: file.write(content.getbuffer()), keep=self._folder / PREVIOUS
        )


def load_last(folder: Path) -> dict[str, Any] | None:
    """The last intact checkpoint of a run folder, or None if none was ever written.

    Raises:
        CheckpointError: There are checkpoints, and all are damaged.
    """
    there = [path for name in (LAST, PREVIOUS) if (path := folder / "checkpoints" / name).exists()]
    failure: CheckpointError | None = None
    for path in there:
        if path.is_dir():  # nothing can be written in its place either
            raise CheckpointError(f"{path} is a directory where a checkpoint belongs; remove it")
        try:
            checkpoint = load_checkpoint(path)
            if "ranks" not in checkpoint:
                raise CheckpointError(f"{path} holds no state of training to resume from")
            check_content(checkpoint, CONTENT, path)
        except CheckpointError as error:
            failure = failure or error
            continue
        if failure:
            log.warning("%s; resuming from %s instead", failure, path.name)
        return checkpoint
    if failure:
        raise failure
    return None


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint from a file, or the best (else the last) one of a run folder.

    Only tensors and plain values are read: a checkpoint cannot run code.

    Raises:
        CheckpointError: It is missing, damaged, or not a checkpoint of this program.
    """
    file = checkpoint_file(path)
    if not file.is_file():
        raise CheckpointError(
            f"checkpoint={path} is missing: there is no file {file}; "
            "give a run folder or a .pt file"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # e.g. of the pickle protocol: of no use to users
            checkpoint = torch.load(file, map_location=device, weights_only=True)
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # a damaged archive can fail in any way
        raise CheckpointError(
            f"checkpoint {file} is damaged, or holds more than tensors and plain values, or is "
            "not a checkpoint; take another one of the run's checkpoints folder"
        ) from error
    if not isinstance(checkpoint, dict) or not {"config", "model"} <= checkpoint.keys():
        raise CheckpointError(
            f"{file} holds no model of this program: a checkpoint has the keys config and model"
        )
    check_content(checkpoint, ("config", "model"), file)
    return checkpoint


def checkpoint_file(path: Path) -> Path:
    """The file to read a checkpoint from, given a run folder or a file."""
    if not path.is_dir():
        return path
    candidates = [path / "checkpoints" / name for name in (BEST, LAST, PREVIOUS)]
    return next((c for c in candidates if c.exists()), candidates[1])


def check_content(checkpoint: dict[str, Any], keys: Iterable[str], file: Path) -> None:
    """Check that a checkpoint holds what `Checkpoints` writes under these keys.

    Raises:
        CheckpointError: One of the keys is missing, or its value is of another type.
    """
    for key in keys:
        expected = CONTENT[key]
        found = checkpoint.get(key)
        if not isinstance(found, expected) or (expected is int and isinstance(found, bool)):
            raise CheckpointError(
                f"checkpoint {file} is damaged: {key} is {type(found).__name__} and not "
                f"{expected.__name__}; take another one of the run's checkpoints directory"
            )
