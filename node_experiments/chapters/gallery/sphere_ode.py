"""A neural ODE as a classifier of points, plain or augmented (Dupont et al. 2019, section 5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ...nn.augmentation import append_zeros, warn_if_overaugmented
from ...nn.mlp import mlp
from ...nn.ode_module import ODEModule
from ...ode import Gradient, Solver
from .settings import SphereODEConfig
from .spheres import SphereData

__all__ = ["SphereFit", "SphereODE", "sphere_fit", "sphere_ode"]


class TimeDependentMLP(nn.Module):
    """f(t, z): an MLP of state and time with two hidden layers of ReLU."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.net = mlp([dim + 1, hidden, hidden, dim], "relu")

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """The derivative at a 0-d time and states `(batch, dim)`."""
        found: Tensor = self.net(torch.cat([z, t.to(z).expand(len(z), 1)], 1))
        return found


class SphereODE(ODEModule):
    """z(1) of dz/dt = f(t, z) from z(0) = (x, 0, ..., 0), and the score w . z(1) + b."""

    def __init__(
        self, dim: int, augment: int, hidden: int, solver: Solver, gradient: Gradient
    ) -> None:
        super().__init__(TimeDependentMLP(dim + augment, hidden), solver, gradient)
        self.augment = augment
        self.head = nn.Linear(dim + augment, 1)

    def features(self, x: Tensor, times: Tensor) -> Tensor:
        """States at `times`, `(time, batch, dim + augment)`, from points `(batch, dim)`."""
        states: Tensor = self.solve(append_zeros(x, self.augment), times)
        return states

    def forward(self, x: Tensor) -> Tensor:
        """The score of each point, shape `(batch,)`; its sign is the class."""
        found: Tensor = self.head(self.features(x, x.new_tensor([0.0, 1.0]))[-1])
        return found.squeeze(1)


class SphereFit:
    """Mean squared error of the score against the classes -1 and 1."""

    metric = "accuracy"
    higher_is_better = True

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error of a batch of points."""
        return (model(batch.x) - batch.y).square().mean(), {}

    def evaluate(self, model: Any, batches: Iterable[Any]) -> dict[str, float]:
        """The loss, and the fraction of points whose score has the right sign."""
        pairs = [(model(batch.x), batch.y) for batch in batches]
        found, true = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        return {
            "loss": float((found - true).square().mean()),
            "accuracy": float((found * true > 0).double().mean()),
        }


def sphere_ode(
    settings: SphereODEConfig, data: SphereData, solver: Solver, gradient: Gradient
) -> SphereODE:
    """Build the classifier of the data's points; warn if it is augmented too much."""
    warn_if_overaugmented(settings.augment, data.dim)
    return SphereODE(data.dim, settings.augment, settings.hidden, solver, gradient)


def sphere_fit(settings: Any, data: Any) -> SphereFit:
    """The task of classifying the spheres, which has no settings."""
    return SphereFit()
