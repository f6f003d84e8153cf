"""`node-run` from its arguments to its exit code: parse, check, compose, pass jobs to Hydra.

Hydra's own entry point reads `sys.argv` and prints several lines for a mistake; the parts of Hydra
that are used here take arguments and raise exceptions.
"""

from __future__ import annotations

import argparse
import atexit
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.core.utils import configure_log, run_job
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from ..chapters import datasets, models, modes
from ..chapters.chapter import Dataset, Model
from ..config import ConfigError, RunConfig, folder_name, missing_checkpoint, shorten
from ..config.checks import similar_names
from ..errors import UserError
from ..runner.choices import register_choices
from ..runner.compose import chapter_folders, configs_folder, of_epochs, typed_config
from ..runner.job import ExitCode, is_basic, job, torchrun_rank
from ..runner.messages import complain
from ..runs.directory import folder_of_checkpoint, read_config
from ..runs.starts import discard
from ..training.signals import LeaveAtOnce
from ..version import __version__
from .arguments import is_sweep, normalise, parse, parser, read
from .directory_names import (
    exclude_keys_override,
    run_name,
    run_slug,
    shared_directory_override,
    slug,
)
from .override_checks import check_overrides, check_settings_of, check_sweep
from .own_files import naming_own_file
from .settings import choices
from .sweep_summary import SweepSummary

__all__ = ["one_job", "register", "run"]

VERSION_BASE = "1.3"
CONFIG = "config"


def run(words: Sequence[str]) -> int:
    """Run a command line and return its exit code."""
    ExitCode.last = SweepSummary.exit_code = 0
    ExitCode.started = False
    try:
        return command(words)
    except UserError as error:
        if wants_traceback():
            raise
        return complain(str(error))
    except OSError as error:
        if wants_traceback() or isinstance(error, BrokenPipeError):
            raise
        if isinstance(error, HydraException):
            return explain(error)
        if error.filename is None:
            return complain(without_a_file(error))
        remedy = "set outputs=<directory that can be written>"
        if error.errno == errno.ENAMETOOLONG:
            remedy = "choose a shorter name or directory"
        where = shorten(str(error.filename))
        return complain(f"cannot write the run folder: {error.strerror} ({where}); {remedy}")
    except Exception as error:
        # For some input Hydra raises exceptions of arbitrary types before any job starts.
        ours = isinstance(error, HydraException | OmegaConfBaseException)
        if wants_traceback() or (ExitCode.started and not ours and not ExitCode.last):
            raise
        return explain(error, "the sweep ended after failures above: " if ExitCode.last else "")


def without_a_file(error: OSError) -> str:
    """Message for an `OSError` that names no file."""
    try:
        Path.cwd()
    except OSError:
        return "the current directory was deleted; change to one that exists"
    if error.errno is None:  # such as a connection that cannot be made
        return f"{type(error).__name__}: {error}"
    return f"cannot write what was asked for: {error.strerror or error}"


def explain(error: BaseException, before: str = "") -> int:
    """Print a Hydra error as one line, after the prefix `before`; return the exit code."""
    from .hydra_errors import describe_error

    return complain(f"{before}{describe_error(error)}")


def command(words: Sequence[str]) -> int:
    """Print a text or part of the configuration, or run a job or sweep; return the exit code."""
    flags = parse(words)
    if text := text_for(flags, bool(words)):
        print(text, end="" if text.endswith("\n") else "\n", flush=True)
        return 0
    folders = [*config_folders(flags), *chapter_folders()]
    groups = choices(folders)
    given = normalise(flags, groups, scratch_folder())
    multirun = is_sweep(flags)
    added = choices_of_run(given)
    overrides = [*added, *given, exclude_keys_override(added, given, multirun)]
    overrides += shared_directory_override(given) if multirun else []
    if not flags.shell_completion:
        check_overrides(map(read, overrides), groups, folders, multirun)
    if flags.help and not given:
        from .help import help_text

        print(help_text(folders, columns()), end="", flush=True)
        return 0
    with hydra_for(flags) as hydra:
        name = flags.config_name or CONFIG
        if flags.help:
            from .help import help_of_chosen

            single = partial(compose, hydra, name, multirun=False)
            print(help_of_chosen(overrides, single, folders, columns()), end="", flush=True)
            return 0
        if show_requested(hydra, name, flags, overrides):
            return 0
        with naming_own_file(folders, overrides):
            composed = compose(hydra, name, overrides, multirun)
            multirun = multirun or composed.hydra.mode == RunMode.MULTIRUN
            config = None if multirun else validate(composed)
        if multirun:
            from .optuna_study import check_study

            check_sweep(composed.hydra.sweeper.get("params"))
            check_study(composed)
            LeaveAtOnce.jobs_elsewhere = not is_basic(composed.hydra.launcher)
            hydra.multirun(name, one_job, [*overrides, "hydra.mode=MULTIRUN"])
            return SweepSummary.exit_code
        run_composed(hydra, name, composed, config)
        return ExitCode.last


