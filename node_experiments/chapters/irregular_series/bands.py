"""Predictive uncertainty of models of irregular series: sampled means and 90 % bands."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor, nn

from ...data.time_series import TimeSeries

__all__ = [
    "QUANTILE_LEVELS",
    "PredictionContext",
    "PredictiveNoise",
    "bands",
    "forecast_step",
    "mixture_cdf",
    "predictive_mean",
    "sample_means",
    "warn_of_uncalibrated_bands",
]

log = logging.getLogger(__name__)

QUANTILE_LEVELS = (0.05, 0.95)  # at the edges of a band
ROUNDING = 1e-4  # fraction of a step: tolerance for times at the end of the step
MAX_NEWTON_STEPS = 40  # for a quantile; about six suffice
QUANTILE_TOLERANCE = 1e-4  # last step of Newton's method, in standard deviations of the noise


class PredictiveNoise(nn.Module):
    """Standard deviation of an observation around a sampled mean, calibrated after training.

    The noise that is learned in training is constant and fits the training series. Predictions of
    a new series are less accurate, the more so the fewer observations and the longer the horizon:

        std = scale * learned noise + growth * ahead + early / (1 + seen)

    for each feature. Row 0 of each buffer holds the coefficients within the span of the
    observations, row 1 those far beyond it; the weight of row 1 is 1 - exp(-beyond / gap), so
    that bands are continuous.

    Args:
        dim: Features per observation.
    """

    gap: Tensor

    scale: Tensor
    growth: Tensor
    early: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("gap", torch.ones(()))
        self.register_buffer("scale", torch.ones(2, dim))
        self.register_buffer("growth", torch.zeros(2, dim))
        self.register_buffer("early", torch.zeros(2, dim))

    def forward(self, log_noise_std: Tensor, context: PredictionContext) -> Tensor:
        """Standard deviations, shape `(..., dim)` for a context of shape `(...)`.

        Args:
            log_noise_std: Logarithm of the learned standard deviation, 0-d or `(dim,)`.
        """
        weight = self.beyond_weight(context.beyond).unsqueeze(-1)
        scale, growth, early = (
            rows[0] + weight * (rows[1] - rows[0])
            for rows in (self.scale, self.growth, self.early)
        )
        grown = growth * context.ahead.unsqueeze(-1)
        return scale * log_noise_std.exp() + grown + early / (1 + context.seen.unsqueeze(-1))

    @property
    def calibrated(self) -> Tensor:
        """Whether each feature's noise was fitted to held-out values, shape `(dim,)`."""
        return (self.scale != 1).any(0) | (self.growth != 0).any(0) | (self.early != 0).any(0)

    def beyond_weight(self, beyond: Tensor) -> Tensor:
        """Weight of row 1: 0 within the span of the observations, near 1 far beyond it."""
        return 1 - torch.exp(-beyond / self.gap)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Keep the initial buffers for checkpoints from before calibration, which have none."""
        for name, buffer in self.named_buffers():
            state_dict.setdefault(prefix + name, buffer)
        super()._load_from_state_dict(state_dict, prefix, *rest)


@dataclass
class PredictionContext:
    """The observations that predictions are based on, as seen from the predicted times.

    Attributes:
        ahead: Time since the latest observation that was read, at least 0; one per prediction,
            `(batch, time)` or `(value,)`.
        seen: Number of observations that were read, of the same shape.
        beyond: Time since the last observation of the series, at least 0, of the same shape.
    """

    ahead: Tensor
    seen: Tensor
    beyond: Tensor

    @classmethod
    def of(cls, model: Any, observed: Any, times: Tensor) -> PredictionContext:
        """Return the context of predictions at `times`, shape `(batch, time)`.

        Latent variables are inferred from all observations; an autoregressive model predicts a
        point from the observations before it.
        """
        series = observed.packed()
        counts = series.mask.sum(1, keepdim=True)
        shown = series.times.expand(len(counts), -1).masked_fill(~series.mask, torch.inf)
        last = shown.gather(1, counts - 1)
        if hasattr(model, "encode"):
            seen, latest = counts.expand_as(times), last
        else:
            seen = torch.searchsorted(shown.contiguous(), times.contiguous())
            latest = shown.gather(1, (seen - 1).clamp(min=0))
        return cls((times - latest).clamp(min=0), seen, (times - last).clamp(min=0))


def forecast_step(model: Any, data: Any) -> float:
    """Time between two steps of a forecast at any times: the mean of those in training.

    Latent variables are decoded from target to target. An autoregressive model reads observations,
    and in extrapolation also its predictions of the targets.
    """
    reads_targets = hasattr(model, "encode") or data.task == "extrapolation"
    return data.target_gap if reads_targets else data.mean_gap


def bands(
    model: Any, observed: Any, times: Tensor, samples: int, step: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, 5 % and 95 % quantile at times `(batch, time)`, each of shape `(batch, time, dim)`.

    The quantiles are those of an observation, distributed around `samples` sampled means.
    """
    mean, means = sample_means(model, observed, times, samples, step)
    context = PredictionContext.of(model, observed, times)
    std = model.predictive_noise(model.log_noise_std, context)
    low, high = (mixture_quantile(means, std, level) for level in QUANTILE_LEVELS)
    return mean, low, high


