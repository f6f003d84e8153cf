"""Arrays that a run stores, from which reports draw figures over many runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import write_atomically
from ..training.loop import Callback, Trainer

__all__ = ["Arrays"]


class Arrays(Callback):
    """Writes a compressed `.npz` file when training is done.

    Args:
        path: The file.
        collect: Returns arrays by name from the trainer.
    """

    def __init__(self, path: Path, collect: Callable[[Trainer], dict[str, NDArray]]) -> None:
        self._path, self._collect = path, collect

    def epoch_end(self, trainer: Trainer) -> None:
        if trainer.is_last:
            arrays: dict[str, Any] = self._collect(trainer)
            write_atomically(self._path, lambda file: np.savez_compressed(file, **arrays))
