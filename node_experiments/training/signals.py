"""Stopping between two steps at the request of the user or of a job scheduler."""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["EXIT_REQUEUE", "Interrupted", "StopRequest", "is_stop_request", "stop_on_signals"]

# The exit code that tells submitit's executors to start a job again.
EXIT_REQUEUE = 144

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
DEFAULT = (signal.SIG_DFL, signal.default_int_handler)


class Interrupted(Exception):
    """Training was stopped between two steps, and its state was saved."""


class StopRequest:
    """A request to stop, if a signal has made one.

    Args:
        at_once: Stop immediately, for when nothing checks for the request between steps.
    """

    def __init__(self, at_once: bool = False) -> None:
        self.at_once = at_once
        self.signum: int | None = None

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, as in shells; else the code by which a job is started again."""
        return 130 if self.signum == signal.SIGINT else EXIT_REQUEUE

    def receive(self, signum: int, frame: FrameType | None) -> None:
        """Handle a signal; a second Ctrl-C does not wait for the end of the step."""
        again = signum == signal.SIGINT and self.signum == signal.SIGINT
        self.signum = signum
        if signum == signal.SIGHUP:
            leave_terminal()
        if again or self.at_once:
            raise KeyboardInterrupt


@contextmanager
def stop_on_signals(at_once: bool = False) -> Iterator[StopRequest]:
    """Take SIGINT, SIGTERM, SIGUSR1, SIGUSR2 and SIGHUP as requests to stop.

    Args:
        at_once: See `StopRequest`.

    A SIGTERM for which a launcher has a handler is left to it: a scheduler that preempts sends
    SIGTERM along with the signal on which the launcher requeues. A SIGHUP that is ignored because
    of `nohup` stays ignored.
    """
    request = StopRequest(at_once)
    before = {}
    if threading.current_thread() is threading.main_thread():
        for signum in SIGNALS:
            handler = signal.getsignal(signum)
            if (
                signum == signal.SIGTERM
                and handler not in DEFAULT
                and not is_stop_request(handler)
            ):
                continue
            if signum == signal.SIGHUP and handler == signal.SIG_IGN:
                continue
            before[signum] = signal.signal(signum, request.receive)
    try:
        yield request
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def is_stop_request(handler: object) -> bool:
    """Whether a signal's handler is that of a `StopRequest` and not of a launcher."""
    return isinstance(getattr(handler, "__self__", None), StopRequest)


def leave_terminal() -> None:
    """Discard further output, since writing to a terminal that was closed is an error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        if stat.S_ISCHR(os.fstat(descriptor).st_mode):
            os.dup2(nowhere, descriptor)
    os.close(nowhere)
