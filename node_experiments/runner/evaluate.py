"""`mode=eval`: test metrics of a checkpoint, perhaps with another solver; chapters' own modes."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import torch

from ..chapters import modes
from ..chapters.chapter import resolve
from ..config import RunConfig
from ..files import write_atomically
from ..nn.ode_module import solving_modules
from ..runs.result import Findings, Memory, SavedEpoch
from ..training.loop import Trainer
from ..training.memory import peak_bytes
from ..training.solver_statistics import CountedBatches
from . import build
from .data_files import file_names, fingerprints, same_data
from .ending import Unfinished
from .restore import rebuild
from .train import tested, trainable_parameters

__all__ = ["evaluate", "run_mode"]

log = logging.getLogger(__name__)


def evaluate(config: RunConfig, folder: Path, device: torch.device) -> Findings:
    """Measure the test metrics of a checkpoint, and report how its model was trained.

    The details of a task are written to JSON files, by which two evaluations can be compared.

    Raises:
        CheckpointError: The checkpoint cannot be read, or holds the weights of another model.
        Unfinished: The evaluation failed; its findings name the model.
    """
    trained = rebuild(config, device)
    if not same_data(trained.files, now := fingerprints(config)):
        log.warning(
            "%s is not what the model was trained on: that was %s",
            file_names(now),
            file_names(trained.files or []),
        )
    model, data = trained.model, trained.data
    found = Findings(trained=trained.origin, parameters=trainable_parameters(model))
    task = build.build_task(config, data)
    optimizer = build.build_optimizer(config, model)  # a trainer needs one; it takes no step
    trainer = Trainer(
        task,
        model,
        optimizer,
        build.build_scheduler(config, optimizer, 1),
        data,
        epochs=1,
        device=device,
        precision=config.trainer.precision,
    )
    test = CountedBatches(data.test, model)
    try:
        values = trainer.evaluate(test)
        if hasattr(task, "coverage_metrics"):
            values |= task.coverage_metrics(model, data)
        if hasattr(task, "error_table"):
            from .error_report import report_errors

            report_errors(task, model, data, folder)
        for name, content in getattr(task, "details", dict)().items():
            write_details(folder / f"{name}.json", content)
    except (Exception, KeyboardInterrupt) as error:
        raise Unfinished(found) from error
    found.metric = task.metric
    found.tested = tested(trainer)
    counts = getattr(data, "class_counts", None)
    found.class_counts = None if counts is None else {"test": counts["test"]}
    found.of_checkpoint = SavedEpoch(str(trained.file), trained.epoch)
    found.metrics = {f"{name}/test": value for name, value in values.items()}
    if test.solves:
        found.metrics["nfe/forward"] = test.evaluations / test.solves
        # Parts of a model may have different methods.
        orders = {module.solver.properties.order for module in solving_modules(model)}
        found.solver_order = orders.pop() if len(orders) == 1 else None
    found.memory = Memory(peak_bytes=peak_bytes(device))
    return found


def write_details(path: Path, content: Any) -> None:
    """Write a task's details as one line of JSON."""
    text = json.dumps(content).encode()
    write_atomically(path, lambda file: file.write(text))


def run_mode(config: RunConfig, folder: Path, device: torch.device) -> Findings:
    """Run a chapter's mode on the model of a checkpoint.

    Raises:
        CheckpointError: The checkpoint cannot be read, or holds the weights of another model.
    """
    trained = rebuild(config, device)
    resolve(modes()[config.mode].run)(trained, config, folder, device)
    return Findings(trained=trained.origin, parameters=trainable_parameters(trained.model))
