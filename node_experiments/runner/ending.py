"""Endings of jobs: a status, a reason in one line, an exit code, and what was found so far."""

from __future__ import annotations

import errno
import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from ..errors import UserError, first_line
from ..ode import SolveError
from ..runs.result import Findings
from ..training.loop import TrainingDiverged
from ..training.signals import Interrupted, StopRequest

__all__ = ["Ending", "Unfinished", "attempt", "ending_of"]

log = logging.getLogger(__name__)

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Torch has an error type for a lack of device memory; for main memory its message has this name.
ALLOCATOR = "DefaultCPUAllocator"


@dataclass
class Ending:
    """The ending of a job.

    Attributes:
        status: completed, diverged, interrupted or failed.
        reason: Why it did not complete, in one line.
        exit_code: 0, 1 (diverged or failed), 2 (bad input), 130 (interrupted) or `EXIT_REQUEUE`.
        signal: The signal that asked for a stop.
        warnings: Warnings, each with the number of its occurrences.
        error: The error of the user that ended it.
    """

    status: str = "completed"
    reason: str | None = None
    exit_code: int = 0
    signal: int | None = None
    found: Findings = field(default_factory=Findings)
    warnings: dict[str, int] = field(default_factory=dict)
    error: UserError | None = None


class Unfinished(Exception):
    """Error that carries the findings of a job that did not finish; its cause ended the job.

    Args:
        ending: The job's ending, if it is known already.
    """

    def __init__(self, found: Findings, ending: Ending | None = None) -> None:
        super().__init__()
        self.found, self.ending = found, ending


def attempt(work: Callable[[], Findings], stop: StopRequest, mode: str) -> Ending:
    """Do the work of a job and turn whatever it raises into an ending.

    Args:
        work: Returns its findings, or raises an error; `Unfinished` if it has partial findings.
        mode: Mode of the configuration; only training can be resumed.
    """
    try:
        return Ending(found=work())
    except Unfinished as unfinished:
        error = unfinished.__cause__ or unfinished
        ending = unfinished.ending or ending_of(error, stop, mode)
        ending.found = unfinished.found
        return ending
    except (Exception, KeyboardInterrupt) as error:
        return ending_of(error, stop, mode)


def ending_of(error: BaseException, stop: StopRequest, mode: str) -> Ending:
    """The ending that corresponds to an error."""
    if isinstance(error, Interrupted):
        return Ending("interrupted", str(error), stop.exit_code, stop.signum)
    if isinstance(error, KeyboardInterrupt):
        code = 130 if stop.signum is None else stop.exit_code
        return Ending("interrupted", "interrupted at once", code, stop.signum)
    log.debug("".join(traceback.format_exception(error)))
    if isinstance(error, UserError):
        return Ending("failed", str(error), error.exit_code, error=error)
    if isinstance(error, TrainingDiverged):
        return Ending("diverged", str(error), 1)
    if isinstance(error, SolveError):
        return Ending("failed", str(error), 1)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or ALLOCATOR in str(error):
        return Ending(
            "failed",
            "out of memory; lower dataset.batch_size (trainer.accumulate joins small "
            "batches), the size of the model, or of a prediction predict.samples and the number "
            f"of predict.times ({first_line(error)[:200]})",
            1,
        )
    if isinstance(error, OSError):
        remedy = "make room" if error.errno in FULL else "make it writable"
        where = error.filename or "in the run folder"
        then = f"{remedy}, then run the same command"
        if mode == "train":
            then = f"what was saved before is intact: {then} with resume=auto"
        return Ending("failed", f"{error.strerror or error} ({where}); {then}", 1)
    return Ending("failed", f"{type(error).__name__}: {error}", 1)
