"""One job in its run folder: training, evaluation, prediction or Figure 3, and its result."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from ..chapters import modes
from ..chapters.chapter import resolve
from ..config import ConfigError, RunConfig, config_hash, nearest
from ..errors import UserError
from ..files import write_atomically, write_json
from ..runs.result import Findings, Hardware, RunResult, Seconds, write_result
from ..runs.starts import is_only_started, remove_run_files
from ..tracking.loggers import LOGGERS, missing_library
from ..tracking.records import run_info
from ..tracking.run_log import log_file, warnings_shown_once
from ..training.checkpoints import load_last
from ..training.device import describe_device, select_device
from ..training.distributed import torchrun_group
from ..training.signals import stop_on_signals
from . import build
from .compose import to_yaml
from .data_files import fingerprints
from .ending import Ending, attempt
from .messages import Outcome
from .train import check_ranks, fit, prepare

__all__ = ["check", "run"]

log = logging.getLogger(__name__)


def check(config: RunConfig) -> None:
    """Reject what is wrong as far as it can be recognised before a run folder is created.

    Raises:
        ConfigError: Settings of the solver, the gradient, the optimiser or the schedule are
            wrong, or the model has no Figure 3.
        DeviceError: This machine has no such device.
    """
    build.check_choices(config)
    check_loggers(config.trainer.loggers)
    check_machine(config)
    begins = config.mode == "train" and config.resume in (None, "auto")
    if begins and config.trainer.init_from is not None:
        from .warm_start import check_start

        check_start(config.trainer.init_from)
    device = select_device(config.trainer.device)
    if config.mode == "predict":
        from .predict import check_predict

        check_predict(config)
    elif config.mode in modes():
        resolve(modes()[config.mode].check)(config, device)


def check_loggers(names: Sequence[str]) -> None:
    """Check that each logger is known and listed once, and that its library is installed.

    Raises:
        ConfigError: One is not; if its library is missing, the message says how to install it.
    """
    for name in names:
        if name not in LOGGERS or list(names).count(name) > 1:
            raise ConfigError(
                f"trainer.loggers={list(names)}: {name!r} is "
                + ("listed twice" if name in LOGGERS else f"unknown{nearest(name, LOGGERS)}")
            )
        if (extra := missing_library(name)) is not None:
            raise ConfigError(
                f"trainer.loggers: {name} needs an extra of the package: "
                f'pip install "node-experiments[{extra}]"'
            )


def check_machine(config: RunConfig) -> None:
    """Check the numbers of threads and processes before any of them is started.

    Raises:
        ConfigError: There are more threads than this machine could use, or a batch cannot be
            divided evenly among the processes.
    """
    threads, devices = config.trainer.threads, config.trainer.devices
    most = max(256, 4 * (os.cpu_count() or 1))
    if threads is not None and threads > most:
        raise ConfigError(f"trainer.threads={threads} is out of range: at most {most} here")
    batch = getattr(config.dataset, "batch_size", None)
    if config.mode == "train" and batch is not None and batch % devices:
        raise ConfigError(
            f"trainer.devices={devices} cannot share a batch of {batch} evenly; set "
            "dataset.batch_size to a multiple of trainer.devices, and dataset.drop_last=true"
        )


def run(
    config: RunConfig, folder: Path, choices: dict[str, Any], console: Console, live: bool
) -> Outcome:
    """Run one job and write everything that it leaves behind into its folder.

    Args:
        folder: The run folder, which exists. Training is resumed from a checkpoint in it.
        choices: The choice in each configuration group.
        live: Show a progress bar.

    Raises:
        UserError: The input of a run that had not started is wrong; nothing of the run is left in
            the folder.
    """
    fresh = is_only_started(folder)
    plain = asdict(config)
    own_hash = config_hash(plain)
    started = time.perf_counter()
    hardware: Hardware | None = None
    bar = console if live and config.trainer.progress and console.is_terminal else None
    group = torchrun_group()

    def first_process() -> Findings:
        nonlocal hardware
        (folder / "result.json").unlink(missing_ok=True)
        text = to_yaml(plain).encode()
        write_atomically(folder / "config.yaml", lambda file: file.write(text))
        device = prepare(config)
        info = run_info(config.seed, describe_device(device))
        info |= {"config_hash": own_hash, "choices": choices, "data": fingerprints(config)}
        write_json(folder / "run_info.json", info)
        hardware = Hardware(info["cpu"], info["device"], info["threads"])
        # Modules that training in one process does not need are imported only where they are used.
        if config.mode == "predict":
            from .predict import predict

            return predict(config, folder, device)
        if config.mode != "train":
            from .evaluate import evaluate, run_mode

            return (evaluate if config.mode == "eval" else run_mode)(config, folder, device)
        if config.trainer.devices > group.size:
            from .spawn import fit_in_processes

            if checkpoint := load_last(folder):
                check_ranks(checkpoint, config.trainer.devices, folder)
            return fit_in_processes(config, folder, choices, stop)
        return fit(config, folder, device, choices, bar, group, stop)

    def other_process() -> Findings:
        return fit(config, folder, prepare(config), choices, None, group, stop)

    def result_of(ending: Ending) -> RunResult:
        found = ending.found
        return RunResult(
            ending.status,
            ending.reason,
            config.name,
            config.mode,
            choices,
            config.seed,
            config.protocol,
            own_hash,
            found,
            hardware,
            Seconds(
                found.earlier_seconds + time.perf_counter() - started,
                found.metrics.get("time/step_seconds"),
            ),
            ending.warnings,
        )

    if group.rank > 0:
        with stop_on_signals() as stop:
            ending = attempt(other_process, stop, config.mode)
        return Outcome(result_of(ending), ending.exit_code, ending.signal)
    with log_file(folder / "node-run.log"):
        # Only training checks between two steps whether to stop, and can be resumed.
        stopping = stop_on_signals(at_once=config.mode != "train")
        with warnings_shown_once(log) as warned, stopping as stop:
            ending = attempt(first_process, stop, config.mode)
        for message, count in warned.counts().items():
            ending.warnings[message] = ending.warnings.get(message, 0) + count
        result = result_of(ending)
        bad_input = fresh and ending.exit_code == UserError.exit_code
        if bad_input and not any((folder / "checkpoints").glob("*.pt")):
            remove_run_files(folder)
            raise ending.error or UserError(str(ending.reason))
        try:
            write_result(folder, result)
        except OSError as error:
            log.debug("result.json: %s", error)
            ending.exit_code = ending.exit_code or 1
    return Outcome(result, ending.exit_code, ending.signal or stop.signum)
