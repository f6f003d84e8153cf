"""Stopping between two steps at the request of the user or of a job scheduler."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, ClassVar

__all__ = [
    "EXIT_REQUEUE",
    "Interrupted",
    "LeaveAtOnce",
    "StopRequest",
    "ignore_signals",
    "is_stop_request",
    "stop_on_signals",
]

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


class LeaveAtOnce(StopRequest):
    """Ends the process where nothing needs to be saved: before a run, and between two runs.

    An exception would not do: one inside the import of code in C++ aborts the process, and Hydra
    catches those that are raised in some of its parts.

    Attributes:
        line: Message for the user.
        discard: Removes the folder of a run that has not started.
        jobs_elsewhere: Jobs run in other processes, which an exception ends with this one.
        decided: The exit code is decided, and no signal changes it.
    """

    discard: ClassVar[Callable[[], object] | None] = None
    jobs_elsewhere: ClassVar[bool] = False
    decided: ClassVar[bool] = False

    def __init__(self, line: str) -> None:
        super().__init__(at_once=True)
        self.line = line
        LeaveAtOnce.discard, LeaveAtOnce.jobs_elsewhere, LeaveAtOnce.decided = None, False, False

    def receive(self, signum: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        if self.decided:
            return
        if self.jobs_elsewhere:
            super().receive(signum, frame)
        self.signum = signum
        if signum == signal.SIGHUP:
            leave_terminal()
        for clean in (LeaveAtOnce.discard, sys.stdout.flush, sys.stderr.flush):
            with suppress(Exception):  # a stream may be in the middle of a write
                if clean is not None:
                    clean()
        with suppress(OSError):
            os.write(2, f"{self.line}\n".encode())
        os._exit(self.exit_code)


def ignore_signals() -> None:
    """Ignore the signals that ask for a stop, for a process that is about to end."""
    if threading.current_thread() is threading.main_thread():
        for signum in SIGNALS:
            signal.signal(signum, signal.SIG_IGN)


@contextmanager
def stop_on_signals(
    at_once: bool = False, request: StopRequest | None = None
) -> Iterator[StopRequest]:
    """Take SIGINT, SIGTERM, SIGUSR1, SIGUSR2 and SIGHUP as requests to stop.

    Args:
        at_once: See `StopRequest`.
        request: What receives the signals; a `StopRequest` when None.

    A SIGTERM for which a launcher has a handler is left to it: a scheduler that preempts sends
    SIGTERM along with the signal on which the launcher requeues. A SIGHUP that is ignored because
    of `nohup` stays ignored.
    """
    request = StopRequest(at_once) if request is None else request
    before: dict[int, Any] = {}
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
        for number, handler in before.items():
            if signal.getsignal(number) != signal.SIG_IGN:  # by `ignore_signals`, until the end
                signal.signal(number, handler)


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
