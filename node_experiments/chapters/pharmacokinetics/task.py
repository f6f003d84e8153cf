"""Maximum likelihood with log-normal errors of concentrations, and pharmacology's metrics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...nn.likelihoods import BAND, gaussian_log_likelihood
from .chapter import PharmacokineticModelConfig

__all__ = ["Concentrations", "concentrations"]


@dataclass
class Concentrations:
    """Negative log-likelihood of log concentrations, in nats per concentration."""

    metric: str = "rms_percentage_error"
    higher_is_better: bool = False
    unit: str = "patients"

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean loss over all concentrations of the batch, 0-d, and its parts."""
        nll = negative_log_likelihoods(model, model(batch), batch).mean()
        return nll, {"nll": nll.detach()}

    def evaluate(self, model: Any, batches: Iterable[Any]) -> dict[str, float]:
        """Metrics over all concentrations.

        - `rms_percentage_error`: root mean square of (predicted - measured) / measured, in per
          cent; `median_percentage_error`: median of its absolute value
        - `mse_log`: mean squared error of natural logarithms
        - `coverage_90`: fraction of the concentrations within the 90 % band
        """
        parts = []
        for batch in batches:
            predicted = model(batch)
            nll = negative_log_likelihoods(model, predicted, batch)
            errors = (predicted - batch.values)[batch.mask]
            parts.append(torch.stack([nll.double(), errors.double()]))
        nll, errors = torch.cat(parts, 1)
        relative = 100 * torch.expm1(errors)
        inside = errors.abs() <= BAND * model.log_noise_std.exp()
        return {
            "loss": float(nll.mean()),
            "rms_percentage_error": float(relative.square().mean().sqrt()),
            "median_percentage_error": float(relative.abs().median()),
            "mse_log": float(errors.square().mean()),
            "coverage_90": float(inside.double().mean()),
        }


def negative_log_likelihoods(model: Any, predicted: Tensor, batch: Any) -> Tensor:
    """Negative log-likelihood of each measured concentration, shape `(concentration,)`."""
    terms = gaussian_log_likelihood(predicted, batch.values, model.log_noise_std)
    return -terms[batch.mask]


def concentrations(settings: PharmacokineticModelConfig, data: Any) -> Concentrations:
    """The task of all models of concentrations."""
    return Concentrations()