def choices_of_run(overrides: Sequence[str]) -> list[str]:
    """Overrides that choose the dataset, and on a resume the model, of the run that is named.

    Without them the default dataset would be composed, and the command line could not change
    settings of the run's dataset. The model of a checkpoint is not composed at all.

    Raises:
        ConfigError: The checkpoint does not exist, or the mode needs one and none is given.
        CheckpointError: The checkpoint cannot be read.
    """
    given = {override.key_or_group: override for override in map(read, overrides)}
    named = given.get("checkpoint") or given.get("resume")
    mode = text_of(given["mode"]) if "mode" in given else "train"
    if named is None and mode in ("eval", "predict", *modes()):
        raise missing_checkpoint(mode)
    if named is None or "dataset" in given or named.is_sweep_override():
        return []
    if named.key_or_group == "resume" and named.value() in (None, "auto"):
        return []  # no run is named
    from ..runs.checkpoint_names import resolved_checkpoint

    outputs = text_of(given["outputs"]) if "outputs" in given else "outputs"
    place = resolved_checkpoint(text_of(named), outputs)
    if "checkpoint" in given and not Path(place).exists():
        near = similar_names(place, ["latest", "pretrained:<name>"], count=1)
        meant = f"did you mean {near[0]}?" if near else "give a run folder or a .pt file"
        raise ConfigError(f"checkpoint={place} is missing: there is no file {place}; {meant}")
    content, found = read_config(folder_of_checkpoint(place)), []
    if "checkpoint" in given and not isinstance(content.get("dataset"), dict):
        from ..runner.checkpoint_overrides import content_of

        content = content_of(place)  # a file outside its run folder, or no checkpoint at all
    known: dict[str, Mapping[str, Dataset | Model]] = {"dataset": datasets()}
    if "resume" in given:
        known["model"] = models()
    for group, entries in known.items():
        settings = content.get(group)
        name = settings.get("name") if isinstance(settings, dict) else None
        if isinstance(name, str) and name in entries:
            found.append(f"{group}={name}")
            check_settings_of(group, name, entries[name].settings, given, place)
    return found


def text_of(override: Override) -> str:
    """The value of an override as text."""
    value = override.value()
    return str(getattr(value, "text", value))


def text_for(flags: argparse.Namespace, has_arguments: bool) -> str | None:
    """Text to print for a command line that composes nothing; None for any other."""
    if flags.version:
        return f"node_experiments {__version__}"
    if has_arguments and flags.list is None and flags.sample is None:
        return None
    from .help import experiment_list, sample_text, short_help

    if not has_arguments:
        return short_help()
    if flags.list is not None:
        folders = [*config_folders(flags), *chapter_folders()]
        return experiment_list(flags.list, folders, columns())
    if flags.sample is not None:
        chosen = [word.partition("=")[2] for word in flags.overrides if "dataset=" in word]
        return sample_text(chosen[-1] if chosen else "", flags.sample)
    return None


