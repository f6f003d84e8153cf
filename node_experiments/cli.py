"""`node-run`: compose a configuration, run it, and say in one line what went wrong if it did.

No torch is imported here before a run starts, so that help and mistakes are answered at once.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from .config import (
    DATASETS,
    MODELS,
    ConfigError,
    RunConfig,
    configs_folder,
    nearest,
    typed_config,
)

__all__ = ["main"]

GROUPS = ("experiment", "dataset", "model", "solver", "gradient", "optimizer", "scheduler")

console = Console()
log = logging.getLogger("node_experiments")
exit_codes: list[int] = []


def main() -> int:
    """Run the command line; returns the exit code."""
    exit_codes.clear()
    register()
    try:
        with errors_raised():
            name_jobs_by_what_varies()
            compose_and_run()
    except (ConfigError, HydraException, ValueError) as error:
        if wants_traceback():
            raise
        return complain(describe(error))
    except OSError as error:
        if wants_traceback():
            raise
        return complain(
            f"cannot write the run folder: {error.strerror} ({error.filename}); "
            "set outputs=<folder that can be written>"
        )
    except KeyboardInterrupt:
        return 130
    worst = max(exit_codes, default=0)
    return worst if len(exit_codes) == 1 else min(worst, 1)


def wants_traceback() -> bool:
    """Whether the user asked for tracebacks, with Hydra's own variable."""
    return os.environ.get("HYDRA_FULL_ERROR") == "1"


@contextmanager
def errors_raised() -> Iterator[None]:
    """Let Hydra raise its errors here, instead of printing several lines and exiting."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before


def register() -> None:
    """Make the schema and the resolvers known to Hydra."""
    ConfigStore.instance().store(name="schema", node=RunConfig)
    OmegaConf.register_new_resolver("slug", slug, replace=True)
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)


def name_jobs_by_what_varies() -> None:
    """In a sweep, leave overrides that are the same for all jobs out of their folders' names."""
    if not {"-m", "--multirun"} & set(sys.argv):
        return
    given = [argument for argument in sys.argv[1:] if "=" in argument and argument[0] != "-"]
    overrides = OverridesParser.create().parse_overrides(given)
    same = [o.key_or_group for o in overrides if not o.is_sweep_override()]
    keys = ",".join(f"'{key}'" for key in same if not key.startswith("hydra"))
    sys.argv.append(f"hydra.job.config.override_dirname.exclude_keys=[{keys}]")


@hydra.main(version_base="1.3", config_path=str(configs_folder()), config_name="config")
def compose_and_run(composed: DictConfig) -> float | None:
    """One job. Returns the value of the task's metric, for sweepers that optimise it."""
    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir)
    log_to_console()
    try:
        config = typed_config(composed)
        if config.mode == "eval":
            from .checkpoint_config import config_of_checkpoint

            config = config_of_checkpoint(config, list(settings.overrides.task))
    except Exception as error:
        # Nothing ran: leave no folder behind.
        shutil.rmtree(folder, ignore_errors=True)
        exit_codes.append(complain(describe(error)) if is_bad_input(error) else 1)
        if not is_bad_input(error):
            raise
        return None

    from .run import run

    single = settings.mode is not None and settings.mode.name == "RUN"
    choices = {group: settings.runtime.choices.get(group) for group in GROUPS}
    choices = {group: None if choice == "None" else choice for group, choice in choices.items()}
    result = run(config, folder, choices, console, live=single)
    exit_codes.append(result["exit_code"])
    report(result, folder)
    return result["objective"]


def report(result: dict[str, Any], folder: Path) -> None:
    """Say how a job ended."""
    if result["status"] == "completed":
        shown = {t: v for t, v in result["metrics"].items() if t.endswith("/test")}
        numbers = ", ".join(f"{tag} {value:.4f}" for tag, value in shown.items())
        seconds = result["seconds"]["total"]
        console.print(
            f"{result['name']} completed in {seconds:.0f} s: {numbers}\n{folder}", soft_wrap=True
        )
    elif result["status"] == "interrupted":
        console.print(f"{result['name']} {result['reason']}; {folder} is complete", soft_wrap=True)
    else:
        complain(f"{result['reason']} (log: {folder / 'node-run.log'})")


def complain(message: str) -> int:
    """Print one line to standard error; returns the exit code of bad input."""
    print(f"node-run: {' '.join(message.split())}", file=sys.stderr)
    return 2


def is_bad_input(error: Exception) -> bool:
    """Whether an error is the user's to correct, seen from before the run."""
    return isinstance(error, ConfigError) or type(error).__name__ == "CheckpointError"


def describe(error: Exception) -> str:
    """One line for an error of the configuration, with the nearest names where there are some."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        if group and error.options is not None:
            return f"{group}={name} is unknown{nearest(name, sorted(error.options))}"
    message = str(error)
    if missing := re.match(r"Could not override '([^']+)'", message):
        return unknown_key(missing[1].partition("@")[0])
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else type(error).__name__


def unknown_key(key: str) -> str:
    """The message for a key that no schema has."""
    group, _, name = key.rpartition(".")
    if not group:
        known = {f.name for f in fields(RunConfig)} | set(GROUPS)
        return f"{key} is not a setting{nearest(name, sorted(known))}"
    schemas: list[Any] = [f.default_factory for f in fields(RunConfig) if f.name == group]
    by_name: dict[str, dict[str, Any]] = {"dataset": {**DATASETS}, "model": {**MODELS}}
    schemas += by_name.get(group, {}).values()
    names = {f.name for schema in schemas if is_dataclass(schema) for f in fields(schema)}
    hint = nearest(name, sorted(names), f"{group}.") if names else ""
    return f"{key} is not a setting of the choices made{hint}"


def log_to_console() -> None:
    """Show the lines of a run, through the console that also draws the progress bar."""
    if not log.handlers:
        handler = ConsoleHandler()
        handler.setLevel(logging.INFO)
        log.addHandler(handler)
        log.setLevel(logging.DEBUG)
        log.propagate = False


class ConsoleHandler(logging.Handler):
    """Prints log records as they are."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        console.print(record.getMessage(), markup=False, highlight=False, soft_wrap=True)


def slug(overrides: str) -> str:
    """Overrides as a short folder name."""
    return re.sub(r"[^A-Za-z0-9.=_-]+", "_", overrides)[:80].strip("_")


def run_name(mode: str, dataset: str, model: str) -> str:
    """The name of a run that is no experiment."""
    return "eval" if mode == "eval" else f"{dataset}_{model}"


if __name__ == "__main__":
    sys.exit(main())
