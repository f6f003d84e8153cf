"""Messages on the terminal: the lines of a run, and one line for an error."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import TextWrapper

from rich.console import Console
from rich.text import Text

from ..runs.result import Findings, RunResult, Tested

__all__ = [
    "GROUPS",
    "Outcome",
    "complain",
    "console",
    "log_to_console",
    "outcome_of_test",
    "report",
    "show",
]

GROUPS = (
    "experiment",
    "dataset",
    "model",
    "solver",
    "gradient",
    "regularizer",
    "recipe",
    "optimizer",
    "scheduler",
)

LONGEST = 1500  # characters of a message

console = Console()
log = logging.getLogger("node_experiments")


@dataclass
class Outcome:
    """Outcome of a job, for its caller.

    Attributes:
        exit_code: 0, 1 (diverged or failed), 2 (bad input), 130 (interrupted) or `EXIT_REQUEUE`.
        signal: The signal that asked for a stop.
        skipped: The run had ended before, and nothing was run.
    """

    result: RunResult
    exit_code: int = 0
    signal: int | None = None
    skipped: bool = False


def report(result: RunResult, folder: Path, job: str = "", skipped: bool = False) -> None:
    """Print how a job ended.

    Args:
        job: Its number and what varies, in a sweep.
        skipped: The run had ended before.
    """
    name = f"{job} {result.name}".strip()
    if result.status == "completed":
        seconds = result.seconds.total if result.seconds else None
        how = "completed" if seconds is None else f"completed in {seconds:.0f} s"
        if skipped:
            how = "was completed before"
        if result.found.stopped is not None:
            how += f" (stopped: {result.found.stopped})"
        found = result.found.predictions or outcome_of_test(result.found)
        line = f"{name} {how}{': ' if found else ''}{found}\n{folder}"
        if result.mode == "figure3":
            line += f"\nits verdicts and numbers: node-report --outputs {folder} figure3"
        show(line)
    elif result.status == "interrupted":
        resumable = result.mode == "train"
        then = f"resume it with resume={folder}" if resumable else "run the same command again"
        line = f"{name} {result.reason}; {then}"
        show(line)
    else:
        prefix = f"{job}: " if job else ""
        again = "was run before: " if skipped else ""
        complain(f"{prefix}{again}{result.reason} (log: {folder / 'node-run.log'})")


def outcome_of_test(found: Findings) -> str:
    """Phrase with the test metrics, the number of samples, and the epoch of the tested weights.

    >>> from node_experiments.runs.result import Best, Tested
    >>> outcome_of_test(
    ...     Findings(
    ...         metric="accuracy",
    ...         metrics={"epoch": 10, "accuracy/test": 0.98},
    ...         best=Best("accuracy/validation", {"epoch": 7, "accuracy/test": 0.9877}),
    ...         tested=Tested(10000, "images"),
    ...     )
    ... )
    'test accuracy 0.9877 on 10000 images at the best validation epoch (7 of 10)'
    """
    names = dict.fromkeys([f"{found.metric}/test", "loss/test"])
    numbers = [
        f"{tag.partition('/')[0]} {found.reported[tag]:.4f}"
        for tag in names
        if tag in found.reported
    ]
    if not numbers:
        return ""
    line = f"test {', '.join(numbers)}"
    if found.tested is not None:
        line += f" on {counted(found.tested)}"
    line += coverage_phrase(found)
    if (saved := found.of_checkpoint) is not None:
        of_epoch = "" if saved.epoch is None else f" of epoch {saved.epoch}"
        return f"{line} with the weights{of_epoch} in {saved.file}"
    return f"{line} {found.epoch_phrase()}".rstrip()


def counted(tested: Tested) -> str:
    """Number of samples with their unit.

    >>> counted(Tested(1)), counted(Tested(10000, "images"))
    ('1 sample', '10000 images')
    """
    unit = tested.unit.removesuffix("s") if tested.count == 1 else tested.unit
    return f"{tested.count} {unit}"


def coverage_phrase(found: Findings) -> str:
    """Phrase on the fraction of held-out values in a model's 90 % band; empty if it has no band.

    >>> coverage_phrase(Findings(metrics={"coverage/test": 0.91, "coverage_beyond/test": 0.88}))
    ', 90 % band covers 91 % (88 % beyond the observations)'
    """
    numbers = [found.reported.get(f"coverage{part}/test") for part in ("", "_beyond")]
    within, beyond = (None if number is None else f"{100 * number:.0f} %" for number in numbers)
    if within is None:
        return "" if beyond is None else f", 90 % band covers {beyond} beyond the observations"
    further = "" if beyond is None else f" ({beyond} beyond the observations)"
    return f", 90 % band covers {within}{further}"


def show(text: str) -> None:
    """Print text; on a terminal, its lines break between words, and paths stay whole."""
    if console.is_terminal:
        wrapper = TextWrapper(console.width, break_long_words=False, break_on_hyphens=False)
        text = "\n".join(map(wrapper.fill, text.split("\n")))
    # As Text, since in a string [...] is markup and :x: an emoji.
    console.print(Text(text), soft_wrap=True)


def complain(message: str) -> int:
    """Print one line to standard error; return the exit code of bad input."""
    line = " ".join(message.split())
    if len(line) > LONGEST:
        # Cut at spaces, so that words that someone may copy stay whole.
        start, end = line[: LONGEST // 2], line[-LONGEST // 2 :]
        line = f"{start.rpartition(' ')[0] or start} ... {end.partition(' ')[2] or end}"
    print(f"node-run: {line}", file=sys.stderr)
    return 2


def log_to_console() -> None:
    """Show the log of a run on the console that also draws the progress bar."""
    if not log.handlers:
        handler = ConsoleHandler()
        handler.setLevel(logging.INFO)
        log.addHandler(handler)
        log.setLevel(logging.DEBUG)
        log.propagate = False


class ConsoleHandler(logging.Handler):
    """Handler that prints log records as they are, or as one line of a terminal if they can be."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        text, in_one_line = record.getMessage(), getattr(record, "in_one_line", None)
        if in_one_line is not None and console.is_terminal:
            text = in_one_line(console.width)
        with suppress(OSError):  # a closed terminal must not end the run
            show(text)
