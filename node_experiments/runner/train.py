"""Training in one process of a run: build all parts, restore a checkpoint, fit the model."""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf
from rich.console import Console
from torch import nn

from ..config import ConfigError, RunConfig
from ..errors import SweepError
from ..nn.ode_module import solving_modules
from ..ode import Solver
from ..runs.result import Best, Evaluations, Findings, Memory, Tested
from ..tracking.figures import Figures
from ..tracking.loggers import Tracking, make_loggers
from ..tracking.progress import EpochLines, ProgressBar, ProgressLines
from ..tracking.records import MetricsFile
from ..training.checkpoints import CheckpointError, Checkpoints, load_last
from ..training.device import prepare_process, select_device
from ..training.distributed import Group
from ..training.loop import Callback, Trainer
from ..training.memory import MemoryMeter
from ..training.signals import StopRequest
from ..training.solver_statistics import SolverStatistics
from ..training.task import Task
from ..training.timing import Timing
from . import build
from .after_training import calibrate, check_that_it_learned
from .data_files import fingerprints
from .ending import Unfinished, ending_of
from .tracked_run import tracked_run
from .unused_settings import check_overrides_have_effect

__all__ = ["fit", "prepare", "tested", "trainable_parameters"]

# Solver whose gradient `gradient/error` takes as exact.
REFERENCE_SOLVER = Solver("dopri5", rtol=1e-5, atol=1e-5)

log = logging.getLogger(__name__)


def prepare(config: RunConfig) -> torch.device:
    """Seed this process and set it up; return the device."""
    prepare_process(config.seed, config.trainer.threads, config.trainer.deterministic)
    return select_device(config.trainer.device)


def fit(
    config: RunConfig,
    folder: Path,
    device: torch.device,
    choices: dict[str, Any],
    bar: Console | None,
    group: Group,
    stop: StopRequest,
) -> Findings:
    """Train the model of the configuration, resuming from the folder's last checkpoint if any.

    Args:
        choices: The choice in each configuration group, for the dashboards.
        bar: Console on which to draw a progress bar; None for no bar.
        stop: Checked between steps.

    Returns:
        Metrics of the last and of the best epoch, and the cost of the training.

    Raises:
        Unfinished: Training was interrupted, failed or diverged.
    """
    settings = config.trainer
    data = build.build_data(config, device)
    if settings.overfit or settings.limit_batches is not None:
        from ..training.batches import shorten

        shorten(data, settings.overfit, settings.limit_batches)
    model = build.build_model(config, data, device)
    task = build.build_task(config, data)
    optimizer = build.build_optimizer(config, model)
    steps_per_epoch = math.ceil(len(data.train) / settings.accumulate)
    scheduler = build.build_scheduler(config, optimizer, steps_per_epoch)
    parameters = trainable_parameters(model)
    check_patience(config, data)
    check_direction(task)

    timing = Timing()
    callbacks: list[Callback] = [SolverStatistics(), MemoryMeter(), timing]
    if settings.gradient_error and solving_modules(model):
        from ..nn.swap_solver import temporary_solver
        from ..ode import Discrete
        from ..training.gradient_error import GradientError

        callbacks.append(
            GradientError(partial(temporary_solver, solver=REFERENCE_SOLVER, gradient=Discrete()))
        )
    trackers: list[Callback] = []
    tracking = None
    checkpoint = group.from_first(load_last(folder) if group.rank == 0 else None)
    if checkpoint is None:
        check_overrides_have_effect(config, model)
    if group.rank == 0:
        log.info("%s: %d parameters on %s, in %s", config.name, parameters, device, folder)
        run = tracked_run(config, folder, choices, task.metric, bool(solving_modules(model)))
        if checkpoint is not None:
            # Points at the last step of an unfinished epoch may include its evaluation, or not.
            valid = checkpoint["step"] - (checkpoint["index"] > 0)
            run = replace(run, valid_until=valid)
        tracking = Tracking(
            make_loggers(settings.loggers, run), run.valid_until, zero_tags(config)
        )
        trackers = [
            MetricsFile(folder),
            tracking,
            EpochLines(),
            ProgressLines(shown=bar is None),
            Figures(folder / "figures", tracking.figure, config.name, build.build_figures(config)),
            *build.build_callbacks(config, folder),
        ]
        if settings.profile:
            from ..training.profiler import Profiler

            trackers.append(Profiler(folder / "profile"))
        if bar is not None:
            trackers.append(ProgressBar(bar, "compiling" if settings.compile else "starting"))
    last = Checkpoints(
        folder / "checkpoints",
        {"config": asdict(config), "files": fingerprints(config)},
        settings.checkpoint_minutes,
        stop,
    )
    trainer = Trainer(
        task,
        model,
        optimizer,
        scheduler,
        data,
        [*callbacks, *trackers, last],
        epochs=settings.epochs,
        device=device,
        precision=settings.precision,
        clip_norm=settings.clip_norm,
        accumulate=settings.accumulate,
        log_every=settings.log_every,
        evaluate_every=settings.evaluate_every,
        patience=settings.patience,
        group=group,
    )
    if group.size > 1:
        # The same initial weights everywhere, but different noise in every process.
        torch.manual_seed(config.seed * 1_000_003 + group.rank)
    status = "failed"
    try:
        if checkpoint is not None:
            restore_training_state(trainer, checkpoint, config, folder)
        elif settings.init_from is not None:
            from .warm_start import start_from

            start_from(settings.init_from, model, data, device)
        try:
            with torch.autograd.set_detect_anomaly(settings.detect_anomaly):
                trainer.fit()
                check_that_it_learned(trainer)
                if group.rank == 0:
                    calibrate(trainer, last, folder)
                    if trainer.history and hasattr(task, "error_table"):
                        from .error_report import report_errors

                        report_errors(task, model, data, folder)
            status = "completed"
        except (Exception, KeyboardInterrupt) as error:
            ending = ending_of(error, stop, config.mode)
            status = ending.status
            raise Unfinished(findings(trainer, parameters, timing), ending) from error
    finally:
        # Loggers must finish writing before anyone removes the folder of a failed run.
        if tracking is not None:
            tracking.close(status)
    return findings(trainer, parameters, timing)


