"""The evidence lower bound of event times (Chen et al. 2018, section 5.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from .chapter import PoissonLatentODEConfig
from .elbo import standard_normal_kl

__all__ = ["PoissonTask", "constant_rate_log_likelihood", "poisson_task"]


class PoissonTask:
    """-ELBO per sequence in nats: Poisson process likelihood, analytic KL to N(0, 1).

    Args:
        samples: Draws of z0 for each sequence.
        kl_warmup: Steps over which the weight of the KL rises from 0 to 1; 1 at once when 0.
    """

    metric = "held_out_nll"
    higher_is_better = False

    def __init__(self, samples: int = 1, kl_warmup: int = 0) -> None:
        self.samples, self.kl_warmup = samples, kl_warmup

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean over the batch, and its two parts."""
        weight = min(1.0, (step + 1) / self.kl_warmup) if self.kl_warmup else 1.0
        mean, log_variance = model.encode(batch.observed)
        noise = torch.randn(self.samples, *mean.shape, device=mean.device)
        z0 = mean + (log_variance / 2).exp() * noise
        nll = -model.log_likelihood(z0, batch.observed).mean()
        kl = standard_normal_kl(mean, log_variance).mean()
        return nll + weight * kl, {"nll": nll.detach(), "kl": kl.detach()}

    def evaluate(self, model: nn.Module, batches: Iterable[Any]) -> dict[str, float]:
        """-ELBO, and how well the inferred rate foretells a second draw of events.

        - `held_out_nll`: of the second draw under the rate from the mean of z0, in nats a sequence
        - `held_out_nll_true`, `held_out_nll_constant`: the same under the true rate, and under
          the constant one that fits the observed events best
        - `rate_error`: mean absolute error of the rate, as a share of its mean
        """
        network: Any = model
        sums = dict.fromkeys(
            ("loss", "held_out_nll", "held_out_nll_true", "held_out_nll_constant", "rate_error"),
            0.0,
        )
        total = 0
        for batch in batches:
            mean, log_variance = network.encode(batch.observed)
            generator = torch.Generator(mean.device).manual_seed(0)
            noise = torch.randn(1, *mean.shape, generator=generator, device=mean.device)
            z0 = mean + (log_variance / 2).exp() * noise
            seen = network.log_likelihood(z0, batch.observed)[0]
            true = batch.window.clean[..., 0]
            rate = network.rate(mean, batch.window.times)
            values = {
                "loss": standard_normal_kl(mean, log_variance) - seen,
                "held_out_nll": -network.log_likelihood(mean, batch.twin),
                "held_out_nll_true": -batch.twin_log_likelihood,
                "held_out_nll_constant": -constant_rate_log_likelihood(
                    batch.observed.mask.sum(1), batch.twin.mask.sum(1), network.span
                ),
                "rate_error": (rate - true).abs().mean(1) / true.mean(),
            }
            for name, value in values.items():
                sums[name] += float(value.sum())
            total += len(mean)
        return {name: value / total for name, value in sums.items()}


def constant_rate_log_likelihood(seen: Tensor, events: Tensor, span: float) -> Tensor:
    """Of `events` under the constant rate that fits `seen` events best, in nats, `(batch,)`."""
    return events * (seen / span).log() - seen


def poisson_task(settings: PoissonLatentODEConfig, data: Any) -> PoissonTask:
    """The task with the draws and the warm-up of the model's settings."""
    return PoissonTask(settings.samples, settings.kl_warmup)
