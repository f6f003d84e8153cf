"""Optimisers and learning-rate schedules; every schedule counts steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.optim import Optimizer, lr_scheduler

__all__ = ["make_optimizer", "make_scheduler"]


def make_optimizer(
    parameters: Iterable[nn.Parameter],
    name: str,
    lr: float,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    nesterov: bool = False,
    beta1: float = 0.9,
    beta2: float = 0.999,
) -> Optimizer:
    """The optimiser of that name, a key of `OptimizerConfig.SETTINGS`; fused if possible."""
    if name == "sgd":
        return torch.optim.SGD(
            parameters, lr, momentum, weight_decay=weight_decay, nesterov=nesterov, fused=True
        )
    if name == "rmsprop":
        return torch.optim.RMSprop(parameters, lr, momentum=momentum, weight_decay=weight_decay)
    if name == "adamax":
        return torch.optim.Adamax(parameters, lr, (beta1, beta2), weight_decay=weight_decay)
    adam = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
    return adam(parameters, lr, (beta1, beta2), weight_decay=weight_decay, fused=True)


def make_scheduler(
    optimizer: Optimizer,
    name: str,
    total_steps: int,
    steps_per_epoch: int,
    epochs: Sequence[int] = (),
    factor: float = 0.1,
    warmup: float = 0.3,
    floor: float = 0.1,
) -> lr_scheduler.LRScheduler:
    """The schedule of that name, a key of `SchedulerConfig.SETTINGS`, stepped once per step.

    `one_cycle` (Smith & Topin 2018) also varies the momentum, or Adam's beta1, against the rate:
    0.9 from 0.95 to 0.85 and back, and any other value m by (1 - m) / 2 up and down.
    """
    if name == "step":
        milestones = [epoch * steps_per_epoch for epoch in epochs]
        return lr_scheduler.MultiStepLR(optimizer, milestones, gamma=factor)
    if name == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimizer, T_max=total_steps)
    if name == "one_cycle":
        momentum = momentum_of(optimizer)
        half = (1 - momentum) / 2
        return lr_scheduler.OneCycleLR(
            optimizer,
            optimizer.defaults["lr"],
            # One more than are made: the schedule raises when it is stepped after its last step.
            total_steps=total_steps + 1,
            pct_start=warmup,
            cycle_momentum=momentum > 0,
            base_momentum=round(momentum - half, 12),
            max_momentum=round(momentum + half, 12),
        )
    if name == "exponential":
        return lr_scheduler.LambdaLR(optimizer, lambda step: max(factor**step, floor))
    return lr_scheduler.ConstantLR(optimizer, factor=1.0, total_iters=0)


def momentum_of(optimizer: Optimizer) -> float:
    """The momentum of an optimiser, or Adam's beta1; 0 if it has neither."""
    defaults = optimizer.defaults
    return defaults["momentum"] if "momentum" in defaults else defaults.get("betas", (0.0,))[0]
