"""A pendulum driven by a torque, and records of it under random torques.

    d theta / dt = omega,   d omega / dt = -g sin(theta) - b omega + u(t)

theta = 0 is hanging, theta = pi upright. Each record has its own time span T: with s = t / T from
0 to 1, the records are solved as one batch, dy/ds = T f(y, u(s T)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ...data.seeded_batches import SeededBatches
from ...ode import ControlInput, Solver, solve
from .settings import PendulumConfig

__all__ = [
    "KNOTS",
    "PendulumBatch",
    "PendulumData",
    "TruePendulum",
    "pendulum_data",
    "random_torques",
]

KNOTS = 5  # knots of the torque of a record
TIGHT = Solver("dopri5", rtol=1e-7, atol=1e-7)


@dataclass
class TruePendulum:
    """The true vector field, which generates records and executes plans."""

    gravity: float
    damping: float

    def __call__(self, s: Tensor, y: Tensor, u: ControlInput, span: Tensor) -> Tensor:
        """dy/ds of states (theta, omega) `(batch, 2)`, with a span `(batch, 1)`."""
        theta, omega = y[:, :1], y[:, 1:]
        force = u(s) - self.gravity * theta.sin() - self.damping * omega
        return span * torch.cat([omega, force], 1)

    def records(self, start: Tensor, u: ControlInput, span: Tensor, times: Tensor) -> Tensor:
        """Solve for the states at the fractions `times` of each span, `(time, batch, 2)`."""
        states: Tensor = solve(self, start, times, TIGHT, args=(u, span)).ys
        return states


@dataclass
class PendulumBatch:
    """Records under known torques.

    Attributes:
        times: Fractions of the span, from 0 to 1, shape `(time,)`.
        states: (theta, omega) in rad and rad/s, shape `(time, batch, 2)`.
        torque: u at fractions of the span, a path for each record.
        span: Time span in seconds, shape `(batch, 1)`.
    """

    times: Tensor
    states: Tensor
    torque: ControlInput
    span: Tensor

    def __len__(self) -> int:
        return len(self.span)


@dataclass
class PendulumData:
    """Records for training, drawn from a pool for every batch, and others for testing."""

    train: SeededBatches[PendulumBatch]
    validation: None
    test: list[PendulumBatch]
    truth: TruePendulum
    settings: PendulumConfig


def random_torques(records: int, largest: float, generator: Generator) -> ControlInput:
    """Piecewise linear paths on [0, 1] through values uniform in [-largest, largest]."""
    values = (2 * torch.rand(records, KNOTS, 1, generator=generator) - 1) * largest
    return ControlInput(torch.linspace(0, 1, KNOTS), values)


def pendulum_data(
    settings: PendulumConfig, seed: int = 0, device: torch.device | None = None
) -> PendulumData:
    """Generate records with random initial angles and speeds."""
    truth = TruePendulum(settings.gravity, settings.damping)
    times = torch.linspace(0, 1, settings.samples, device=device)

    def draw(records: int, generator: Generator) -> PendulumBatch:
        u = torch.rand(records, 3, generator=generator)
        scale = torch.tensor([2 * math.pi, 2 * settings.speed])
        start = ((u[:, :2] - 0.5) * scale).to(device)
        low, high = settings.spans
        span = (low + (high - low) * u[:, 2:]).to(device)
        torque = random_torques(records, settings.torque, generator).to(times.device)
        return PendulumBatch(times, truth.records(start, torque, span, times), torque, span)

    pool = draw(settings.records, torch.Generator().manual_seed(seed))
    test = draw(200, torch.Generator().manual_seed(seed + 1_000_000_007))

    def batch(generator: Generator) -> PendulumBatch:
        some = torch.randperm(settings.records, generator=generator)[: settings.batch_size]
        some = some.to(times.device)
        torque = ControlInput(pool.torque.times, pool.torque.values[some])
        return PendulumBatch(times, pool.states[:, some], torque, pool.span[some])

    train = SeededBatches(batch, settings.batches, seed)
    return PendulumData(train, None, [test], truth, settings)
