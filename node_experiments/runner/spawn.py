"""Data parallel training in processes that the job starts itself, on one machine."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import torch.multiprocessing as multiprocessing
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

from ..config import RunConfig
from ..runs.result import Findings
from ..tracking.run_log import log_file, warnings_shown_once
from ..training.distributed import join_group, leave_group
from ..training.signals import StopRequest, stop_on_signals
from .ending import Ending, Unfinished, attempt
from .messages import log_to_console
from .train import fit, prepare

__all__ = ["fit_in_processes"]

log = logging.getLogger(__name__)


def fit_in_processes(
    config: RunConfig, folder: Path, choices: dict[str, Any], stop: StopRequest
) -> Findings:
    """Train in `trainer.devices` processes; return the findings of process 0.

    A request to stop this process is passed on to them.

    Raises:
        Unfinished: They were stopped after saving their state, or one of them failed.
    """
    # Which process terminated which is irrelevant; the first that failed reports why.
    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)
    size = config.trainer.devices
    start_method = "spawn"
    if "forkserver" in multiprocessing.get_all_start_methods():
        # One process imports modules for all of them; optimisers import the compiler's front end.
        start_method = "forkserver"
        multiprocessing.set_forkserver_preload([__name__, "torch._dynamo"])
    results = multiprocessing.get_context(start_method).SimpleQueue()
    with tempfile.TemporaryDirectory() as scratch:
        arguments = (size, Path(scratch) / "rendezvous", config, folder, choices, results)
        context = multiprocessing.start_processes(
            fit_process, arguments, size, join=False, start_method=start_method
        )
        endings: list[tuple[int, Ending]] = []
        passed_on = False
        try:
            while not context.join(timeout=0.2):
                drain(results, endings)
                if stop.signum is not None and not passed_on:
                    passed_on = True
                    for pid in context.pids():
                        with suppress(ProcessLookupError):  # it has ended already
                            os.kill(pid, signal.SIGUSR1)
        except (ProcessExitedException, ProcessRaisedException) as error:
            log.debug("%s", error)
        drain(results, endings)
    # The first that failed knows why; the others only lost contact with it.
    failed = [ending for _, ending in endings if ending.status in ("failed", "diverged")]
    told = failed[:1] or [ending for rank, ending in endings if rank == 0]
    if not told:
        reason = "a training process was killed, by the system or for lack of memory"
        told = [Ending("failed", reason, 1)]
    (ending,) = told
    if ending.status == "interrupted":
        ending.signal, ending.exit_code = stop.signum, stop.exit_code
    if ending.status != "completed":
        raise Unfinished(ending.found, ending)
    return ending.found


def drain(queue: Any, into: list[tuple[int, Ending]]) -> None:
    """Move all endings that have arrived from the queue to the list."""
    while not queue.empty():
        into.append(queue.get())


def fit_process(
    rank: int,
    size: int,
    rendezvous: Path,
    config: RunConfig,
    folder: Path,
    choices: dict[str, Any],
    results: Any,
) -> None:
    """Train in one of the processes and send its ending through `results`."""
    with ExitStack() as stack:
        if rank == 0:
            log_to_console()
            stack.enter_context(log_file(folder / "node-run.log"))
        warned = stack.enter_context(warnings_shown_once(log))
        stop = stack.enter_context(stop_on_signals())

        def work() -> Findings:
            device = prepare(config)
            group = join_group(f"file://{rendezvous}", rank, size)
            found = fit(config, folder, device, choices, None, group, stop)
            leave_group(group)
            return found

        ending = attempt(work, stop, config.mode)
        ending.warnings = warned.counts()
        results.put((rank, ending))
    if ending.status == "failed":
        raise SystemExit(1)
