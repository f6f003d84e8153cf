"""What became of a job; imports no torch, for a job that is done already needs none."""

from __future__ import annotations

from dataclasses import dataclass

from ..runs.result import RunResult

__all__ = ["Outcome"]


@dataclass
class Outcome:
    """What a job hands to its caller.

    Attributes:
        exit_code: 0, 1 (diverged or failed), 2 (bad input), 130 (interrupted) or `EXIT_REQUEUE`.
        signal: The signal that asked for a stop.
        skipped: It was completed before, and nothing was run.
    """

    result: RunResult
    exit_code: int = 0
    signal: int | None = None
    skipped: bool = False
