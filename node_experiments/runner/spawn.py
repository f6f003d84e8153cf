"""Data parallel training in processes that the job starts itself, on one machine."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch.multiprocessing as multiprocessing
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

from ..config import RunConfig
from ..tracking.repeated_warnings import warnings_shown_once
from ..training.signals import StopRequest

__all__ = ["fit_in_processes"]

log = logging.getLogger(__name__)


def fit_in_processes(
    config: RunConfig, folder: Path, result: dict[str, Any], stop: StopRequest
) -> None:
    """Train with `trainer.devices` processes; fills `result` with what process 0 found.

    A stop that is asked of this process is passed on to them.

    Raises:
        Interrupted: They were stopped, their state saved.
    """
    # Which process ended which is of no interest; why the first failed is told by itself.
    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)
    size = config.trainer.devices
    results = multiprocessing.get_context("spawn").SimpleQueue()
    with tempfile.TemporaryDirectory() as scratch:
        arguments = (size, Path(scratch) / "rendezvous", config, folder, dict(result), results)
        context = multiprocessing.start_processes(
            fit_process, arguments, size, join=False, start_method="spawn"
        )
        outcomes: list[dict[str, Any]] = []
        passed_on = False
        try:
            while not context.join(timeout=0.2):
                drain(results, outcomes)
                if stop.signum is not None and not passed_on:
                    passed_on = True
                    for pid in context.pids():
                        os.kill(pid, signal.SIGUSR1)
        except (ProcessExitedException, ProcessRaisedException) as error:
            log.debug("%s", error)
        drain(results, outcomes)
    # The first that failed knows why; the others only lost it.
    failed = [found for found in outcomes if found["status"] == "failed"]
    found = failed[:1] or [each for each in outcomes if each.pop("rank") == 0]
    if not found:
        result["reason"] = "a training process was killed, by the system or for want of memory"
        return
    result |= found[0]
    if result["status"] == "interrupted":
        result["signal"] = stop.signum
        result["exit_code"] = stop.exit_code


def drain(queue: Any, into: list[dict[str, Any]]) -> None:
    """Move what has arrived."""
    while not queue.empty():
        into.append(queue.get())


def fit_process(
    rank: int,
    size: int,
    rendezvous: Path,
    config: RunConfig,
    folder: Path,
    result: dict[str, Any],
    results: Any,
) -> None:
    """One of the processes."""
    from ..training.distributed import (
        join_group,
        leave_group,
    )
    from ..training.signals import stop_on_signals
    from .messages import log_to_console
    from .run import (
        log_file,
        outcome,
        prepare,
    )
    from .train import fit

    with ExitStack() as stack:
        if rank == 0:
            log_to_console()
            stack.enter_context(log_file(folder / "node-run.log"))
        warned = stack.enter_context(warnings_shown_once(log))
        stop = stack.enter_context(stop_on_signals())
        with outcome(result, stop):
            device = prepare(config)
            group = join_group(f"file://{rendezvous}", rank, size)
            fit(config, folder, device, result, None, group, stop)
            leave_group(group)
        results.put({**result, "rank": rank, "warnings": warned.counts()})
    if result["status"] == "failed":
        raise SystemExit(1)
