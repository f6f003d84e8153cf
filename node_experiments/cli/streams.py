"""Standard output and error: there, and able to print whatever a name or a unit holds."""

from __future__ import annotations

import io
import os
import sys

__all__ = ["BROKEN_PIPE", "draw_into_files", "end_of_reader", "make_printable"]

BROKEN_PIPE = 128 + 13  # as the shell says of a process that the signal of that name ended


def make_printable() -> None:
    """Print as escapes what the encoding of a terminal lacks, and nowhere what was closed."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:  # as `>&-` leaves it: a file would take its number
            nowhere = os.open(os.devnull, os.O_WRONLY)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, open(number, "w", closefd=False))  # noqa: SIM115
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def draw_into_files() -> None:
    """Take no window system: one that a notebook named, and that is not there, ends no import."""
    os.environ["MPLBACKEND"] = "agg"


def end_of_reader() -> int:
    """The exit code where who reads the output has seen enough; what is left goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE
