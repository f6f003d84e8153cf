"""Noisy spirals in two dimensions, half of them clockwise (Chen et al. 2018, section 5).

The paper specifies neither curves nor noise; both curves are those of the official example.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...data.time_series import Points, SeriesBatch, SeriesBatches, TimeSeries
from ...errors import DataError
from .chapter import SpiralsConfig

__all__ = ["SpiralData", "spiral_curves", "spiral_data"]

END = 6 * math.pi


@dataclass
class SpiralData:
    """Training, validation and test windows of a spirals experiment.

    Attributes:
        dim: Dimension of a point.
        span: Length of the observed time range, in the model's units of time.
        mean_gap: Mean time between two observations, in the same units.
        time_unit: Unit in which networks read the gaps between observations.
    """

    train: SeriesBatches
    validation: SeriesBatches | None
    test: SeriesBatches
    dim: int
    span: float
    mean_gap: float
    time_unit: float


def spiral_curves(points: int) -> Tensor:
    """The two curves at equally spaced angles t from 0 to 6 pi, shape `(2, points, 2)`.

    The first winds outward counter-clockwise, r = 0.3 t around (5, 0); the second clockwise,
    r = 15 / s around (-5, 0) with s = 6 pi + 1 - t.
    """
    t = torch.linspace(0, END, points, dtype=torch.float64)
    s = END + 1 - t
    counter_clockwise = torch.stack([0.3 * t * t.cos() + 5, 0.3 * t * t.sin()], 1)
    clockwise = torch.stack([15 / s * s.cos() - 5, 15 / s * s.sin()], 1)
    return torch.stack([counter_clockwise, clockwise])


def spiral_data(
    settings: SpiralsConfig, seed: int = 0, device: torch.device | None = None
) -> SpiralData:
    """Draw training, validation and test windows, independent of each other.

    Args:
        settings: Validation and test windows need a future, so they must start early enough.
        seed: Seed of the starts, noise, observations and order.

    Raises:
        DataError: The settings are inconsistent.
    """
    observations, window, future = settings.observations, settings.window, settings.future
    grid_points, time_span = settings.grid_points, settings.time_span
    first_start, last_start = settings.first_start, settings.last_start
    if observations > window:
        raise DataError(
            f"dataset.observations={observations} is more than the dataset.window={window} points "
            "that exist; lower it, or raise dataset.window"
        )
    latest = grid_points - window - future
    if latest < first_start:
        raise DataError(
            f"dataset.window={window} and dataset.future={future} points after "
            f"dataset.first_start={first_start} do not fit on a curve of "
            f"dataset.grid_points={grid_points}; raise that"
        )
    if last_start + window > grid_points:
        raise DataError(
            f"dataset.last_start={last_start} leaves no dataset.window={window} points on a curve "
            f"of dataset.grid_points={grid_points}; the highest is {grid_points - window}"
        )
    curves = spiral_curves(grid_points)
    if settings.normalize:
        flat = curves.reshape(-1, 2)
        curves = (curves - flat.mean(0)) / flat.std(0)
    generator = torch.Generator().manual_seed(seed)

    def draw(size: int, with_future: bool) -> SeriesBatch:
        end = min(last_start, latest + 1) if with_future else last_start
        starts = torch.randint(first_start, end, (size,), generator=generator)
        if settings.variant == "paper":
            label = torch.arange(size) % 2
        else:
            label = torch.randint(0, 2, (size,), generator=generator)
        length = window + (future if with_future else 0)
        clean = curves[label[:, None], starts[:, None] + torch.arange(length)].float()
        noisy = clean + settings.noise * torch.randn(clean.shape, generator=generator)
        times = time_span * torch.arange(length) / (window - 1)
        batch = cut(times, clean, noisy, label, window, observations, generator)
        return batch if device is None else batch.to(device)

    train = draw(settings.train_size, with_future=False)
    validation = None
    if settings.validation_size:
        validation = draw(settings.validation_size, with_future=True)
    test = draw(settings.test_size, with_future=True)
    return SpiralData(
        train=SeriesBatches(
            train, settings.batch_size, shuffle=True, passes=settings.passes, seed=seed
        ),
        validation=None if validation is None else SeriesBatches(validation, 1000),
        test=SeriesBatches(test, 1000),
        dim=2,
        span=time_span,
        mean_gap=mean_gap_of(train) or time_span,
        time_unit=time_span / max(observations - 1, 1),
    )


def mean_gap_of(batch: SeriesBatch) -> float:
    """The mean time between two observations; 0 for series of one observation."""
    gaps = batch.observed.times.double().diff()
    return float(gaps.mean()) if gaps.numel() else 0.0


def cut(
    times: Tensor,
    clean: Tensor,
    noisy: Tensor,
    label: Tensor,
    window: int,
    observations: int,
    generator: torch.Generator,
) -> SeriesBatch:
    """Split whole trajectories into observations, window and future.

    Args:
        times: Shape `(time,)`.
        clean, noisy: Shape `(batch, time, dim)`.
    """
    times, batch = times.unsqueeze(0), len(clean)
    if observations == window:
        observed = TimeSeries.validated(times[:, :window], noisy[:, :window])
    else:
        order = torch.rand(batch, window, generator=generator).argsort(1)
        chosen = order[:, :observations].sort(1).values
        values = noisy.gather(1, chosen.unsqueeze(-1).expand(-1, -1, noisy.shape[-1]))
        observed = TimeSeries.validated(times[0][chosen], values)
    has_future = clean.shape[1] > window
    return SeriesBatch(
        observed,
        Points(times[:, :window], clean[:, :window], noisy[:, :window]),
        Points(times[:, window:], clean[:, window:], noisy[:, window:]) if has_future else None,
        label,
    )
