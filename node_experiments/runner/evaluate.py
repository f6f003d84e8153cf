"""`mode=eval`: test metrics of a checkpoint, also with another solver than it was trained with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from ..chapters.image_classification.task import Classification
from ..config import RunConfig
from ..ode.methods import METHODS
from ..runs.files import write_atomically
from ..training.loop import Trainer
from ..training.memory import peak_bytes
from ..training.solver_statistics import CountedBatches
from . import build
from .restore import rebuild
from .train import tested

__all__ = ["evaluate"]


def evaluate(
    config: RunConfig, folder: Path, device: torch.device, result: dict[str, Any]
) -> None:
    """Fill `result` with the test metrics, and with how the model was trained.

    Of a classifier, the numbers of the test images that it got wrong go to `wrong.json`: another
    test on the same images can then be compared with this one image by image.

    Raises:
        CheckpointError: The checkpoint cannot be read, or holds the weights of another model.
    """
    trained = rebuild(config, device)
    model, data = trained.model, trained.data
    # Also where the evaluation fails: a report then knows the model that it was of.
    result["trained"] = trained.origin
    result["parameters"] = sum(p.numel() for p in model.parameters() if p.requires_grad)
    task = build.build_task(config, data)
    trainer = Trainer(
        task,
        model,
        build.build_optimizer(config, model),
        build.build_scheduler(config, build.build_optimizer(config, model), 1),
        data,
        epochs=1,
        device=device,
        precision=config.trainer.precision,
    )
    test = CountedBatches(data.test, model)
    values = trainer.evaluate(test)
    if isinstance(task, Classification):
        wrong = {"images": len(task.wrong), "wrong": task.wrong.nonzero().flatten().tolist()}
        text = json.dumps(wrong).encode()
        write_atomically(folder / "wrong.json", lambda file: file.write(text))
    result["metric"] = task.metric
    result["tested"] = tested(trainer)
    result["of_checkpoint"] = {"file": str(trained.file), "epoch": trained.epoch}
    result["metrics"] = {f"{name}/test": value for name, value in values.items()}
    if test.solves:
        result["metrics"]["nfe/forward"] = test.evaluations / test.solves
        result["solver_order"] = METHODS[config.solver.method].order
    result["memory"] = {"peak_bytes": peak_bytes(device)}
    result["status"] = "completed"
