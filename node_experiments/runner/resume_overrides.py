"""The configuration of a run that is resumed, with what the command line may change in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from ..chapters import schedulers
from ..config import ConfigError, RunConfig
from ..config.run import SchedulerConfig
from ..errors import first_line
from ..files import user_path
from ..runs.checkpoint_names import LATEST, resolved_checkpoint
from ..runs.jobs import name_of
from .compose import invalid_groups, plain_config
from .data_files import PATH_SETTINGS

__all__ = ["config_of_run", "settings_in"]

COUNTED = "the checkpoint may be inside an epoch, and the schedule counts its steps"
# Settings of the trainer that a run must keep to its end, each with the reason.
FIXED = {
    "accumulate": COUNTED,
    "limit_batches": COUNTED,
    "init_from": "the run continues from the weights in its checkpoint",
}


def config_of_run(given: RunConfig, overrides: list[str]) -> RunConfig:
    """The configuration of the run folder `resume=`, with the permitted overrides applied.

    Args:
        given: The configuration composed from the command line.
        overrides: The command line's overrides, such as `trainer.epochs=20`.

    Raises:
        ConfigError: It is not a run folder, or an override would turn it into another run.
    """
    assert given.resume is not None
    # `outputs` says where to look for the latest run; a run that is named does not move there.
    of_search = ("resume", "mode", *(["outputs"] if given.resume == LATEST else []))
    given.resume = resolved_checkpoint(given.resume, given.outputs)
    file = Path(given.resume) / "config.yaml"
    if not file.is_file():
        raise ConfigError(
            f"resume={given.resume} is not a run folder: it has no config.yaml; "
            "give outputs/<name>/<run>, or resume=auto"
        )
    content = settings_in(file)
    for override in overrides:
        key = name_of(override)
        if key in of_search or key.startswith("hydra"):
            continue
        group, _, setting = key.partition(".")
        if override in (f"{group}={content[group].get('name')}" for group in ("dataset", "model")):
            continue  # the run's own, so nothing changes
        if group == "dataset" and setting in PATH_SETTINGS:
            path = user_path(str(getattr(given.dataset, setting)))
            content["places"] = {**(content.get("places") or {}), setting: str(path.absolute())}
            continue
        check_changeable(key, content)
        content["trainer"][setting] = getattr(given.trainer, setting)
    try:
        return plain_config({**content, "resume": given.resume})
    except ConfigError as error:
        raise ConfigError(f"{file} is damaged: {error}") from error


def check_changeable(key: str, content: dict[str, Any]) -> None:
    """Check that a run can be resumed with another value of a setting.

    Args:
        content: The settings of the run.

    Raises:
        ConfigError: It would become another run.
    """
    group, _, setting = key.partition(".")
    if group != "trainer" or not setting:
        raise ConfigError(
            f"{key} cannot be changed with resume=: the run has its own configuration; "
            "changeable: trainer.epochs and other settings of the trainer, and where the "
            "same data are now, with dataset.path or dataset.root"
        )
    if setting in FIXED:
        raise ConfigError(
            f"{key} cannot be changed with resume=: {FIXED[setting]}; start a new run"
        )
    schedule = content["scheduler"].get("name")
    # The schedule of a chapter is built with the total number of steps.
    if setting == "epochs" and schedule in (*SchedulerConfig.OVER_ALL_EPOCHS, *schedulers()):
        raise ConfigError(
            f"trainer.epochs cannot be changed with resume=: the schedule {schedule!r} was "
            f"laid over {content['trainer'].get('epochs')} epochs; start a new run"
        )


def settings_in(file: Path) -> dict[str, Any]:
    """The unresolved settings of a run, from the configuration file in its directory.

    Raises:
        ConfigError: The file cannot be read, or is damaged.
    """
    try:
        content = OmegaConf.to_container(OmegaConf.load(file))
    except (OmegaConfBaseException, YAMLError, OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{file} is damaged and cannot be read ({first_line(error)}); put it back, or start "
            "a new run"
        ) from error
    groups = ("dataset", "model", "scheduler", "trainer")
    if not isinstance(content, dict) or not all(isinstance(content.get(g), dict) for g in groups):
        raise ConfigError(
            f"{file} is damaged: it lacks {', '.join(groups)}; put it back, or start a new run"
        )
    found = {str(key): value for key, value in content.items()}
    if invalid := invalid_groups(found):
        raise ConfigError(
            f"{file} is damaged: {invalid[0]} is not a group of settings; put it back, or start "
            "a new run"
        )
    return found
