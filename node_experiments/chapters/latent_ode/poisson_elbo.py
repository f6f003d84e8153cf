"""The evidence lower bound of event times (Chen et al. 2018, section 5.1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from .chapter import PoissonLatentODEConfig
from .elbo import NegativeELBO

__all__ = ["PoissonTask", "constant_rate_log_likelihood", "poisson_task"]


class PoissonTask(NegativeELBO):
    """-ELBO with the likelihood of a Poisson process."""

    metric = "held_out_nll"
    higher_is_better = False

    def nll(self, model: Any, z0: Tensor, batch: Any) -> Tensor:
        return -model.log_likelihood(z0, batch.observed)

    def evaluate(self, model: nn.Module, batches: Iterable[Any]) -> dict[str, float]:
        """Loss (-ELBO), and negative log-likelihoods of held-out events.

        - `held_out_nll`: that of held-out events under the rate from the mean of z0, in nats per
          sequence
        - `held_out_nll_constant`: the same under the constant rate that fits the observed events
          best, and under each reference rate of the batch, such as `held_out_nll_true`
        - `rate_error`: mean absolute error of the rate relative to the mean rate, if the true rate
          is known
        """
        network: Any = model
        sums: dict[str, float] = defaultdict(float)
        total = 0
        for batch in batches:
            mean, loss = self.evaluated(network, batch)
            rules = {
                **batch.held_out_log_likelihood,
                "constant": constant_rate_log_likelihood(
                    batch.observed.mask.sum(1), batch.held_out.mask.sum(1), network.span
                ),
            }
            values = {
                "loss": loss,
                "held_out_nll": -network.log_likelihood(mean, batch.held_out),
                **{f"held_out_nll_{name}": -each for name, each in rules.items()},
            }
            if "true" in rules:
                true = batch.window.clean[..., 0]
                rate = network.rate(mean, batch.window.times)
                values["rate_error"] = (rate - true).abs().mean(1) / true.mean()
            for name, value in values.items():
                sums[name] += float(value.sum())
            total += len(mean)
        return {name: value / total for name, value in sums.items()}


def constant_rate_log_likelihood(seen: Tensor, events: Tensor, span: float) -> Tensor:
    """Log-likelihood of `events` events under the constant rate that fits `seen` events best.

    In nats, shape `(batch,)`.
    """
    return events * (seen / span).log() - seen


def poisson_task(settings: PoissonLatentODEConfig, data: Any) -> PoissonTask:
    """The task, with the samples and KL warm-up of the model's settings."""
    return PoissonTask(settings.samples, settings.kl_warmup)
