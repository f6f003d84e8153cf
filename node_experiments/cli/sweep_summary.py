"""Summary printed at the end of a sweep, and whether any of its jobs failed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

__all__ = ["SweepSummary"]


class SweepSummary(Callback):
    """Hydra callback that prints the summary of a sweep.

    Attributes:
        exit_code: Exit code of the last sweep in this process: 1 if a job failed.
    """

    exit_code: ClassVar[int] = 0

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Delete the list of jobs of an earlier sweep in this folder."""
        from ..runs.jobs import FILE as JOBS

        with suppress(OSError):  # the launcher reports a folder that cannot be written
            (Path(str(config.hydra.sweep.dir)) / JOBS).unlink(missing_ok=True)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table and the failures."""
        from .sweep_table import print_summary  # its tables need pandas, which a run does not

        SweepSummary.exit_code = print_summary(Path(str(config.hydra.sweep.dir)))
