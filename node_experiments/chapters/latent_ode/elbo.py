"""The evidence lower bound of a latent ODE (Chen et al. 2018, section 5 and appendix E)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from .chapter import LatentODEConfig
from .forecasting import (
    forecast_metrics,
    gaussian_nll,
)

__all__ = ["LatentODETask", "latent_ode_task", "standard_normal_kl"]


class LatentODETask:
    """-ELBO per series in nats: Gaussian log-likelihood, analytic KL to N(0, 1).

    Args:
        samples: Draws of z0 for each series.
        kl_warmup: Steps over which the weight of the KL rises from 0 to 1; 1 at once when 0.
    """

    metric = "rmse"
    higher_is_better = False

    def __init__(self, samples: int = 1, kl_warmup: int = 0) -> None:
        self.samples, self.kl_warmup = samples, kl_warmup

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean over the batch, and its two parts."""
        weight = min(1.0, (step + 1) / self.kl_warmup) if self.kl_warmup else 1.0
        mean, log_variance = model.encode(batch.observed)
        noise = torch.randn(self.samples, *mean.shape, device=mean.device)
        z0 = mean + (log_variance / 2).exp() * noise
        nll = self.nll(model, z0, batch).mean()
        kl = standard_normal_kl(mean, log_variance).mean()
        return nll + weight * kl, {"nll": nll.detach(), "kl": kl.detach()}

    def nll(self, model: Any, z0: Tensor, batch: Any) -> Tensor:
        """Of the observations given z0 `(sample, batch, latent)`, shape `(sample, batch)`."""
        series = batch.observed
        predicted = model.decode(z0, series.times)
        return gaussian_nll(predicted, series.values, series.mask, model.log_noise_std)

    def evaluate(self, model: nn.Module, batches: Iterable[Any]) -> dict[str, float]:
        """-ELBO from one draw of z0 that is the same at every evaluation, and forecasts.

        Besides those of `forecast_metrics`: `reconstruction_rmse` and `reconstruction_rmse_noisy`
        on all points of the observed range.
        """
        network: Any = model
        losses, clean, noisy = [], [], []
        for batch in batches:
            mean, log_variance = network.encode(batch.observed)
            generator = torch.Generator(mean.device).manual_seed(0)
            noise = torch.randn(1, *mean.shape, generator=generator, device=mean.device)
            z0 = mean + (log_variance / 2).exp() * noise
            nll = self.nll(network, z0, batch)[0]
            losses.append(nll + standard_normal_kl(mean, log_variance))
            window = network.decode(mean, batch.window.times)
            clean.append((window - batch.window.clean).square().mean((1, 2)))
            noisy.append((window - batch.window.noisy).square().mean((1, 2)))
        return {
            "loss": float(torch.cat(losses).mean()),
            "reconstruction_rmse": math.sqrt(float(torch.cat(clean).mean())),
            "reconstruction_rmse_noisy": math.sqrt(float(torch.cat(noisy).mean())),
            **forecast_metrics(network, batches),
        }


def standard_normal_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) in nats, summed over the last axis."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)


def latent_ode_task(settings: LatentODEConfig, data: Any) -> LatentODETask:
    """The task with the draws and the warm-up of the model's settings."""
    return LatentODETask(settings.samples, settings.kl_warmup)
