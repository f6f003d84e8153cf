"""Construction of optimisers and learning-rate schedules, ours and those of chapters."""

from __future__ import annotations

from dataclasses import asdict

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..chapters import optimizers, schedulers
from ..chapters.chapter import call
from ..config import RunConfig, known
from ..config.run import OptimizerConfig, SchedulerConfig
from ..training.optimizers import make_optimizer, make_scheduler

__all__ = ["build_optimizer", "build_scheduler", "check_optimizers", "settings_read"]


def settings_read() -> dict[str, dict[str, tuple[str, ...]]]:
    """The settings that each optimiser and each schedule reads, by group and name."""
    added = {"optimizer": optimizers(), "scheduler": schedulers()}
    ours = {"optimizer": OptimizerConfig.SETTINGS, "scheduler": SchedulerConfig.SETTINGS}
    return {
        group: {**ours[group], **{name: each.used_settings for name, each in added[group].items()}}
        for group in ours
    }


def check_optimizers(config: RunConfig) -> None:
    """Check the names of optimiser and schedule.

    Raises:
        ConfigError: One is unknown.
    """
    for group, names in settings_read().items():
        known(getattr(config, group).name, names, group)


def build_optimizer(config: RunConfig, model: nn.Module) -> Optimizer:
    """Build the optimiser of all parameters."""
    check_optimizers(config)
    settings, parameters = config.optimizer, model.parameters()
    if (own := optimizers().get(settings.name)) is None:
        return make_optimizer(parameters, **asdict(settings))
    built: Optimizer = call(own.build, parameters=parameters, settings=settings)
    return built


def build_scheduler(config: RunConfig, optimizer: Optimizer, steps_per_epoch: int) -> LRScheduler:
    """Build the learning-rate schedule over the whole training."""
    check_optimizers(config)
    settings, total_steps = config.scheduler, config.trainer.epochs * steps_per_epoch
    if (own := schedulers().get(settings.name)) is None:
        return make_scheduler(
            optimizer,
            total_steps=total_steps,
            steps_per_epoch=steps_per_epoch,
            **asdict(settings),
        )
    built: LRScheduler = call(
        own.build,
        optimizer=optimizer,
        settings=settings,
        total_steps=total_steps,
        steps_per_epoch=steps_per_epoch,
    )
    return built
