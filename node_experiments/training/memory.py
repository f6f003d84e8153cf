"""Memory: what autograd keeps for the backward pass, and the peak of the process or device."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .device import give_back_memory
from .loop import Callback, Trainer

__all__ = ["MemoryMeter", "SavedBytes", "peak_bytes"]


STATUS = Path("/proc/self/status")  # of this process, on Linux


class SavedBytes:
    """Context that counts the bytes autograd saves for the backward pass.

    Storages are counted once, and those of parameters and buffers not at all: they exist anyway.
    The count is the same on every device.

    Args:
        model: Its parameters and buffers are not counted.
    """

    def __init__(self, model: nn.Module) -> None:
        own = [*model.parameters(), *model.buffers()]
        self._seen = {tensor.untyped_storage().data_ptr() for tensor in own}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda x: x)
        # Kept alive until the end, so that no address is used twice.
        self._kept: list[Tensor] = []
        self.total = 0

    def __enter__(self) -> SavedBytes:
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._hooks.__exit__(*error)
        self._kept.clear()

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._seen:
            self._seen.add(storage.data_ptr())
            self._kept.append(tensor.detach())
            self.total += storage.nbytes()
        return tensor.detach()  # an output would hold its own graph, which nothing frees


class MemoryMeter(Callback):
    """Measures memory; the saved bytes on the first step of each epoch only.

    Writes:

    - `memory/saved_bytes`: bytes that autograd keeps between forward and backward pass
    - `memory/peak_bytes`: peak of the memory allocated on a CUDA device, or of the resident set
      of the process
    """

    def __init__(self) -> None:
        self._saved: SavedBytes | None = None
        self._first_step = True
        self._bytes = 0

    def fit_start(self, trainer: Trainer) -> None:
        forget_peak(trainer.device)

    def epoch_start(self, trainer: Trainer) -> None:
        self._first_step = True

    def step_start(self, trainer: Trainer) -> None:
        if self._first_step:
            self._first_step = False
            self._saved = SavedBytes(trainer.model)
            self._saved.__enter__()

    def after_loss(self, trainer: Trainer) -> None:
        if self._saved is not None:
            self._saved.__exit__(None, None, None)
            self._bytes = self._saved.total
            self._saved = None

    def state_dict(self) -> dict[str, Any]:
        return {"first_step": self._first_step, "bytes": self._bytes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._first_step, self._bytes = state["first_step"], state["bytes"]

    def evaluate(self, trainer: Trainer) -> None:
        trainer.metrics["memory/saved_bytes"] = self._bytes
        trainer.metrics["memory/peak_bytes"] = peak_bytes(trainer.device)

    def fit_end(self, trainer: Trainer) -> None:
        self.after_loss(trainer)


def peak_bytes(device: torch.device) -> int:
    """Peak of the allocated device memory, or of the resident set where that is not known."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if STATUS.exists():
        line = next(x for x in STATUS.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_peak(device: torch.device) -> None:
    """Reset the peak, where that is possible: a sweep runs many jobs in one process."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif STATUS.exists():
        give_back_memory()
        with suppress(OSError):
            STATUS.with_name("clear_refs").write_text("5")