def warn_of_uncalibrated_bands(features: str, reason: str) -> None:
    """Warn that the bands of some features are not calibrated.

    Args:
        features: Their names.
        reason: Why, and what to do about it.
    """
    log.warning(
        "the 90 %% band of %s is not calibrated and likely too narrow: %s", features, reason
    )


def mixture_cdf(values: Tensor, means: Tensor, std: Tensor) -> Tensor:
    """CDF of an equally weighted mixture of Gaussians with a common standard deviation.

    Args:
        values, std: Of the same shape.
        means: One mean per component, along an additional first dimension.
    """
    return torch.special.ndtr((values - means) / std).mean(0)


def mixture_quantile(means: Tensor, std: Tensor, level: float) -> Tensor:
    """Quantile of the mixture at a level, by Newton's method safeguarded by bisection.

    Empirical quantiles would lie too far inside: the interval between the 5 % and 95 % quantiles
    of 50 samples contains only 86 % of further samples.
    """
    low, high = means.amin(0) - 5 * std, means.amax(0) + 5 * std
    centre, spread = means.mean(0), (means.var(0, correction=0) + std**2).sqrt()
    found = centre + spread * NormalDist().inv_cdf(level)  # exact for a single mean
    for _ in range(MAX_NEWTON_STEPS):
        z = (found - means) / std
        excess = torch.special.ndtr(z).mean(0) - level
        density = (-0.5 * z**2).exp().mean(0) / (std * math.sqrt(2 * math.pi))
        low, high = found.where(excess < 0, low), high.where(excess < 0, found)
        newton = found - excess / density
        within = (newton >= low) & (newton <= high)
        step = newton.where(within, (low + high) / 2) - found
        found = found + step
        if bool((step.abs() <= QUANTILE_TOLERANCE * std).all()):
            break
    return found


def predictive_mean(model: Any, observed: Any, times: Tensor, step: float) -> Tensor:
    """Predicted mean at times `(batch, time)`, as in `bands`, shape `(batch, time, dim)`."""
    if not hasattr(model, "encode"):
        return roll_out_in_steps(model, observed, times, step)
    z0, _ = model.encode(observed)
    means: Tensor = model.means(model.forecast(z0.unsqueeze(0), observed, times, step))
    return means[0]


def sample_means(
    model: Any, observed: Any, times: Tensor, samples: int, step: float
) -> tuple[Tensor, Tensor]:
    """Predicted mean `(batch, time, dim)`, and samples of it `(sample, batch, time, dim)`.

    A latent variable model decodes samples of z0. Samples of an autoregressive model differ only
    beyond the observations, where sampled predictions are fed back.

    Args:
        times: Ascending, shape `(batch, time)`.
        step: Time between two steps of a forecast; see `forecast_step`.
    """
    if hasattr(model, "encode"):
        centre, std = model.encode(observed)
        z0 = centre + std * torch.randn(samples, *centre.shape, device=centre.device)
        states = model.forecast(torch.cat([centre.unsqueeze(0), z0]), observed, times, step)
        means = model.means(states)
        return means[0], means[1:]
    mean = roll_out_in_steps(model, observed, times, step)
    again = torch.arange(len(times), device=times.device).repeat(samples)
    noise = model.log_noise_std.exp()
    draws = roll_out_in_steps(model, observed.select(again), times[again], step, noise)
    return mean, draws.view(samples, *mean.shape)


def roll_out_in_steps(
    model: Any, observed: Any, times: Tensor, step: float, noise: Tensor | None = None
) -> Tensor:
    """Autoregressive predictions at times `(batch, time)`, within and beyond the observations.

    Beyond them the model is rolled out in equal steps, as long as those in training are on
    average, so that a forecast does not depend on the other requested times. Between two steps,
    the result is interpolated from the prediction of the state before the first of them to that
    of the state after it: right after a step the state has just read a prediction, and if
    observations are as far apart as the steps, the model was never trained on shorter gaps.

    Args:
        noise: Standard deviation of an observation; if given, sampled values are fed back.
    """
    states = model.read(observed)
    last, counts = states.last()[1].unsqueeze(1), states.counts.unsqueeze(1)
    steps = int(((times - last).amax() / step).ceil().clamp(min=0)) if step > 0 else 0
    if not steps:
        return model.predict(states, times)
    ahead = last + step * torch.arange(1, steps + 1, device=times.device)
    values = model.roll_out(states, ahead, noise)
    everywhere = torch.ones_like(values, dtype=torch.bool)
    observed = TimeSeries(
        torch.cat([observed.times.expand(len(last), -1), ahead], 1),
        torch.cat([observed.values, values], 1),
        torch.cat([observed.mask, everywhere[..., 0]], 1),
        False,
        torch.cat([observed.observed_features, everywhere], 1),
        observed.static,
    )
    states = model.read(observed)
    place = (times - last) / step
    done = (place - ROUNDING).ceil().clamp(min=1) - 1  # the end of a step belongs to that step
    after = model.predict_after(states, counts + done.long(), times - (last + step * done))
    earlier = (done - 1).clamp(min=0)
    before = model.predict_after(states, counts + earlier.long(), times - (last + step * earlier))
    fraction = (place - done).where(done > 0, 1.0).unsqueeze(-1)
    beyond = (times > last).unsqueeze(-1)
    return torch.lerp(before, after, fraction).where(beyond, model.predict(states, times))
