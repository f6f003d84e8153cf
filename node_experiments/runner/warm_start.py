"""`trainer.init_from`: training that starts from the weights of another run."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..training.checkpoints import CheckpointError, checkpoint_file, load_checkpoint

__all__ = ["check_start", "start_from"]

log = logging.getLogger(__name__)

SCALE_TOLERANCE = 0.25  # relative difference of scales that training makes up for quickly


def check_start(source: str) -> None:
    """Check that the checkpoint to start from exists.

    Raises:
        CheckpointError: It does not.
    """
    file = checkpoint_file(Path(source))
    if not file.is_file():
        raise CheckpointError(
            f"trainer.init_from={source} is missing: there is no file {file}; give a run folder "
            "or a .pt file"
        )


def start_from(source: str, model: nn.Module, data: Any, device: torch.device) -> None:
    """Give a model the weights of a checkpoint; optimiser, schedule and epochs start afresh.

    Args:
        source: A run folder or a .pt file; `job` has resolved names such as `latest`.
        data: The dataset to train on, whose `learned` names are compared with those that the
            checkpoint was trained on.

    Raises:
        CheckpointError: The checkpoint cannot be read, is of another model, or its inputs or
            classes have other names.
    """
    file = checkpoint_file(Path(source))
    checkpoint = load_checkpoint(file, device)
    old_data, new_data = checkpoint.get("data"), getattr(data, "learned", None)
    check_names(source, old_data, new_data)
    given, own = checkpoint["model"], model.state_dict()
    for name in given:
        if name not in own:
            raise CheckpointError(
                f"trainer.init_from={source} holds {name}, which this model does not have; start "
                "from a checkpoint of the same model"
            )
        found, needed = list(given[name].shape), list(own[name].shape)
        if found != needed:
            raise CheckpointError(
                f"trainer.init_from={source}: {name} has the shape {found} there and {needed} "
                "here; set the sizes of the model, and the data, as they were there"
            )
    missing = model.load_state_dict(given, strict=False).missing_keys
    if missing:
        raise CheckpointError(
            f"trainer.init_from={source} lacks {missing[0]}, which this model has; start from a "
            "checkpoint of the same model"
        )
    log.info("started from the weights in %s", file)
    warn_of_scales(source, old_data, data)


def check_names(source: str, old_data: Any, new_data: Any) -> None:
    """Check that inputs and outputs have the same names and order, where both are known."""
    both = [(each or {}).get("names", {}) for each in (old_data, new_data)]
    for what in both[0].keys() & both[1].keys():
        old, new = both[0][what], both[1][what]
        if old != new:
            shown = [", ".join(names) or "none" for names in (old, new)]
            raise CheckpointError(
                f"trainer.init_from={source}: its {what} are {shown[0]}, and those of this run "
                f"are {shown[1]}; they must be the same, in the same order"
            )


def warn_of_scales(source: str, old_data: Any, data: Any) -> None:
    """Warn if the weights were trained on inputs that were scaled differently."""
    learned = getattr(data, "learned", None)
    old, new = ((each or {}).get("schema", {}) for each in (old_data, learned))
    if not (old and new):
        return
    ratio = old["time_scale"] / new["time_scale"]
    if abs(math.log(ratio)) > math.log1p(SCALE_TOLERANCE):
        unit = data.time_unit.name and f" {data.time_unit.name}"
        there, here = ratio * data.time_unit.scale, data.time_unit.scale
        log.warning(
            "trainer.init_from=%s: time 1 of the model is %.6g%s there and %.6g%s here, so that "
            "its weights mean other speeds; set dataset.time_scale=%.6g to keep them",
            source, there, unit, here, unit, there,
        )  # fmt: skip
    names = new["columns"]["features"]
    numbers = (each[key] for key in ("shift", "scale") for each in (old, new))
    for name, shift, new_shift, scale, new_scale in zip(names, *numbers, strict=True):
        apart = max(abs(new_shift - shift) / scale, abs(new_scale / scale - 1))
        if apart > SCALE_TOLERANCE:
            log.warning(
                "trainer.init_from=%s: its weights are for %r around %.3g, give or take %.2g; here"
                " it is around %.3g, give or take %.2g, and training has to make up for it",
                source, name, shift, scale, new_shift, new_scale,
            )  # fmt: skip
