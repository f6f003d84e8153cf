"""Training tasks of variational autoencoders of series (Rubanova et al. 2019, section 3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...nn.likelihoods import gaussian_log_likelihood, standard_normal_kl
from .forecast_data import ForecastData
from .rnn_vae import at_places
from .settings import SeriesModelConfig
from .tasks import SeriesTask, errors, joined_series, likelihoods

__all__ = [
    "EVALUATION_SAMPLES",
    "EvidenceBoundTask",
    "VariationalSeriesTask",
    "variational_series",
]


EVALUATION_SAMPLES = 3  # official_code: draws of z0 over which published errors are averaged


@dataclass
class VariationalSeriesTask(SeriesTask):
    """-log sum over draws of z0 of exp(log-likelihood - weight * KL), as in the official code.

    Both terms are means: over observed times and features, over the latent dimensions, and over
    the batch.

    Attributes:
        samples: Draws of z0 for each series.
        steps_per_epoch: Optimiser steps per epoch, set by the trainer.
        kl_wait: Epochs with KL weight 0; in epoch n after them the weight is 1 - kl_rate^n.
        event_weight: Weight of the log-likelihood of the observation times, for models with one.
    """

    samples: int = 3
    steps_per_epoch: int = 1
    kl_wait: int = 10
    kl_rate: float = 0.99
    event_weight: float = 0.1

    def kl_weight(self, step: int) -> float:
        """Weight of the KL in a training step."""
        return 1 - self.kl_rate ** max(step // self.steps_per_epoch - self.kl_wait, 0)

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss, 0-d, and its parts."""
        mean, std = model.encode(batch.observed)
        z0 = mean + std * torch.randn(self.samples, *mean.shape, device=mean.device)
        # The rate of events is integrated from the start of the series, so all of it is needed.
        series = self.whole_series(batch) if self.models_events(model) else batch.target
        states = model.states(z0, series.times)
        of_target = states[..., -batch.target.values.shape[1] :, :]
        likelihood = likelihoods(model, model.means(of_target), batch.target).mean(-1)
        log_variance = 2 * std.clamp(min=1e-10).log()
        kl = (standard_normal_kl(mean, log_variance) / mean.shape[-1]).mean()
        bound = torch.logsumexp(likelihood - self.kl_weight(step) * kl, 0)
        logits = model.classify(z0, states) if self.kind == "classification" else None
        loss = self.total_loss(-bound, logits, batch) + self.loss_of_events(model, states, series)
        return loss, {"nll": -likelihood.mean().detach(), "kl": kl.detach()}

    def whole_series(self, batch: Any) -> Any:
        """All points of the series, observed and target."""
        return joined_series(batch) if self.kind == "extrapolation" else batch.target

    def models_events(self, model: Any) -> bool:
        """Whether the loss contains a likelihood of the observation times."""
        return hasattr(model, "event_log_likelihood") and self.event_weight > 0

    def loss_of_events(self, model: Any, states: Tensor, series: Any) -> Tensor | float:
        """Weighted negative log-likelihood of the observation times, from the states at them."""
        if not self.models_events(model):
            return 0.0
        events: Tensor = model.event_log_likelihood(states, series.observed_features)
        return -self.event_weight * events.mean()

    def states_of_target(self, model: Any, z0: Tensor, batch: Any) -> Tensor:
        """Latent states at the times of the target, `(..., batch, time, latent)`."""
        return model.states(z0, batch.target.times)

    def evaluated(
        self, model: Any, batches: Iterable[Any]
    ) -> Iterator[tuple[Tensor, dict[str, Tensor], Tensor | None, Any]]:
        for batch in batches:
            mean, std = model.encode(batch.observed)
            generator = torch.Generator(mean.device).manual_seed(0)
            shape = (EVALUATION_SAMPLES, *mean.shape)
            noise = torch.randn(shape, generator=generator, device=mean.device)
            z0 = torch.cat([mean.unsqueeze(0), mean + std * noise])
            states = self.states_of_target(model, z0, batch)
            predicted = model.means(states)
            values = errors(model, predicted[0], batch.target)
            draws = errors(model, predicted[1:], batch.target)["mse"]
            values["mse_samples"] = draws.mean(0)
            logits = model.classify(z0[0], states[0]) if self.kind == "classification" else None
            yield predicted[0], values, logits, batch


