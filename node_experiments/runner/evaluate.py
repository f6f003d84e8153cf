"""`mode=eval`: test metrics of a checkpoint, also with another solver than it was trained with."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from ..chapters.image_classification.task import Classification
from ..config import RunConfig
from ..ode.methods import METHODS
from ..runs.files import write_atomically
from ..runs.result import Findings, Memory
from ..training.loop import Trainer
from ..training.memory import peak_bytes
from ..training.solver_statistics import CountedBatches
from . import build
from .ending import Unfinished
from .restore import rebuild
from .train import trainable_parameters

__all__ = ["evaluate"]


def evaluate(config: RunConfig, folder: Path, device: torch.device) -> Findings:
    """The test metrics, and how the model was trained.

    Of a classifier, the numbers of the test images that it got wrong go to `wrong.json`: another
    test on the same images can then be compared with this one image by image.

    Raises:
        CheckpointError: The checkpoint cannot be read, or holds the weights of another model.
        Unfinished: The evaluation failed; what was found says of which model it was.
    """
    trained = rebuild(config, device)
    model, data = trained.model, trained.data
    found = Findings(trained=trained.origin, parameters=trainable_parameters(model))
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
    try:
        values = trainer.evaluate(test)
        if isinstance(task, Classification):
            wrong = {"images": len(task.wrong), "wrong": task.wrong.nonzero().flatten().tolist()}
            text = json.dumps(wrong).encode()
            write_atomically(folder / "wrong.json", lambda file: file.write(text))
    except (Exception, KeyboardInterrupt) as error:
        raise Unfinished(found) from error
    found.metric = task.metric
    found.metrics = {f"{name}/test": value for name, value in values.items()}
    if test.solves:
        found.metrics["nfe/forward"] = test.evaluations / test.solves
        found.solver_order = METHODS[config.solver.method].order
    found.memory = Memory(peak_bytes=peak_bytes(device))
    return found
