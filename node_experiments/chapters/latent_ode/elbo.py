"""The evidence lower bound of a latent ODE (Chen et al. 2018, section 5 and appendix E)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ...nn.likelihoods import gaussian_nll, sample_normal, standard_normal_kl
from .chapter import LatentODEConfig
from .forecasting import ForecastErrors

__all__ = ["LatentODETask", "NegativeELBO", "latent_ode_task"]


class NegativeELBO:
    """-ELBO per series in nats: negative log-likelihood plus the analytic KL to N(0, 1).

    Args:
        samples: Draws of z0 for each series.
        kl_warmup: Steps over which the weight of the KL rises from 0 to 1; if 0, it is always 1.
    """

    def __init__(self, samples: int = 1, kl_warmup: int = 0) -> None:
        self.samples, self.kl_warmup = samples, kl_warmup

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean loss over the batch, 0-d, and its two parts."""
        weight = min(1.0, (step + 1) / self.kl_warmup) if self.kl_warmup else 1.0
        mean, log_variance = model.encode(batch.observed)
        z0 = sample_normal(mean, log_variance, self.samples)
        nll = self.nll(model, z0, batch).mean()
        kl = standard_normal_kl(mean, log_variance).mean()
        return nll + weight * kl, {"nll": nll.detach(), "kl": kl.detach()}

    def evaluated(self, model: Any, batch: Any) -> tuple[Tensor, Tensor]:
        """Mean of z0, and -ELBO `(batch,)` from a draw that is the same in every evaluation."""
        mean, log_variance = model.encode(batch.observed)
        generator = torch.Generator(mean.device).manual_seed(0)
        z0 = sample_normal(mean, log_variance, 1, generator)
        return mean, self.nll(model, z0, batch)[0] + standard_normal_kl(mean, log_variance)

    def nll(self, model: Any, z0: Tensor, batch: Any) -> Tensor:
        """Negative log-likelihood given z0 `(sample, batch, latent)`, shape `(sample, batch)`."""
        raise NotImplementedError


class LatentODETask(NegativeELBO):
    """-ELBO with a Gaussian likelihood of the observations."""

    metric = "rmse"
    higher_is_better = False

    def nll(self, model: Any, z0: Tensor, batch: Any) -> Tensor:
        series = batch.observed
        predicted = model.decode(z0, series.times)
        return gaussian_nll(predicted, series.values, series.mask, model.log_noise_std)

    def evaluate(self, model: nn.Module, batches: Iterable[Any]) -> dict[str, float]:
        """Loss (-ELBO from a fixed draw of z0), reconstruction and forecast errors.

        `reconstruction_rmse` and `reconstruction_rmse_noisy` are over all points of the observed
        range, against the curve without and with noise.
        """
        network: Any = model
        losses, clean, noisy, forecasts = [], [], [], ForecastErrors()
        for batch in batches:
            mean, loss = self.evaluated(network, batch)
            losses.append(loss)
            window = network.decode(mean, batch.window.times)
            clean.append((window - batch.window.clean).square().mean((1, 2)))
            noisy.append((window - batch.window.noisy).square().mean((1, 2)))
            forecasts.add(network, batch)
        return {
            "loss": float(torch.cat(losses).mean()),
            "reconstruction_rmse": math.sqrt(float(torch.cat(clean).mean())),
            "reconstruction_rmse_noisy": math.sqrt(float(torch.cat(noisy).mean())),
            **forecasts.metrics(),
        }


def latent_ode_task(settings: LatentODEConfig, data: Any) -> LatentODETask:
    """The task, with the samples and KL warm-up of the model's settings."""
    return LatentODETask(settings.samples, settings.kl_warmup)
