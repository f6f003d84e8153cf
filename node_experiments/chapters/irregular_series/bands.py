"""How sure a model of irregular series is: draws of what it predicts, and the band they fill."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor, nn

from ...data.time_series import TimeSeries

__all__ = ["BAND", "History", "PredictiveNoise", "bands", "drawn", "mixture_cdf"]

BAND = (0.05, 0.95)  # quantiles on the edges of a band
ROUNDING = 1e-4  # of a step: times that are meant to be at its end
MOST_STEPS = 40  # of Newton's method towards a quantile; about six are taken


class PredictiveNoise(nn.Module):
    """Standard deviation of an observation around a drawn mean, calibrated after training.

    The noise that is learned in training is that of the training series, and the same everywhere.
    A new series is predicted less well, and less so the less of it was seen and the further ahead:

        std = scale * learned noise + growth * ahead + early / (1 + seen)

    for each feature, with numbers within the span of the observations (row 0 of each buffer) that
    pass into those far beyond it (row 1) as 1 - exp(-beyond / gap), so that no band jumps.

    Args:
        dim: Features of an observation.
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

    def forward(self, log_noise_std: Tensor, history: History) -> Tensor:
        """Standard deviations, shape `(batch, time, dim)`.

        Args:
            log_noise_std: Of the learned noise, 0-d or `(dim,)`.
        """
        far = self.far(history.beyond).unsqueeze(-1)
        scale, growth, early = (
            rows[0] + far * (rows[1] - rows[0]) for rows in (self.scale, self.growth, self.early)
        )
        grown = growth * history.ahead.unsqueeze(-1)
        return scale * log_noise_std.exp() + grown + early / (1 + history.seen.unsqueeze(-1))

    @property
    def calibrated(self) -> Tensor:
        """Of which features the noise was fitted to held-out values, shape `(dim,)`."""
        return (self.scale != 1).any(0) | (self.growth != 0).any(0) | (self.early != 0).any(0)

    def far(self, beyond: Tensor) -> Tensor:
        """The weight of row 1, from 0 within the span of the observations to 1."""
        return 1 - torch.exp(-beyond / self.gap)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Checkpoints from before calibration hold no buffer: their noise is as learned."""
        for name, buffer in self.named_buffers():
            state_dict.setdefault(prefix + name, buffer)
        super()._load_from_state_dict(state_dict, prefix, *rest)


@dataclass
class History:
    """What a prediction rests on.

    Attributes:
        ahead: Time since the latest observation that was read, at least 0, `(batch, time)`.
        seen: Number of observations that were read, `(batch, time)`.
        beyond: Time since the end of the observations, at least 0, `(batch, time)`.
    """

    ahead: Tensor
    seen: Tensor
    beyond: Tensor

    @classmethod
    def of(cls, model: Any, observed: Any, times: Tensor) -> History:
        """Of predictions at `times`, shape `(batch, time)`.

        Latent variables are inferred from all observations; an autoregressive model predicts a
        point from those before it.
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


def bands(
    model: Any, observed: Any, times: Tensor, samples: int, gap: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and the 5 % and 95 % quantiles at times `(batch, time)`, `(batch, time, dim)` each.

    The quantiles are those of an observation, which is around one of `samples` drawn means.
    """
    mean, means = drawn(model, observed, times, samples, gap)
    std = model.predictive_noise(model.log_noise_std, History.of(model, observed, times))
    low, high = (mixture_quantile(means, std, share) for share in BAND)
    return mean, low, high


def mixture_cdf(values: Tensor, means: Tensor, std: Tensor) -> Tensor:
    """Distribution function of an even mixture of Gaussians with one standard deviation.

    Args:
        values, std: Of one shape.
        means: With one more dimension in front: one mean for each component.
    """
    return torch.special.ndtr((values - means) / std).mean(0)


def mixture_quantile(means: Tensor, std: Tensor, share: float) -> Tensor:
    """Where `mixture_cdf` is `share`, by Newton steps that a shrinking interval confines.

    Quantiles of samples of the mixture would lie too far inside: those of 50 samples at 5 % and
    95 % hold 86 % of what is drawn next.
    """
    low, high = means.amin(0) - 5 * std, means.amax(0) + 5 * std
    centre, spread = means.mean(0), (means.var(0, correction=0) + std**2).sqrt()
    found = centre + spread * NormalDist().inv_cdf(share)  # exact for a single mean
    for _ in range(MOST_STEPS):
        z = (found - means) / std
        excess = torch.special.ndtr(z).mean(0) - share
        density = (-0.5 * z**2).exp().mean(0) / (std * math.sqrt(2 * math.pi))
        low, high = found.where(excess < 0, low), high.where(excess < 0, found)
        newton = found - excess / density
        within = (newton >= low) & (newton <= high)
        step = newton.where(within, (low + high) / 2) - found
        found = found + step
        if bool((step.abs() <= 1e-4 * std).all()):
            break
    return found


def drawn(
    model: Any, observed: Any, times: Tensor, samples: int, gap: float
) -> tuple[Tensor, Tensor]:
    """The predicted mean `(batch, time, dim)`, and `(sample, batch, time, dim)` draws of it.

    Of latent variables they are decoded from draws of z0; those of an autoregressive model differ
    beyond the observations, where it feeds back draws of what it predicts.

    Args:
        times: Rising, shape `(batch, time)`.
        gap: Mean time between two observations in training.
    """
    if hasattr(model, "encode"):
        centre, std = model.encode(observed)
        z0 = centre + std * torch.randn(samples, *centre.shape, device=centre.device)
        states = model.forecast(torch.cat([centre.unsqueeze(0), z0]), observed, times, gap)
        means = model.means(states)
        return means[0], means[1:]
    mean = continued(model, observed, times, gap)
    again = torch.arange(len(times), device=times.device).repeat(samples)
    noise = model.log_noise_std.exp()
    draws = continued(model, observed.select(again), times[again], gap, noise)
    return mean, draws.view(samples, *mean.shape)


def continued(
    model: Any, observed: Any, times: Tensor, gap: float, noise: Tensor | None = None
) -> Tensor:
    """Means of an autoregressive model at times `(batch, time)`, also beyond the observations.

    Beyond them it is rolled out in steps of the mean gap between observations, as it was trained,
    so that a forecast does not depend on how many times are asked for. Between two steps it passes
    from what was predicted before the first of them to what is predicted after it: right after a
    step the state has just read a prediction, and where observations are as far apart as the
    steps are, no training has shown what comes after a small part of one.

    Args:
        noise: Standard deviation of an observation: what is fed back is drawn with it.
    """
    states = model.read(observed)
    last, counts = states.last()[1].unsqueeze(1), states.counts.unsqueeze(1)
    steps = int(((times - last).amax() / gap).ceil().clamp(min=0)) if gap > 0 else 0
    if not steps:
        return model.predict(states, times)
    ahead = last + gap * torch.arange(1, steps + 1, device=times.device)
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
    place = (times - last) / gap
    step = (place - ROUNDING).ceil().clamp(min=1) - 1  # at the end of a step: the one that ends
    after = model.predict_after(states, counts + step.long(), times - (last + gap * step))
    earlier = (step - 1).clamp(min=0)
    before = model.predict_after(states, counts + earlier.long(), times - (last + gap * earlier))
    share = (place - step).where(step > 0, 1.0).unsqueeze(-1)
    beyond = (times > last).unsqueeze(-1)
    return torch.lerp(before, after, share).where(beyond, model.predict(states, times))
