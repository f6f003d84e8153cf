"""What a person reads on the terminal: lines of a run, and one line for what went wrong."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

__all__ = ["GROUPS", "complain", "console", "log_to_console", "report"]

GROUPS = (
    "experiment",
    "dataset",
    "model",
    "solver",
    "gradient",
    "regularizer",
    "optimizer",
    "scheduler",
)

LONGEST = 1500  # characters of a message

console = Console()
log = logging.getLogger("node_experiments")


def report(result: dict[str, Any], folder: Path, job: str = "") -> None:
    """Say how a job ended.

    Args:
        job: Its number and what varies, in a sweep.
    """
    name = f"{job} {result['name']}".strip()
    if result["status"] == "completed":
        seconds = (result.get("seconds") or {}).get("total")
        how = "completed" if seconds is None else f"completed in {seconds:.0f} s"
        if result.get("skipped"):
            how = "was completed before"
        found = outcome_of_test(result)
        line = f"{name} {how}{': ' if found else ''}{found}\n{folder}"
        if result.get("mode") == "figure3":
            line += f"\nits verdicts and numbers: node-report --outputs {folder} figure3"
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    elif result["status"] == "interrupted":
        resumable = result.get("mode") == "train"
        then = f"resume it with resume={folder}" if resumable else "run the same command again"
        line = f"{name} {result['reason']}; {then}"
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    else:
        prefix = f"{job}: " if job else ""
        complain(f"{prefix}{result['reason']} (log: {folder / 'node-run.log'})")


def outcome_of_test(result: dict[str, Any]) -> str:
    """What was tested, on how many samples, and of which epoch the tested weights are.

    >>> outcome_of_test(
    ...     {
    ...         "metric": "accuracy",
    ...         "metrics": {"epoch": 10, "accuracy/test": 0.98},
    ...         "best": {"epoch": 7, "accuracy/test": 0.9877},
    ...         "tested": {"count": 10000, "unit": "images"},
    ...     }
    ... )
    'test accuracy 0.9877 on 10000 images at the best validation epoch (7 of 10)'
    """
    last = result.get("metrics") or {}
    best = result.get("best")
    at = best if isinstance(best, dict) else last
    names = dict.fromkeys([f"{result.get('metric')}/test", "loss/test"])
    numbers = [
        f"{tag.partition('/')[0]} {at[tag]:.4f}"
        for tag in names
        if isinstance(at.get(tag), int | float)
    ]
    if not numbers:
        return ""
    line = f"test {', '.join(numbers)}"
    if tested := result.get("tested"):
        line += f" on {tested['count']} {tested['unit']}"
    if checkpoint := result.get("of_checkpoint"):
        of_epoch = "" if checkpoint["epoch"] is None else f" of epoch {checkpoint['epoch']}"
        return f"{line} with the weights{of_epoch} in {checkpoint['file']}"
    if "epoch" not in at or "epoch" not in last:
        return line
    which = "best validation" if best else "last"
    return f"{line} at the {which} epoch ({at['epoch']} of {last['epoch']})"


def complain(message: str) -> int:
    """Print one line to standard error; returns the exit code of bad input."""
    line = " ".join(message.split())
    if len(line) > LONGEST:
        line = f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"
    print(f"node-run: {line}", file=sys.stderr)
    return 2


def log_to_console() -> None:
    """Show the lines of a run, through the console that also draws the progress bar."""
    if not log.handlers:
        handler = ConsoleHandler()
        handler.setLevel(logging.INFO)
        log.addHandler(handler)
        log.setLevel(logging.DEBUG)
        log.propagate = False


class ConsoleHandler(logging.Handler):
    """Prints log records as they are."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        with suppress(OSError):  # a terminal that was closed ends no run
            console.print(record.getMessage(), markup=False, highlight=False, soft_wrap=True)
