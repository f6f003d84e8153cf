"""`mode=eval`: test metrics of a checkpoint, also with another solver than it was trained with."""

from __future__ import annotations

from typing import Any

import torch

from . import build
from .config import RunConfig
from .ode.methods import METHODS
from .trained import rebuild
from .training.loop import Trainer
from .training.memory import peak_bytes
from .training.solver_statistics import solve_statistics

__all__ = ["evaluate"]


def evaluate(config: RunConfig, device: torch.device, result: dict[str, Any]) -> None:
    """Fill `result` with the test metrics, and with how the model was trained.

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
    values = trainer.evaluate(data.test)
    result["metric"] = task.metric
    result["metrics"] = {f"{name}/test": value for name, value in values.items()}
    solves = solve_statistics(model)
    if solves:
        result["metrics"]["nfe/forward"] = solves[-1].forward.evaluations
        result["solver_order"] = METHODS[config.solver.method].order
    result["memory"] = {"peak_bytes": peak_bytes(device)}
    result["status"] = "completed"
