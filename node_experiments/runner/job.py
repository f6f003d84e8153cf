"""One composed job: its configuration typed, its folder found, run unless it is done already."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from hydra.conf import HydraConf
from omegaconf import DictConfig, OmegaConf

from ..cli.sweep_summary import note_job
from ..config import (
    ConfigError,
    RunConfig,
    config_hash,
    typed_config,
)
from ..data.cache_folder import cache_folder
from ..errors import UserError
from ..runs.directory import (
    LOCK,
    begun_before,
    claimed,
    read_json,
    remove_leftovers,
    status,
)
from .compose import command_line_config
from .messages import (
    GROUPS,
    complain,
    console,
    describe,
    log_to_console,
    report,
)

__all__ = ["ExitCode", "job", "torchrun_rank"]


class ExitCode:
    """Of the last job in this process that did not complete; Hydra passes no value through.

    Attributes:
        began: Whether any job was reached.
    """

    last: ClassVar[int] = 0
    began: ClassVar[bool] = False


def job(composed: DictConfig, settings: HydraConf) -> float | None:
    """Run one job; returns the value of the task's metric, for sweepers that optimise it.

    A job that does not complete is reported, and returns None.

    Raises:
        KeyboardInterrupt: A job of a sweep was stopped, and the sweep with it, with an exit code.
    """
    ExitCode.began = True
    # Torch's own place for what it compiles is a temporary one, which it takes when imported.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "compiled"))
    folder = Path(settings.runtime.output_dir)
    single = settings.mode is None or settings.mode.name == "RUN"
    overrides = list(settings.overrides.task)
    sweep, varied = Path(settings.sweep.dir), settings.job.override_dirname
    label = "" if single else f"job {settings.job.num} {varied}".rstrip()
    log_to_console()
    choices = {group: settings.runtime.choices.get(group) for group in GROUPS}
    choices = {group: None if choice == "None" else choice for group, choice in choices.items()}
    try:
        config = configuration(command_line_config(composed), overrides)
        if config.mode != "train":
            from .checkpoint_overrides import choices_of_checkpoint

            choices = choices_of_checkpoint(config, choices, overrides)

        def find() -> Path:
            place = find_place(config, folder, siblings=not single or config.resume == "auto")
            if place.resolve() != folder.resolve():
                discard(folder)
            return place

        if "RANK" in os.environ:
            result, place = under_torchrun(config, find, choices)
        else:
            place = find()
            result = run_once(config, place, choices, live=single)
    except UserError as error:
        message = describe(error)
        discard(folder)
        if not single:
            note_job(sweep, settings.job.num, varied, folder, message)
        ExitCode.last = complain(f"{label}: {message}" if label else message)
        return None
    if torchrun_rank() == 0:
        report(result, place, label)
        if not single:
            note_job(sweep, settings.job.num, varied, place, None)
    if result["exit_code"] == 0:
        return result["objective"]
    call_launcher(result.get("signal"))
    ExitCode.last = result["exit_code"]
    # Who takes back the machine wants it from the jobs that would follow in this process, too.
    last_of_all = ExitCode.last == 130 or settings.launcher._target_.endswith("BasicLauncher")
    if result["status"] == "interrupted" and last_of_all and not single:
        raise KeyboardInterrupt(ExitCode.last)
    return None


def configuration(given: RunConfig, overrides: list[str]) -> RunConfig:
    """The configuration of the command line, of a checkpoint, or of a run to go on with."""
    if given.mode != "train":
        from .checkpoint_overrides import config_of_checkpoint

        return config_of_checkpoint(given, overrides)
    if given.resume not in (None, "auto"):
        return config_of_run(given, overrides)
    return given


def config_of_run(given: RunConfig, overrides: list[str]) -> RunConfig:
    """The configuration of the run folder `resume=`, with what may be changed in it.

    Raises:
        ConfigError: It is no run folder, or an override would make another run of it.
    """
    assert given.resume is not None
    file = Path(given.resume) / "config.yaml"
    if not file.is_file():
        raise ConfigError(
            f"resume={given.resume} is no run folder: it has no config.yaml; "
            "give outputs/<name>/<run>, or resume=auto"
        )
    content = OmegaConf.to_container(OmegaConf.load(file))
    assert isinstance(content, dict)
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        if key == "resume" or key.startswith("hydra"):
            continue
        group, _, setting = key.partition(".")
        if group != "trainer" or not setting:
            raise ConfigError(
                f"{key} cannot be changed with resume=: the run has its own configuration; "
                "changeable: trainer.epochs and other settings of the trainer"
            )
        scheduler = content["scheduler"]["name"]
        if setting == "epochs" and scheduler not in ("none", "step"):
            raise ConfigError(
                f"trainer.epochs cannot be changed with resume=: the schedule {scheduler!r} was "
                f"laid over {content['trainer']['epochs']} epochs; begin a new run"
            )
        content["trainer"][setting] = getattr(given.trainer, setting)
    return typed_config(OmegaConf.create({**content, "resume": given.resume}))


def find_place(config: RunConfig, folder: Path, siblings: bool) -> Path:
    """The folder to work in: where this run was begun before, else the new one."""
    if config.mode != "train":
        return folder
    if config.resume not in (None, "auto"):
        return Path(str(config.resume))
    return begun_before(folder, config_hash(asdict(config)), siblings)


def completed_before(config: RunConfig, place: Path) -> dict[str, Any] | None:
    """The result of a completed run of this configuration, if one lies there."""
    before = read_json(place / "result.json")
    if before.get("config_hash") != config_hash(asdict(config)) or config.mode != "train":
        return None
    if status(place) != "completed":
        return None
    remove_leftovers(place)
    return {**before, "exit_code": 0, "skipped": True}


def run_once(
    config: RunConfig, place: Path, choices: dict[str, Any], live: bool
) -> dict[str, Any]:
    """Run in `place`, or return what a completed run of the same configuration left there."""
    if result := completed_before(config, place):
        return result
    if config.resume not in (None, "auto"):
        choices = read_json(place / "run_info.json").get("choices") or choices
    from .run import (
        check,
        run,
    )

    check(config)
    with claimed(place):
        return run(config, place, choices, console, live)


def under_torchrun(
    config: RunConfig, find: Callable[[], Path], choices: dict[str, Any]
) -> tuple[dict[str, Any], Path]:
    """As `run_once`, in step with the other processes: process 0 alone decides and writes.

    Raises:
        ConfigError: Process 0 found that nothing can be run.
    """
    from ..training.distributed import torchrun_group
    from .run import (
        check,
        run,
    )

    group = torchrun_group()
    config.trainer.devices = group.size
    if group.rank > 0:
        go, place = group.from_first((False, Path()))
        if go:
            return run(config, place, choices, console, live=False), place
        return {"exit_code": 0, "objective": None}, place
    go = False
    try:
        place = find()
        if result := completed_before(config, place):
            return result, place
        check(config)
        with claimed(place):
            go = group.from_first((True, place))[0]
            return run(config, place, choices, console, live=False), place
    finally:
        if not go:
            group.from_first((False, Path()))


def discard(folder: Path) -> None:
    """Leave no folder behind in which nothing ran; what a run has left is never touched."""
    if not any((folder / name).exists() for name in (LOCK, "run_info.json")):
        shutil.rmtree(folder / ".hydra", ignore_errors=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def call_launcher(signum: int | None) -> None:
    """Hand a signal on to the launcher that waits for it, to put the job in its queue again."""
    if signum is not None and signum != signal.SIGINT and callable(signal.getsignal(signum)):
        signal.raise_signal(signum)


def torchrun_rank() -> int:
    """The number of this process among those that torchrun started."""
    return int(os.environ.get("RANK", 0))
