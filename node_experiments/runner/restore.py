"""A model rebuilt from its checkpoint."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..config import RunConfig, config_hash
from ..runs.directory import folder_of_checkpoint, status
from ..runs.result import Origin
from ..training.checkpoints import CheckpointError, checkpoint_file, load_checkpoint
from . import build
from .data_files import parse_fingerprints

__all__ = ["Trained", "rebuild"]

log = logging.getLogger(__name__)


@dataclass
class Trained:
    """The content of a checkpoint, ready for use.

    Attributes:
        config: The checkpoint's configuration, with the overrides applied.
        model: The model with the checkpoint's weights and the solver of the configuration.
        data: The dataset of the configuration.
        origin: The run that trained it.
        file: The checkpoint.
        epoch: Epoch after which its weights were saved; None if it is not recorded.
        device: The device of the model.
        files: Fingerprints of the training data; None if they are not recorded.
    """

    config: RunConfig
    model: nn.Module
    data: Any
    origin: Origin
    file: Path
    epoch: int | None
    device: torch.device
    files: list[dict[str, Any]] | None


def rebuild(config: RunConfig, device: torch.device, with_files: bool = True) -> Trained:
    """Rebuild the model of the checkpoint that the configuration was made from.

    Args:
        with_files: Read the files of the dataset, so that it has batches.

    Raises:
        CheckpointError: It cannot be read, or holds the weights of another model.
    """
    assert config.checkpoint is not None
    checkpoint = load_checkpoint(Path(config.checkpoint), device)
    try:
        data = build.build_data(config, device, checkpoint.get("data"), with_files)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"what checkpoint {config.checkpoint} holds of its training data is damaged "
            f"({type(error).__name__}: {error}); take another one of the run's checkpoints "
            "directory"
        ) from error
    model = build.build_model(config, data, device)
    try:
        model.load_state_dict(checkpoint["model"])
    except (RuntimeError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"the weights in {config.checkpoint} are not those of model {config.model.name!r} "
            f"on {config.dataset.name}: {str(error).splitlines()[-1].strip()}"
        ) from error
    epoch = checkpoint.get("epoch")
    trained = Trained(
        config,
        model,
        data,
        origin(checkpoint["config"]),
        checkpoint_file(Path(config.checkpoint)),
        epoch if isinstance(epoch, int) else None,
        device,
        parse_fingerprints(checkpoint.get("files")),
    )
    warn_of_unfinished(trained, checkpoint["config"])
    return trained


def warn_of_unfinished(trained: Trained, config: dict[str, Any]) -> None:
    """Warn if the run that trained a model has not completed.

    Args:
        config: The configuration of the checkpoint.
    """
    folder = folder_of_checkpoint(str(trained.file))
    ending = status(folder) if (folder / "config.yaml").is_file() else "completed"
    if ending in ("completed", "damaged"):
        return
    epochs = (config.get("trainer") or {}).get("epochs")
    log.warning(
        "%s has not completed its training (it is %s): these are its weights after epoch %s of "
        "%s; resume=%s continues it",
        folder, ending, trained.epoch, epochs, folder,
    )  # fmt: skip


def origin(trained: dict[str, Any]) -> Origin:
    """The run that trained a model, from its configuration."""
    solver = trained.get("solver") or {}
    return Origin(
        name=trained.get("name"),
        seed=trained.get("seed"),
        protocol=trained.get("protocol"),
        config_hash=config_hash(trained),
        gradient=(trained.get("gradient") or {}).get("name"),
        solver={
            key: solver.get(key) for key in ("method", "num_steps", "step_size", "rtol", "atol")
        },
    )