@dataclass
class EvidenceBoundTask(VariationalSeriesTask):
    """The negative evidence lower bound (Kingma & Welling 2014), in nats per observed value.

    Both the observed points and those to forecast are reconstructed. Long oscillations are learned
    from their beginning on: the reconstructed part grows from a quarter of the time span to all.

    Attributes:
        span: First and last time of all series.
        final_kl_weight: Weight of the KL after a linear rise over `kl_wait` epochs.
        horizon_epochs: Epochs until the whole span is reconstructed.
    """

    span: tuple[float, float] = (0.0, 1.0)
    final_kl_weight: float = 1.0
    horizon_epochs: int = 0

    def kl_weight(self, step: int) -> float:
        """Weight of the KL in a training step."""
        return self.final_kl_weight * self.ramp(step, self.kl_wait)

    def ramp(self, step: int, epochs: int) -> float:
        """Fraction in [0, 1] that rises linearly over a number of epochs."""
        return min(1.0, step / (epochs * self.steps_per_epoch)) if epochs else 1.0

    def states_of_target(self, model: Any, z0: Tensor, batch: Any) -> Tensor:
        """Latent states at the times of the target, computed as in training.

        If states depend on all earlier times, those of the whole series are computed.
        """
        if not model.follows_times:
            return super().states_of_target(model, z0, batch)
        states = model.states(z0, self.whole_series(batch).packed().times)
        size = batch.target.values.shape[1]
        places = torch.arange(size, device=states.device)
        if self.kind == "extrapolation":
            places = places + batch.observed.mask.sum(1, keepdim=True)
        return at_places(states, places.clamp(max=states.shape[-2] - 1).expand(len(batch), -1))

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss, 0-d, and its parts."""
        target = self.whole_series(batch).packed()
        first, last = self.span
        reached = 0.25 + 0.75 * self.ramp(step, self.horizon_epochs)
        near = target.times <= first + reached * (last - first)
        observed = target.observed_features & near.unsqueeze(-1)
        numbers = observed.sum().clamp(min=1) / len(batch)
        mean, std = model.encode(batch.observed)
        std = std.clamp(min=1e-5)
        z0 = mean + std * torch.randn(self.samples, *mean.shape, device=mean.device)
        states = model.states(z0, target.times)
        terms = gaussian_log_likelihood(model.means(states), target.values, model.log_noise_std)
        nll = -(terms * observed).sum((-2, -1)).mean() / numbers
        kl = standard_normal_kl(mean, 2 * std.log()).mean() / numbers
        logits = None
        if self.kind == "classification":
            logits = model.classify(z0, states).mean(0)
        loss = self.total_loss(nll + self.kl_weight(step) * kl, logits, batch)
        loss = loss + self.loss_of_events(model, states, target)
        return loss, {"nll": nll.detach(), "kl": kl.detach()}


def variational_series(settings: SeriesModelConfig, data: ForecastData) -> VariationalSeriesTask:
    """The task of the data for a variational autoencoder."""
    shared: dict[str, Any] = {
        "kind": data.task,
        "classes": data.classes,
        "reconstruction_weight": settings.reconstruction_weight,
        "classification_weight": settings.classification_weight,
        "class_weights": data.class_weights,
        "samples": settings.samples,
        "kl_wait": settings.kl_wait,
    }
    task: VariationalSeriesTask
    if settings.objective == "elbo":
        task = EvidenceBoundTask(
            **shared,
            span=data.span,
            final_kl_weight=settings.kl_weight,
            horizon_epochs=settings.horizon_epochs,
        )
    else:
        task = VariationalSeriesTask(**shared, kl_rate=settings.kl_rate)
    task.measures = data.measures
    return task
