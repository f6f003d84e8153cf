"""One job: a run folder in; training, evaluation or Figure 3; a result out."""

from __future__ import annotations

import errno
import logging
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from ..config import (
    ConfigError,
    RunConfig,
    config_hash,
    to_yaml,
)
from ..errors import UserError
from ..ode import SolveError
from ..runs.files import (
    write_atomically,
    write_json,
)
from ..tracking.records import run_info
from ..tracking.repeated_warnings import warnings_shown_once
from ..training.device import (
    describe_device,
    prepare_process,
    select_device,
)
from ..training.distributed import torchrun_group
from ..training.loop import TrainingDiverged
from ..training.signals import (
    Interrupted,
    StopRequest,
    stop_on_signals,
)
from . import build
from .evaluate import evaluate
from .figure3 import (
    check_figure3,
    figure3,
)
from .spawn import fit_in_processes
from .train import fit

__all__ = ["check", "log_file", "outcome", "run"]

log = logging.getLogger(__name__)

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check(config: RunConfig) -> None:
    """Refuse what can be seen to be wrong before a run folder is begun.

    Raises:
        ConfigError: Settings of the solver, the gradient, the optimiser or the schedule, or a
            model that has no Figure 3.
        DeviceError: This machine has no such device.
    """
    build.check_choices(config)
    check_machine(config)
    device = select_device(config.trainer.device)
    if config.mode == "figure3":
        check_figure3(config, device)


def check_machine(config: RunConfig) -> None:
    """Check what would end in many processes or threads that cannot work.

    Raises:
        ConfigError: More threads than any machine like this one has use for, or processes among
            which a batch cannot be divided.
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
) -> dict[str, Any]:
    """Run one job and write everything that it leaves behind into its folder.

    Args:
        folder: The run folder, which exists. Training goes on from a checkpoint in it.
        choices: What was chosen of each configuration group.
        live: Show a progress bar.

    Returns:
        What `result.json` holds, and `exit_code`: 0, 1 (failed), 2 (bad input), 130
        (interrupted) or `EXIT_REQUEUE`, with the `signal` that asked for a stop.
    """
    plain = asdict(config)
    started = time.perf_counter()
    result: dict[str, Any] = {
        "status": "failed",
        "reason": None,
        "name": config.name,
        "mode": config.mode,
        "choices": choices,
        "seed": config.seed,
        "protocol": config.protocol,
        "config_hash": config_hash(plain),
        "metrics": {},
        "best": None,
        "objective": None,
    }
    bar = console if live and config.trainer.progress and console.is_terminal else None
    group = torchrun_group()
    if group.rank > 0:
        with stop_on_signals() as stop, outcome(result, stop):
            device = prepare(config)
            fit(config, folder, device, result, None, group, stop)
        return result
    with log_file(folder / "node-run.log"):
        # Training alone asks between two steps whether to stop, and can be resumed.
        stopping = stop_on_signals(at_once=config.mode != "train")
        with warnings_shown_once(log) as warned, stopping as stop, outcome(result, stop):
            (folder / "result.json").unlink(missing_ok=True)
            text = to_yaml(plain).encode()
            write_atomically(folder / "config.yaml", lambda file: file.write(text))
            device = prepare(config)
            info = run_info(config.seed, describe_device(device))
            own = {"config_hash": result["config_hash"], "choices": choices}
            write_json(folder / "run_info.json", info | own)
            result["hardware"] = {key: info[key] for key in ("cpu", "device", "threads")}
            if config.mode == "eval":
                evaluate(config, folder, device, result)
            elif config.mode == "figure3":
                figure3(config, folder, device, result)
            elif config.trainer.devices > group.size:
                fit_in_processes(config, folder, result, stop)
            else:
                fit(config, folder, device, result, bar, group, stop)
        result["warnings"] = [*warned.counts(), *result.get("warnings", [])]
        earlier = result.pop("earlier_seconds", 0.0)
        result["seconds"] = {
            "total": earlier + time.perf_counter() - started,
            "per_step": result["metrics"].get("time/step_seconds"),
        }
        kept = {key: value for key, value in result.items() if key not in ("exit_code", "signal")}
        try:
            write_json(folder / "result.json", kept)
        except OSError as error:
            log.debug("result.json: %s", error)
            result["exit_code"] = result["exit_code"] or 1
    return result


@contextmanager
def outcome(result: dict[str, Any], stop: StopRequest) -> Iterator[None]:
    """Note in `result` how the code inside ended: `status`, `reason` and `exit_code`."""
    code = 1
    try:
        yield
        code = 0 if result["status"] == "completed" else result.get("exit_code", 1)
    except UserError as error:
        result["reason"], code = str(error), error.exit_code
        log.debug(traceback.format_exc())
    except Interrupted:
        result["status"], result["signal"], code = "interrupted", stop.signum, stop.exit_code
    except KeyboardInterrupt:
        result["status"], result["reason"] = "interrupted", "interrupted at once"
        result["signal"] = stop.signum
        code = 130 if stop.signum is None else stop.exit_code
    except (SolveError, TrainingDiverged) as error:
        result["reason"] = str(error)
        log.debug(traceback.format_exc())
    except OSError as error:
        remedy = "make room" if error.errno in FULL else "make it writable"
        where = error.filename or "in the run folder"
        then = f"{remedy}, then run the same command"
        if result.get("mode") == "train":
            then = f"what was saved before is whole: {then} with resume=auto"
        result["reason"] = f"{error.strerror or error} ({where}); {then}"
        log.debug(traceback.format_exc())
    except Exception as error:
        result["reason"] = f"{type(error).__name__}: {error}"
        log.debug(traceback.format_exc())
    result["exit_code"] = code


def prepare(config: RunConfig) -> torch.device:
    """Seed this process and set it up; returns the device."""
    prepare_process(config.seed, config.trainer.threads, config.trainer.deterministic)
    return select_device(config.trainer.device)


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Everything that is logged also goes, with times and tracebacks, into this file."""
    handler = LogFile(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.setLevel(logging.DEBUG)
    logger = logging.getLogger("node_experiments")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


class LogFile(logging.FileHandler):
    """A log whose own failure, as on a full disk, neither ends a run nor hides why it ended."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Leave the record out."""

    def close(self) -> None:
        """Write what is left, if it can be written."""
        with suppress(OSError):
            super().close()
