"""The configuration of a checkpoint, with what the command line may change in it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..config import ConfigError, RunConfig
from ..runs.directory import folder_of_checkpoint, read_choices
from ..runs.jobs import name_of
from ..training.checkpoints import CheckpointError, load_checkpoint
from .compose import invalid_groups, plain_config
from .data_files import PATH_SETTINGS, absolute_paths

__all__ = ["choices_of_checkpoint", "config_from", "config_of_checkpoint", "content_of"]

# Groups that the command line may change, by mode. Figure 3 has its own solvers.
CHANGEABLE = {
    "eval": ("solver", "dataset", "trainer"),
    "predict": ("solver", "dataset", "trainer", "predict"),
    "figure3": ("dataset", "trainer"),
}
# Settings of the trainer that affect how a model is run; the others matter only in training.
RUNNING = ("device", "threads", "precision", "deterministic", "compile", "progress", "loggers")
OWN = ("mode", "checkpoint", "outputs")  # settings of the evaluation itself


def config_from(checkpoint: str) -> RunConfig:
    """The configuration of a checkpoint, for predictions without overrides.

    Raises:
        CheckpointError: It cannot be read, or its configuration is invalid.
    """
    content = content_of(checkpoint)
    merged = {**content, "mode": "predict", "checkpoint": checkpoint, "resume": None}
    try:
        return plain_config(merged, of_checkpoint=True)
    except ConfigError as error:
        raise CheckpointError(f"checkpoint {checkpoint}: {error}") from error


def content_of(checkpoint: str) -> dict[str, Any]:
    """The settings stored in a checkpoint.

    Raises:
        CheckpointError: The checkpoint cannot be read, or its settings are damaged.
    """
    content: dict[str, Any] = load_checkpoint(Path(checkpoint))["config"]
    if not all(isinstance(content.get(group), dict) for group in ("dataset", "model", "trainer")):
        raise CheckpointError(
            f"the configuration in checkpoint {checkpoint} is damaged: it lacks dataset, "
            "model or trainer; take another one of the run's checkpoints directory"
        )
    if invalid := invalid_groups(content):
        raise CheckpointError(
            f"the configuration in checkpoint {checkpoint} is damaged: {invalid[0]} is not a "
            "group of settings; take another one of the run's checkpoints directory"
        )
    return content


def config_of_checkpoint(given: RunConfig, overrides: list[str]) -> RunConfig:
    """The checkpoint's own configuration, changed where the command line says so.

    Args:
        given: The configuration composed from the command line.
        overrides: The command line's overrides, such as `solver.rtol=1e-5`.

    Raises:
        ConfigError: An override changes something that the checkpoint determines.
        CheckpointError: The checkpoint cannot be read, or its configuration is invalid.
    """
    assert given.checkpoint is not None
    content = content_of(given.checkpoint)
    merged: dict[str, Any] = {**content, "mode": given.mode, "checkpoint": given.checkpoint}
    merged["outputs"], merged["name"] = given.outputs, content.get("name", given.name)
    merged["predict"] = asdict(given.predict)  # not those of the run that trained it
    merged["resume"], places = None, dict(content.get("places") or {})
    own_places = absolute_paths(given.dataset)
    for override in overrides:
        key = name_of(override)
        group, _, setting = key.partition(".")
        if group in OWN or group.startswith("hydra"):
            continue
        if override.lstrip("+") == f"dataset={content['dataset'].get('name')}":
            continue  # the checkpoint's own, so nothing changes
        if key in ("name", "seed"):
            merged[key] = getattr(given, key)
            continue
        changeable = CHANGEABLE[given.mode]
        if group not in changeable:
            raise ConfigError(
                f"{key} cannot be changed with mode={given.mode}: the checkpoint holds model "
                f"{content['model'].get('name')!r}; changeable: {', '.join(changeable)}"
            )
        if group == "trainer" and setting not in ("", *RUNNING):
            raise ConfigError(
                f"{key} means nothing with mode={given.mode}, which trains nothing; it reads only "
                f"{', '.join(f'trainer.{name}' for name in RUNNING)}"
            )
        chosen = asdict(getattr(given, group))
        if setting:
            merged[group] = {**dict(merged.get(group) or {}), setting: chosen[setting]}
        else:
            merged[group] = chosen
        if group == "dataset":
            changed = (setting,) if setting else PATH_SETTINGS
            places = {name: place for name, place in places.items() if name not in changed}
            places |= {name: place for name, place in own_places.items() if name in changed}
    merged["places"] = places
    try:
        config = plain_config(merged, of_checkpoint=True)
        trained = plain_config({**merged, "dataset": content["dataset"]}, of_checkpoint=True)
    except ConfigError as error:
        raise CheckpointError(f"checkpoint {given.checkpoint}: {error}") from error
    check_learned(trained.dataset, config.dataset, given.mode)
    return config


def check_learned(trained: Any, settings: Any, mode: str) -> None:
    """Reject changes to dataset settings that the trained model depends on.

    Raises:
        ConfigError: A changed setting would be ignored, or would need another model.
    """
    before, after = (getattr(each, "learned", {}) for each in (trained, settings))
    for name in before if type(trained) is type(settings) else ():
        if before[name] != after[name]:
            old, new = (getattr(each, name) for each in (trained, settings))
            raise ConfigError(
                f"dataset.{name}={new} cannot be changed with mode={mode}: the checkpoint was "
                f"trained with {'null' if old is None else old}; leave it out, or train another "
                "model"
            )


def choices_of_checkpoint(
    config: RunConfig, given: dict[str, Any], overrides: list[str]
) -> dict[str, Any]:
    """The choice in each group when the checkpoint was made, unless the command line changes it.

    Args:
        config: The configuration of the evaluation.
        given: The choices of the command line, including defaults.
        overrides: The command line's overrides, which tell explicit choices from defaults.
    """
    choices = read_choices(folder_of_checkpoint(str(config.checkpoint))) or {
        "dataset": config.dataset.name,
        "model": config.model.name,
        "solver": config.solver.method,
        "gradient": config.gradient.name,
        "optimizer": config.optimizer.name,
        "scheduler": config.scheduler.name,
    }
    made = {*map(name_of, overrides)}
    return {**choices, **{group: given[group] for group in made & given.keys()}}
