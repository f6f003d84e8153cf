"""Task of fitting a map of the line with two networks at once, each with its squared error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["MapFit", "map_fit"]


class MapFit:
    """Mean squared errors of a residual and an ODE network, in squared units of the state."""

    metric = "rmse"
    higher_is_better = False

    def loss(self, model: nn.Module, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum of the errors, 0-d; no parameter affects both."""
        residual, ode = errors(model, batch)
        return residual + ode, {}

    def evaluate(self, model: nn.Module, batches: Iterable[Any]) -> dict[str, float]:
        """Loss, the root mean squared error of each network, and that of the worse one, `rmse`."""
        both = torch.tensor([[float(e) for e in errors(model, batch)] for batch in batches])
        residual, ode = both.mean(0).tolist()
        return {
            "loss": residual + ode,
            "rmse": max(residual, ode) ** 0.5,
            "rmse_residual": residual**0.5,
            "rmse_ode": ode**0.5,
        }


def errors(model: nn.Module, batch: Any) -> list[Tensor]:
    """Mean squared errors of both networks, 0-d each."""
    return [(found - batch.y).square().mean() for found in model(batch.x)]


def map_fit(settings: Any, data: Any) -> MapFit:
    """The task of Figure 1, which has no settings."""
    return MapFit()
