"""One composed job: type its configuration, find its folder, run it unless it is done already."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from hydra.conf import HydraConf

from ..config import ConfigError, RunConfig, config_hash
from ..data import cache_folder
from ..errors import SweepError, UserError
from ..runs.directory import ENDED, claimed, read_choices, remove_leftovers, started_before, status
from ..runs.jobs import note_job
from ..runs.result import RunResult, read_result
from ..runs.starts import discard, mark_start, one_at_a_time, remove_failed_starts
from ..training.signals import EXIT_REQUEUE, LeaveAtOnce, is_stop_request
from .data_files import (
    absolute_paths,
    check_files,
    check_same_data,
    fingerprints,
    recorded_fingerprints,
    same_data,
)
from .messages import GROUPS, Outcome, complain, console, log_to_console, report

__all__ = ["ExitCode", "job", "torchrun_rank"]


log = logging.getLogger(__name__)

MEETING = ("RANK", "MASTER_ADDR", "MASTER_PORT")  # for torchrun's processes to meet


class ExitCode:
    """Exit code of this process, kept here because Hydra passes no value through.

    Attributes:
        last: Exit code of the last job that did not complete.
        started: Whether any job has started.
    """

    last: ClassVar[int] = 0
    started: ClassVar[bool] = False


def job(typed: Callable[[], RunConfig], settings: HydraConf) -> float | None:
    """Run one job; return the value of the task's metric, for sweepers that optimise it.

    A job that does not complete is reported, and returns None.

    Args:
        typed: Returns its configuration, or raises the error that says what is wrong with it.
        settings: Hydra's settings.

    Raises:
        KeyboardInterrupt: A job of a sweep was interrupted, or has an error that all jobs have,
            which ends the sweep; its argument is the exit code.
    """
    ExitCode.started = True
    # Torch's default cache of compiled code is a temporary folder, chosen when it is imported.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "compiled"))
    folder = Path(settings.runtime.output_dir)
    single = is_single(settings)
    label = "" if single else f"job {settings.job.num} {settings.job.override_dirname}".rstrip()
    mark_start(folder)
    log_to_console()
    try:
        outcome, place = run_or_skip(typed, settings, folder)
    except UserError as error:
        discard(folder)
        note(settings, folder, str(error))
        ExitCode.last = complain(f"{label}: {error}" if label else str(error))
        if isinstance(error, SweepError) and is_basic(settings.launcher):
            raise KeyboardInterrupt(ExitCode.last) from error
        return None
    if torchrun_rank() == 0:
        report(outcome.result, place, label, outcome.skipped)
        note(settings, place, None)
    pass_on_signal(outcome, settings)
    if outcome.exit_code == 0:
        return outcome.result.found.objective
    ExitCode.last = outcome.exit_code
    return None


def is_single(settings: HydraConf) -> bool:
    """Whether the job is the only one of its command line."""
    return settings.mode is None or settings.mode.name == "RUN"


def is_basic(launcher: Any) -> bool:
    """Whether a launcher runs its jobs one after the other, in this process."""
    return bool(launcher._target_.endswith("BasicLauncher"))


def note(settings: HydraConf, folder: Path, reason: str | None) -> None:
    """Record a job of a sweep in the folder of the sweep, with the reason if it did not start."""
    if not is_single(settings):
        varied = settings.job.override_dirname
        note_job(Path(settings.sweep.dir), settings.job.num, varied, folder, reason)


def run_or_skip(
    typed: Callable[[], RunConfig], settings: HydraConf, folder: Path
) -> tuple[Outcome, Path]:
    """Run the job, unless the same run has ended before; return its outcome and its run folder.

    Raises:
        UserError: The input is wrong.
    """
    overrides = [str(each) for each in settings.overrides.task]
    config = configuration(typed(), overrides)
    found = {group: settings.runtime.choices.get(group) for group in GROUPS}
    choices = {group: None if choice == "None" else choice for group, choice in found.items()}
    if config.mode != "train":
        from .checkpoint_overrides import choices_of_checkpoint

        choices = choices_of_checkpoint(config, choices, overrides)
    elif torchrun_rank() == 0:
        remove_failed_starts(folder.parent, except_for=folder)
    single = is_single(settings)

    def find() -> Path:
        place = find_run_folder(config, folder, siblings=not single or config.resume == "auto")
        if place.resolve() != folder.resolve():
            discard(folder)
        return place

    if "RANK" in os.environ:
        return under_torchrun(config, find, choices)
    lock = folder.parent / f".{config_hash(asdict(config))}.lock"
    with one_at_a_time(lock if config.resume == "auto" else None, log_waiting):
        place = find()
        return run_once(config, place, choices, live=single), place


def pass_on_signal(outcome: Outcome, settings: HydraConf) -> None:
    """Let the launcher requeue a job that a signal stopped, or end the sweep of this process.

    Raises:
        KeyboardInterrupt: The sweep ends; its argument is the exit code.
    """
    single = is_single(settings)
    LeaveAtOnce.decided = single
    if outcome.result.status == "interrupted":
        call_launcher(outcome.signal)
    # Whoever reclaims the machine must not wait for the jobs that would follow in this process.
    asked = outcome.signal is not None and is_basic(settings.launcher)
    if not single and (asked or outcome.exit_code == 130):
        LeaveAtOnce.decided = True
        code = 130 if outcome.signal in (None, signal.SIGINT) else EXIT_REQUEUE
        ExitCode.last = code  # also if the signal came when this job was as good as done
        raise KeyboardInterrupt(code)


def configuration(given: RunConfig, overrides: list[str]) -> RunConfig:
    """The final configuration: of the command line, of a checkpoint, or of a run to resume."""
    if given.checkpoint is not None:
        from ..runs.checkpoint_names import resolved_checkpoint
        from .checkpoint_overrides import config_of_checkpoint

        given.checkpoint = resolved_checkpoint(given.checkpoint, given.outputs)
        return config_of_checkpoint(given, overrides)
    if given.resume not in (None, "auto"):
        from .resume_overrides import config_of_run

        return config_of_run(given, overrides)
    if given.trainer.init_from is not None:
        from ..runs.checkpoint_names import resolved_checkpoint

        given.trainer.init_from = resolved_checkpoint(given.trainer.init_from, given.outputs)
    given.places = absolute_paths(given.dataset)
    return given


def find_run_folder(config: RunConfig, folder: Path, siblings: bool) -> Path:
    """The folder to work in: where this run was started before, else the new one."""
    if config.mode != "train":
        return folder
    if config.resume not in (None, "auto"):
        return Path(str(config.resume))
    now = fingerprints(config)

    return started_before(
        folder,
        config_hash(asdict(config)),
        siblings,
        is_same=lambda run: same_data(recorded_fingerprints(run), now),
    )


def ended_before(config: RunConfig, place: Path) -> Outcome | None:
    """The outcome of a run of this configuration and data that ended in `place`, if any."""
    if config.mode != "train":
        return None
    check_same_data(config, place)
    if status(place) not in ENDED:
        return None
    before = read_result(place)
    if before is None or before.config_hash != config_hash(asdict(config)):
        return None
    remove_leftovers(place)
    return Outcome(before, 0 if before.status == "completed" else 1, skipped=True)


def run_once(config: RunConfig, place: Path, choices: dict[str, Any], live: bool) -> Outcome:
    """Run in `place`, unless the same run has ended there."""
    if outcome := ended_before(config, place):
        return outcome
    choices = checked_choices(config, place, choices)
    from .run import run

    with claimed(place):
        return run(config, place, choices, console, live)


def checked_choices(config: RunConfig, place: Path, choices: dict[str, Any]) -> dict[str, Any]:
    """The choices of a run, after all checks that precede its first file.

    A resumed run keeps the choices that it was started with.

    Raises:
        ConfigError: A setting, or the path of the run folder, cannot be used.
        DataError: The user's file cannot be read.
    """
    if config.mode == "train":
        check_files(config)  # before torch is imported
    from .run import check

    check(config)
    check_path(place)
    kept = None if config.resume in (None, "auto") else read_choices(place)
    return kept or choices


def check_path(place: Path) -> None:
    """Check that every library can name the files in a run folder.

    Raises:
        ConfigError: Its path is not valid UTF-8.
    """
    try:
        str(place.absolute()).encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"the path of the run folder {str(place)!r} is not UTF-8; work in a directory "
            "whose name is, or set outputs=<directory>"
        ) from error


def under_torchrun(
    config: RunConfig, find: Callable[[], Path], choices: dict[str, Any]
) -> tuple[Outcome, Path]:
    """Like `run_once`, in step with torchrun's other processes: only process 0 decides and writes.

    Raises:
        ConfigError: Process 0 found a fault, so that nothing can be run.
    """
    from ..training.distributed import torchrun_group
    from .run import run

    group = torchrun_group()
    config.trainer.devices = group.size
    if group.rank > 0:
        go, place = group.from_first((False, Path()))
        if go:
            return run(config, place, choices, console, live=False), place
        return Outcome(RunResult("completed")), place
    go = False
    try:
        place = find()
        if outcome := ended_before(config, place):
            return outcome, place
        choices = checked_choices(config, place, choices)
        with claimed(place):
            go = group.from_first((True, place))[0]
            return run(config, place, choices, console, live=False), place
    finally:
        if not go:
            group.from_first((False, Path()))


def call_launcher(signum: int | None) -> None:
    """Pass a signal on to a launcher that handles it by requeueing the job."""
    handler = None if signum in (None, signal.SIGINT) else signal.getsignal(signum)
    if signum is not None and callable(handler) and not is_stop_request(handler):
        signal.raise_signal(signum)


def log_waiting(process: str) -> None:
    """Log which process already trains the run that was requested."""
    log.info("waiting for process %s, which trains this run", process or "?")


def torchrun_rank() -> int:
    """Rank of this process among those that torchrun started; 0 without torchrun.

    Raises:
        ConfigError: The environment variables that torchrun sets are invalid or incomplete.
    """
    numbers = {}
    for name, alone in (("RANK", "0"), ("WORLD_SIZE", "1")):
        given = os.environ.get(name, alone)
        if not (given.isascii() and given.isdecimal()):
            raise ConfigError(
                f"{name}={given!r} in the environment is not a number; torchrun sets it"
            )
        numbers[name] = int(given)
    rank, size = numbers.values()
    if rank >= size:
        raise ConfigError(
            f"RANK={rank} in the environment is not below WORLD_SIZE={size}; torchrun sets both, "
            "and one process alone needs neither"
        )
    if size > 1 and (missing := [name for name in MEETING if name not in os.environ]):
        raise ConfigError(
            f"WORLD_SIZE={size} is in the environment, but {' and '.join(missing)} is not: start "
            "the processes with torchrun, or unset WORLD_SIZE for one process alone"
        )
    return rank
