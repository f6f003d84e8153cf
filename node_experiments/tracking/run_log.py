"""The log of a run, and its warnings: each is shown once, counted, and kept."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from ..errors import UserError

__all__ = ["RepeatedWarnings", "log_file", "warnings_shown_once"]

# Numbers differ from one occurrence to the next, and are not what a warning is about.
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


class RepeatedWarnings:
    """Warnings, each with the number of its occurrences.

    Args:
        log: Called with each warning at its first occurrence.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._found: dict[str, tuple[str, int]] = {}

    def show(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Replacement for `warnings.showwarning` that omits the path and the source line."""
        text = " ".join(str(message).split())
        key = f"{category.__name__}: {NUMBER.sub('#', text)}"
        first, count = self._found.get(key, (text, 0))
        self._found[key] = first, count + 1
        if count == 0:
            self._log.warning("warning: %s", text)

    def counts(self) -> dict[str, int]:
        """Each warning in its first wording, with the number of its occurrences."""
        return dict(self._found.values())

    def conclude(self) -> None:
        """Log the number of occurrences of each warning that occurred more than once."""
        for text, count in self._found.values():
            if count > 1:
                self._log.info("warned %d times: %s", count, text)


@contextmanager
def warnings_shown_once(log: logging.Logger) -> Iterator[RepeatedWarnings]:
    """Log each warning of the code inside once, instead of printing it.

    Python's own rule, once per location, fails for texts that contain changing numbers.
    """
    found = RepeatedWarnings(log)
    with warnings.catch_warnings():
        warnings.showwarning = found.show
        # Every occurrence counts; filters that ignore or raise stay in force.
        warnings.simplefilter("always", append=True)
        yield found
    found.conclude()


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Also write everything that is logged to this file, with times and tracebacks.

    Raises:
        LogError: It cannot be written.
    """
    try:
        handler = LogFile(path)
    except OSError as error:
        raise LogError(
            f"{path} cannot be written: {error.strerror}; remove it, or start the run elsewhere "
            "with outputs= or hydra.run.dir="
        ) from error
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


class LogError(UserError):
    """The log of a run cannot be written."""


class LogFile(logging.FileHandler):
    """Log file whose failure, as on a full disk, neither ends a run nor hides why it ended."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Drop the record."""

    def close(self) -> None:
        """Write what is left, if it can be written."""
        with suppress(OSError):
            super().close()