def columns() -> int | None:
    """Width of the terminal in characters; None if the output is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def config_folders(flags: argparse.Namespace) -> list[Path]:
    """Folders that are searched for configurations, the user's own first.

    Raises:
        ConfigError: `--config-dir` or `--config-path` is not a folder.
    """
    folders = [Path(flags.config_path) if flags.config_path else configs_folder()]
    if flags.config_dir:
        folders.insert(0, Path(flags.config_dir))
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"the directory of configurations {folder} is missing")
    return [folder.resolve() for folder in folders]


@contextmanager
def hydra_for(flags: argparse.Namespace) -> Iterator[Hydra]:
    """Provide a Hydra instance that searches the configuration folders named by the flags."""
    *own, main = config_folders(flags)
    version.setbase(VERSION_BASE)
    search_path = create_config_search_path(str(main))
    for folder in own:
        search_path.prepend("command-line", f"file://{folder}", SearchPathQuery(provider="schema"))
    try:
        yield Hydra.create_main_hydra2("node-run", search_path)
    finally:
        GlobalHydra.instance().clear()


def show_requested(
    hydra: Hydra, name: str, flags: argparse.Namespace, overrides: list[str]
) -> bool:
    """Print what the flags ask Hydra to show; return whether they ask for anything."""
    if flags.hydra_help:
        hydra.hydra_help(name, parser(), flags)
    elif flags.cfg:
        hydra.show_cfg(name, overrides, flags.cfg, flags.package, flags.resolve)
    elif flags.info:
        hydra.show_info(flags.info, name, overrides)
    elif flags.shell_completion:
        hydra.shell_completion(name, overrides)
    else:
        return False
    return True


def compose(hydra: Hydra, name: str, overrides: list[str], multirun: bool) -> DictConfig:
    """Compose the configuration of a job, or the part that all jobs of a sweep share."""
    mode = RunMode.MULTIRUN if multirun else RunMode.RUN
    return hydra.compose_config(name, overrides, mode, validate_sweep_overrides=not multirun)


def run_composed(hydra: Hydra, name: str, composed: DictConfig, config: RunConfig | None) -> None:
    """Run one job like `Hydra.run`, which would compose its configuration a second time.

    Args:
        config: The typed configuration; None if typing it needs the run folder.
    """
    configure_log(composed.hydra.hydra_logging, composed.hydra.verbose)
    LeaveAtOnce.discard = partial(discard, Path(str(composed.hydra.run.dir)))
    callbacks = Callbacks(composed)
    callbacks.on_run_start(config=composed, config_name=name)
    context = HydraContext(hydra.config_loader, callbacks)
    done = run_job(partial(one_job, config=config), composed, "hydra.run.dir", None, context)
    callbacks.on_run_end(config=composed, config_name=name, job_return=done)
    _ = done.return_value  # raises what the job raised


def validate(composed: DictConfig) -> RunConfig | None:
    """The typed configuration of the job; None if typing it needs the run folder.

    Raises:
        ConfigError: The configuration cannot be run; no directory has been created by then.
    """
    composed.hydra.mode = RunMode.RUN
    HydraConfig.instance().set_config(composed)
    task = composed.copy()
    with read_write(task), open_dict(task):
        del task["hydra"]
    try:
        config = typed_config(task)
        OmegaConf.to_container(composed.hydra.overrides.task, resolve=True)
    except ConfigError as error:
        if isinstance(error.__cause__, InterpolationToMissingValueError):
            return None
        raise
    return config


def one_job(composed: DictConfig, config: RunConfig | None = None) -> float | None:
    """Run one job; launchers send this function to other processes by its name.

    Args:
        config: The typed configuration, if it is known already.
    """
    settings = HydraConfig.get()
    LeaveAtOnce.discard = partial(discard, Path(settings.runtime.output_dir))
    try:
        return job(lambda: config or typed_config(composed), settings)
    except KeyboardInterrupt:
        discard(Path(settings.runtime.output_dir))  # unless something ran there
        raise


def wants_traceback() -> bool:
    """Whether the user asked for tracebacks, by Hydra's own environment variable."""
    return os.environ.get("HYDRA_FULL_ERROR") == "1"


def scratch_folder() -> str | None:
    """Create a temporary folder for Hydra's files in torchrun's processes after the first."""
    if torchrun_rank() == 0:
        return None
    scratch = tempfile.mkdtemp(prefix="node-run-")
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    return scratch


@cache
def register() -> None:
    """Register the schema, the choices that are not files and the resolvers with Hydra."""
    register_choices()
    resolvers: Mapping[str, Any] = {
        "slug": slug,
        "folder_name": lambda name: folder_name(str(name)),
        "run_name": run_name,
        "run_slug": run_slug,
        "of_epochs": of_epochs,
    }
    for name, function in resolvers.items():
        OmegaConf.register_new_resolver(name, function, replace=True)


# On import, because the processes of a launcher import this module and call only `one_job`.
register()
