"""Sinusoids of one amplitude and many frequencies (Rubanova et al. 2019, section 4.1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...data.ragged import RaggedSeries, ragged
from ...data.scaling import Scaling
from ...data.splits import ordered_split
from .forecast_data import ForecastData, forecast_data
from .settings import PeriodicConfig

__all__ = ["periodic_curves", "periodic_data"]


def periodic_data(
    settings: PeriodicConfig, seed: int = 0, device: torch.device | None = None
) -> ForecastData:
    """Sample trajectories; the first 80 % are for training.

    The published errors are those of values scaled to [0, 1]: a model that predicts a constant has
    an error of 0.073, their variance.
    """
    generator = torch.Generator().manual_seed(seed)
    series = periodic_curves(
        settings.variant,
        settings.trajectories,
        settings.points,
        settings.span,
        settings.noise,
        generator,
    )
    split = ordered_split(settings.trajectories, settings.validation_size)
    scaled = Scaling.fit(series.take(split.train), settings.scaling)
    return forecast_data(
        split.of(scaled(series)), settings, seed, device, features=("value",), scaling=scaled
    )


def periodic_curves(
    variant: str,
    trajectories: int,
    points: int,
    span: float,
    noise: float,
    generator: torch.Generator,
) -> RaggedSeries:
    """Trajectories `y = start + sin(2 pi f t)` with noise, and with `start` from N(1, 0.1).

    Args:
        variant: `paper`: f from 0.5 to 1, each trajectory with its own times, Gaussian noise.
            `official_code`: f from 0.4 to 0.8, one set of times that begins with 0, and noise
            that is uniform from 0 to `noise` on all but the first point.
    """
    official = variant == "official_code"
    low, high = (0.4, 0.8) if official else (0.5, 1.0)
    count = trajectories

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    frequency = low + (high - low) * uniform(count, 1)
    start = 1 + 0.1 * torch.randn(count, 1, generator=generator, dtype=torch.float64)
    if official:
        times = distinct_times(1, points - 1, span, generator).expand(count, -1)
        times = torch.cat([torch.zeros(count, 1, dtype=torch.float64), times], 1)
    else:
        times = distinct_times(count, points, span, generator)
    values = start + torch.sin(2 * math.pi * frequency * times)
    if official:
        values[:, 1:] += noise * uniform(count, points - 1)
    else:
        values += noise * torch.randn(values.shape, generator=generator, dtype=torch.float64)
    lengths = torch.full((count,), points)
    return ragged(times.reshape(-1), values.reshape(-1, 1), lengths)


def distinct_times(rows: int, count: int, span: float, generator: torch.Generator) -> Tensor:
    """Sorted uniform times above 0 that are distinct even as float32."""
    times = torch.zeros(rows, count, dtype=torch.float64)
    missing = torch.ones(rows, dtype=torch.bool)
    while bool(missing.any()):
        drawn = torch.rand(int(missing.sum()), count, generator=generator, dtype=torch.float64)
        times[missing] = (span * drawn).sort(1).values
        single = times.float()
        missing = (single.diff(dim=1) <= 0).any(1) | (single[:, :1] <= 0).any(1)
    return times
