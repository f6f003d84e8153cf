"""The process that a run works in: its seed and threads, its device, and its log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from ..config import RunConfig
from ..training.device import (
    prepare_process,
    select_device,
)

__all__ = ["log_file", "prepare"]


def prepare(config: RunConfig) -> torch.device:
    """Seed this process and set it up; returns the device."""
    prepare_process(config.seed, config.trainer.threads, config.trainer.deterministic)
    return select_device(config.trainer.device)


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Everything that is logged also goes, with times and tracebacks, into this file."""
    handler = LogFile(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.setLevel(logging.DEBUG)
    logger = logging.getLogger("node_experiments")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


class LogFile(logging.FileHandler):
    """A log whose own failure, as on a full disk, neither ends a run nor hides why it ended."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Leave the record out."""

    def close(self) -> None:
        """Write what is left, if it can be written."""
        with suppress(OSError):
            super().close()
