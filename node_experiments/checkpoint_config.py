"""`mode=eval`: the configuration of a checkpoint, with what the command line may change in it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from .config import ConfigError, RunConfig, typed_config
from .training.checkpoints import CheckpointError, load_checkpoint

__all__ = ["config_of_checkpoint"]

CHANGEABLE = ("solver", "dataset", "trainer")
OWN = ("mode", "checkpoint", "outputs", "name", "seed")


def config_of_checkpoint(given: RunConfig, overrides: list[str]) -> RunConfig:
    """The checkpoint's own configuration, changed where the command line says so.

    Args:
        given: The configuration composed from the command line.
        overrides: The command line's overrides, such as `solver.rtol=1e-5`.

    Raises:
        ConfigError: An override of something that the checkpoint determines.
        CheckpointError: The checkpoint cannot be read, or its configuration is not one.
    """
    assert given.checkpoint is not None
    checkpoint = load_checkpoint(Path(given.checkpoint))
    content = checkpoint["config"]
    if not isinstance(content, dict):
        raise CheckpointError(f"the configuration in checkpoint {given.checkpoint} is damaged")
    merged: dict[str, Any] = {**content, "mode": "eval", "checkpoint": given.checkpoint}
    merged["outputs"], merged["name"] = given.outputs, content.get("name", given.name)
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        group, _, setting = key.partition(".")
        if group in OWN or group.startswith("hydra"):
            continue
        if group not in CHANGEABLE:
            raise ConfigError(
                f"{key} cannot be changed with mode=eval: the checkpoint holds model "
                f"{content.get('model', {}).get('name')!r}; changeable: {', '.join(CHANGEABLE)}"
            )
        chosen = asdict(getattr(given, group))
        if setting:
            merged[group] = {**merged[group], setting: chosen[setting]}
        else:
            merged[group] = chosen
    return typed_config(OmegaConf.create(merged))
