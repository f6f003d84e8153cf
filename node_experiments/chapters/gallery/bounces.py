"""Heights of a ball that falls and bounces, in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...data.seeded_batches import SeededBatches
from .settings import BouncesConfig

__all__ = ["BounceBatch", "BounceData", "bounce_data", "bounce_times", "heights"]


def bounce_times(settings: BouncesConfig, count: int) -> list[float]:
    """Times of the first bounces: flights shorten by the factor `restitution`."""
    fall = math.sqrt(2 * (settings.height - settings.radius) / settings.gravity)
    times = [fall]
    for k in range(1, count):
        times.append(times[-1] + 2 * fall * settings.restitution**k)
    return times


def heights(settings: BouncesConfig, times: Tensor) -> Tensor:
    """Heights of the centre in metres, at times up to the 30th bounce, shape `(time,)`."""
    fall = bounce_times(settings, 1)[0]
    # The first fall is the second half of a flight that starts on the ground at -fall.
    starts = torch.tensor([-fall, *bounce_times(settings, 30)], dtype=times.dtype)
    flight = torch.searchsorted(starts, times.contiguous(), right=True) - 1
    speed = settings.gravity * fall * settings.restitution ** flight.to(times)
    t = times - starts[flight]
    return settings.radius + speed * t - settings.gravity * t**2 / 2


@dataclass
class BounceBatch:
    """Heights `(time,)` in metres at times `(time,)` in seconds, both in double precision."""

    times: Tensor
    heights: Tensor

    def __len__(self) -> int:
        return len(self.times)


@dataclass
class BounceData:
    """Samples, the same in every batch; the test samples have no noise.

    Attributes:
        truth: The settings that generated them: gravity, restitution and so on.
    """

    train: SeededBatches[BounceBatch]
    validation: None
    test: list[BounceBatch]
    truth: BouncesConfig


def bounce_data(
    settings: BouncesConfig, seed: int = 0, device: torch.device | None = None
) -> BounceData:
    """Samples at equally spaced times from the start to the last bounce."""
    end = bounce_times(settings, settings.bounces)[-1]
    times = torch.linspace(0, end, settings.samples, dtype=torch.float64)
    exact = heights(settings, times)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(times), generator=generator, dtype=torch.float64)
    seen = BounceBatch(times.to(device), (exact + settings.noise * noise).to(device))
    clean = BounceBatch(times.to(device), exact.to(device))
    return BounceData(
        SeededBatches(lambda _: seen, settings.batches, seed), None, [clean], settings
    )
