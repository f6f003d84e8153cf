"""Stopping between two steps when the user, or a scheduler that needs the machine, asks for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["EXIT_REQUEUE", "Interrupted", "StopRequest", "stop_on_signals"]

# The exit code by which submitit's executors know that a job is to be started again.
EXIT_REQUEUE = 144

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
DEFAULT = (signal.SIG_DFL, signal.default_int_handler)


class Interrupted(Exception):
    """Training was stopped between two steps, its state saved."""


class StopRequest:
    """The signal that asked for a stop, or None.

    Args:
        at_once: Nothing will ask for it between two steps; it stops what is being done.
    """

    def __init__(self, at_once: bool = False) -> None:
        self.at_once = at_once
        self.signum: int | None = None

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, as shells have it; else the code that asks for a new start."""
        return 130 if self.signum == signal.SIGINT else EXIT_REQUEUE

    def receive(self, signum: int, frame: FrameType | None) -> None:
        """Handle a signal; a second Ctrl-C does not wait for the end of the step."""
        again = signum == signal.SIGINT and self.signum == signal.SIGINT
        self.signum = signum
        if again or self.at_once:
            raise KeyboardInterrupt


@contextmanager
def stop_on_signals(at_once: bool = False) -> Iterator[StopRequest]:
    """Take SIGINT, SIGTERM, SIGUSR1 and SIGUSR2 as requests to stop.

    Args:
        at_once: As of `StopRequest`.

    A SIGTERM for which a launcher has a handler of its own is left to it: a scheduler that
    preempts sends SIGTERM beside the signal by which the launcher requeues.
    """
    request = StopRequest(at_once)
    before = {}
    if threading.current_thread() is threading.main_thread():
        for signum in SIGNALS:
            if signum != signal.SIGTERM or signal.getsignal(signum) in DEFAULT:
                before[signum] = signal.signal(signum, request.receive)
    try:
        yield request
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