def restore_training_state(
    trainer: Trainer, checkpoint: dict[str, Any], config: RunConfig, folder: Path
) -> None:
    """Restore the state of a checkpoint.

    Raises:
        CheckpointError: It is that of another model, or of another number of processes.
    """
    check_ranks(checkpoint, trainer.group.size, folder)
    try:
        trainer.load_state_dict(checkpoint)
    except Exception as error:  # damaged content can raise any error
        raise CheckpointError(
            f"the checkpoint in {folder} holds no state of {config.name} as it is configured now; "
            "resume with the version that wrote it, or start a new run"
        ) from error
    if trainer.group.rank == 0:
        log.info("resumed after step %d, in epoch %d", trainer.step, trainer.epoch + 1)


def check_ranks(checkpoint: dict[str, Any], size: int, folder: Path) -> None:
    """Check that a checkpoint is resumed by as many processes as wrote it.

    Raises:
        CheckpointError: The numbers differ.
    """
    if len(checkpoint["ranks"]) != size:
        raise CheckpointError(
            f"the run in {folder} was trained by {len(checkpoint['ranks'])} processes; "
            f"resume with as many, not {size}"
        )


def findings(trainer: Trainer, parameters: int, timing: Timing) -> Findings:
    """Metrics of the last and of the best epoch, function evaluations and memory."""
    last = trainer.history[-1] if trainer.history else {}
    metric = trainer.task.metric
    choice = trainer.best_epoch
    best = None if choice.value is None else Best(choice.tag, trainer.reported)
    found = Findings(
        metrics=last,
        best=best,
        parameters=parameters,
        metric=metric,
        nfe=Evaluations(last.get("nfe/forward"), last.get("nfe/backward")),
        memory=Memory(last.get("memory/saved_bytes"), last.get("memory/peak_bytes")),
        earlier_seconds=timing.earlier_seconds,
        tested=tested(trainer),
        class_counts=getattr(trainer.data, "class_counts", None),
    )
    if choice.stopped and trainer.epoch < trainer.epochs:
        found.stopped = f"patience, no better {choice.tag} in {choice.patience} evaluations"
    found.objective = found.reported.get(choice.tag, found.reported.get(f"{metric}/test"))
    return found


def check_direction(task: Task) -> None:
    """Check that a search, if this run is one of its trials, optimises in the right direction.

    Raises:
        SweepError: It would find the worst settings.
    """
    settings = HydraConfig.get() if HydraConfig.initialized() else None
    if settings is None or settings.mode != RunMode.MULTIRUN:
        return
    direction = OmegaConf.select(settings.sweeper, "direction")
    better = "maximize" if task.higher_is_better else "minimize"
    if direction is not None and getattr(direction, "name", direction) != better:
        kind = "a score" if task.higher_is_better else "an error"
        raise SweepError(
            f"hydra.sweeper.direction={getattr(direction, 'name', direction)} finds the worst "
            f"settings, for {task.metric!r} is {kind}; set hydra.sweeper.direction={better}"
        )


def check_patience(config: RunConfig, data: Any) -> None:
    """Check that early stopping can work, and log its effect on a schedule over all epochs.

    Raises:
        ConfigError: There is no validation data.
    """
    if config.trainer.patience is None:
        return
    if data.validation is None:
        raise ConfigError(
            "trainer.patience stops by the validation metric, and there is no validation data; "
            "set dataset.validation_size above 0, or trainer.patience=null"
        )
    if config.scheduler.name in config.scheduler.OVER_ALL_EPOCHS:
        log.info(
            "the schedule %s is laid over all %d epochs: if trainer.patience stops earlier, "
            "the learning rate will not have decayed",
            config.scheduler.name,
            config.trainer.epochs,
        )


def trainable_parameters(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def tested(trainer: Trainer) -> Tested | None:
    """Number of samples of the last test, and their unit; None if it is not known."""
    if not trainer.tested:
        return None
    return Tested(trainer.tested, getattr(trainer.task, "unit", "samples"))


def zero_tags(config: RunConfig) -> list[str]:
    """Tags that are always zero in this run, so that no chart has a line for them."""
    found = []
    if config.gradient.name == "backprop":
        found.append("nfe/backward")
    if build.build_solver(config.solver).fixed_steps:
        found.append("solver/rejected")
    return found
