"""Density matching: fit a flow to a known density, without data (section 4.1, Figure 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from .energies import EnergyData
from .grid import integral

__all__ = ["DensityMatching", "density_matching"]


class DensityMatching:
    """KL(q || p) in nats, estimated from samples of the flow q.

    Args:
        log_density: log p of points `(batch, dim)`, normalised, so that the divergence is at
            least 0.
    """

    metric = "kl"
    higher_is_better = False

    def __init__(self, log_density: Callable[[Tensor], Tensor]) -> None:
        self.log_density = log_density

    def loss(self, model: Any, batch: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean of log q - log p over samples from standard normal noise `(batch, dim)`."""
        samples, log_q = model.sample(batch)
        loss = (log_q - self.log_density(samples)).mean()
        return loss, {"kl": loss.detach()}

    def evaluate(self, model: nn.Module, batches: Iterable[Tensor]) -> dict[str, float]:
        """The divergence, and other measures of the quality of the flow.

        - `kl`, `kl_se`: the divergence, and its standard error over samples
        - `effective_samples`: effective sample size of importance weights p/q, as a fraction
        - `normalization`: the integral of the flow's density over a box that contains its samples
        """
        flow: Any = model
        drawn = [flow.sample(batch) for batch in batches]
        samples, log_q = (torch.cat(parts) for parts in zip(*drawn, strict=True))
        log_ratio = (log_q - self.log_density(samples)).double()
        log_weights = -log_ratio
        log_sample_size = 2 * torch.logsumexp(log_weights, 0) - torch.logsumexp(2 * log_weights, 0)
        kl = float(log_ratio.mean())
        return {
            "loss": kl,
            "kl": kl,
            "kl_se": float(log_ratio.std() / len(log_ratio) ** 0.5),
            "effective_samples": float(log_sample_size.exp()) / len(log_ratio),
            "normalization": integral(flow, samples),
        }


def density_matching(settings: Any, data: EnergyData) -> DensityMatching:
    """The task of fitting a flow to the target density of the data."""
    return DensityMatching(data.log_density)
