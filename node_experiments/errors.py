"""Errors that the user can correct; imports no other module of the package."""

from __future__ import annotations

from types import TracebackType

__all__ = ["DataError", "EmptyTableError", "Faults", "SweepError", "UserError", "first_line"]

MOST = 3  # faults listed in one message


class UserError(Exception):
    """Input that cannot be used: a setting, a data file, a device or a checkpoint.

    The message is one line for the user: what was wrong, what was found, what is allowed, and
    what to do. Wherever it is raised, even in a worker process of a data parallel run, `node-run`
    prints that line and exits with `exit_code`.
    """

    exit_code = 2


class DataError(UserError):
    """Data that are missing, damaged or unsuitable; the message says what to do."""


class EmptyTableError(DataError):
    """A table file without a row."""


class SweepError(UserError):
    """Input that all jobs of a sweep share, so that none of them can be run."""


def first_line(error: BaseException) -> str:
    r"""The first line of an error's message that is not empty, or the name of the error's type.

    >>> first_line(OSError("\n no such file\nsecond line"))
    'no such file'
    """
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)


class Faults:
    """Collector of faults in independent parts of an input, to report them all at once.

    >>> faults = Faults()
    >>> for name in ("time", "rate"):
    ...     with faults:
    ...         raise DataError(f"{name!r} is empty")
    >>> faults.raise_them()
    Traceback (most recent call last):
    node_experiments.errors.DataError: 'time' is empty; also, 'rate' is empty
    """

    def __init__(self) -> None:
        self._found: list[str] = []

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if isinstance(error, DataError):
            self._found.append(str(error))
            return True
        return False

    def raise_them(self) -> None:
        """Raise one error for all faults, of which it lists the first few.

        Raises:
            DataError: There was at least one fault.
        """
        found = list(dict.fromkeys(self._found))
        if found:
            more = len(found) - MOST
            end = f"; also, {more} more" if more > 0 else ""
            raise DataError("; also, ".join(found[:MOST]) + end)
