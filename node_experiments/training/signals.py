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
    """The signal that asked for a stop, or None."""

    def __init__(self) -> None:
        self.signum: int | None = None

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, as shells have it; else the code that asks for a new start."""
        return 130 if self.signum == signal.SIGINT else EXIT_REQUEUE

    def receive(self, signum: int, frame: FrameType | None) -> None:
        """Handle a signal; a second Ctrl-C does not wait for the end of the step."""
        if signum == signal.SIGINT and self.signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = signum


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Take SIGINT, SIGTERM, SIGUSR1 and SIGUSR2 as requests to stop.

    A SIGTERM for which a launcher has a handler of its own is left to it: a scheduler that
    preempts sends SIGTERM beside the signal by which the launcher requeues.
    """
    request = StopRequest()
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
