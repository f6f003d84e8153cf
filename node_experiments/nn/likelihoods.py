"""Gaussian likelihoods and divergences, in nats."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = [
    "BAND",
    "gaussian_log_likelihood",
    "gaussian_nll",
    "observation_noise",
    "sample_normal",
    "standard_normal_kl",
]

BAND = 1.6448536269514722  # standard deviations to either side that contain 90 % of a Gaussian


def gaussian_log_likelihood(predicted: Tensor, target: Tensor, log_std: Tensor) -> Tensor:
    """Log N(target; predicted, std), elementwise; broadcasts."""
    squares = ((target - predicted) / log_std.exp()).square()
    return -0.5 * squares - log_std - 0.5 * math.log(2 * math.pi)


def gaussian_nll(predicted: Tensor, values: Tensor, mask: Tensor, log_std: Tensor) -> Tensor:
    """-log N(values; predicted, std), summed over observed times and dimensions.

    Args:
        predicted: Shape `(..., batch, time, dim)`.
        values: Shape `(batch, time, dim)`; `mask` is `(batch, time)`.

    Returns:
        Shape `(..., batch)`.
    """
    terms = gaussian_log_likelihood(predicted, values, log_std)
    return -(terms.sum(-1) * mask).sum(-1)


def observation_noise(std: float | None, dim: int | None = None) -> nn.Parameter:
    """Logarithm of the standard deviation of an observation around its mean.

    Args:
        std: A fixed value, for a 0-d result. When None, it is learned, starting at 0.3, which
            suits values of unit variance.
        dim: Number of features that have a learned value each; None for one value of all, 0-d.
    """
    if std is None:
        return nn.Parameter(torch.full(() if dim is None else (dim,), math.log(0.3)))
    return nn.Parameter(torch.tensor(math.log(std)), requires_grad=False)


def standard_normal_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)), summed over the last axis."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)


def sample_normal(
    mean: Tensor,
    log_variance: Tensor,
    samples: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Reparameterised draws of N(mean, exp(log_variance)), `(sample, *shape of the mean)`."""
    noise = torch.randn(samples, *mean.shape, generator=generator, device=mean.device)
    return mean + (log_variance / 2).exp() * noise
