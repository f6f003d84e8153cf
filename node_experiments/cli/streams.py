"""Standard output and error that are always open and can print any name or unit."""

from __future__ import annotations

import io
import os
import sys

__all__ = ["BROKEN_PIPE", "discard_output", "make_printable", "select_agg_backend"]

BROKEN_PIPE = 128 + 13  # the shell's exit code for a process ended by SIGPIPE


def make_printable() -> None:
    """Print characters missing from a terminal's encoding as escapes; replace closed streams."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:  # closed by `>&-`: the next file would take its number
            nowhere = os.open(os.devnull, os.O_WRONLY)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, open(number, "w", closefd=False))  # noqa: SIM115
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def select_agg_backend() -> None:
    """Select matplotlib's Agg backend: one that a notebook named may be missing here."""
    os.environ["MPLBACKEND"] = "agg"


def discard_output() -> int:
    """Discard the remaining output of a closed pipe and return the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE
