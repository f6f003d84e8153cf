"""The configuration of a run that is resumed, with what the command line may change in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from ..config import (
    ConfigError,
    RunConfig,
)
from ..config.run import SchedulerConfig
from ..runs.checkpoint_names import LATEST, resolved_checkpoint
from .compose import odd_groups, plain_config
from .data_files import PLACES

__all__ = ["config_of_run", "settings_in"]

COUNTED = "the checkpoint may be inside an epoch, and the schedule counts its steps"
# Settings of the trainer that a run keeps to its end, each with the reason.
FIXED = {
    "accumulate": COUNTED,
    "limit_batches": COUNTED,
    "init_from": "the run goes on from the weights in its checkpoint",
}


def config_of_run(given: RunConfig, overrides: list[str]) -> RunConfig:
    """The configuration of the run folder `resume=`, with what may be changed in it.

    Args:
        given: The configuration composed from the command line.
        overrides: The command line's overrides, such as `trainer.epochs=20`.

    Raises:
        ConfigError: It is no run folder, or an override would make another run of it.
    """
    assert given.resume is not None
    # `outputs` says where the latest run is looked for; one that is named does not move there.
    of_search = ("resume", "mode", *(["outputs"] if given.resume == LATEST else []))
    given.resume = resolved_checkpoint(given.resume, given.outputs)
    file = Path(given.resume) / "config.yaml"
    if not file.is_file():
        raise ConfigError(
            f"resume={given.resume} is no run folder: it has no config.yaml; "
            "give outputs/<name>/<run>, or resume=auto"
        )
    content = settings_in(file)
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        if key in of_search or key.startswith("hydra"):
            continue
        group, _, setting = key.partition(".")
        if override in (f"{group}={content[group].get('name')}" for group in ("dataset", "model")):
            continue  # they are those of the run already
        if group == "dataset" and setting in PLACES:
            path = Path(str(getattr(given.dataset, setting))).expanduser()
            content["places"] = {**(content.get("places") or {}), setting: str(path.absolute())}
            continue
        check_changeable(key, content)
        content["trainer"][setting] = getattr(given.trainer, setting)
    try:
        return plain_config({**content, "resume": given.resume})
    except ConfigError as error:
        raise ConfigError(f"{file} is damaged: {error}") from error


def check_changeable(key: str, content: dict[str, Any]) -> None:
    """See that a run can go on with another value of a setting.

    Args:
        content: The settings of the run.

    Raises:
        ConfigError: It would be another run.
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
    if setting == "epochs" and schedule in SchedulerConfig.OVER_ALL_EPOCHS:
        raise ConfigError(
            f"trainer.epochs cannot be changed with resume=: the schedule {schedule!r} was "
            f"laid over {content['trainer'].get('epochs')} epochs; start a new run"
        )


def settings_in(file: Path) -> dict[str, Any]:
    """The settings of a run as its directory holds them, unresolved.

    Raises:
        ConfigError: They cannot be read.
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
    if odd := odd_groups(found):
        raise ConfigError(
            f"{file} is damaged: {odd[0]} is no group of settings; put it back, or start a new run"
        )
    return found


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return (str(error).splitlines() or [type(error).__name__])[0]
