"""Event sequences of inhomogeneous Poisson processes (Chen et al. 2018, section 5.1).

The paper shows one toy dataset without publishing it. Here the rate is a sinusoid with a separate
phase for each sequence, which a model has to infer from the events alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ...data.events import EventBatch, EventData
from ...data.time_series import Points, SeriesBatches, TimeSeries
from ...errors import DataError
from .chapter import PoissonConfig

__all__ = ["poisson_data", "thinning"]

GRID = 200  # points at which the true rate is kept


def poisson_data(
    settings: PoissonConfig, seed: int = 0, device: torch.device | None = None
) -> EventData:
    """Draw sequences with the rate `base_rate * (1 + depth * sin(2 pi t / period + phase))`.

    Raises:
        DataError: A sequence without any event was drawn.
    """
    span, period, base_rate = settings.span, settings.period, settings.base_rate
    depth = settings.depth
    generator = torch.Generator().manual_seed(seed)

    def draw(size: int) -> EventBatch:
        phase = 2 * math.pi * torch.rand(size, 1, generator=generator)

        def rate(t: Tensor) -> Tensor:
            return base_rate * (1 + depth * torch.sin(2 * math.pi * t / period + phase))

        highest = base_rate * (1 + depth)
        seen, held_out = (thinning(rate, highest, span, size, generator) for _ in range(2))
        grid = torch.linspace(0, span, GRID).unsqueeze(0)
        true = rate(grid).unsqueeze(-1)
        integral = base_rate * span + base_rate * depth * period / (2 * math.pi) * (
            phase.cos() - torch.cos(2 * math.pi * span / period + phase)
        )
        log_rates = (rate(held_out.times).log() * held_out.mask).sum(1)
        batch = EventBatch(
            observed=seen,
            window=Points(grid, true, true),
            future=None,
            label=phase.squeeze(1),
            held_out=held_out,
            held_out_log_likelihood={"true": log_rates - integral.squeeze(1)},
        )
        return batch if device is None else batch.to(device)

    train = draw(settings.train_size)
    validation = draw(settings.validation_size) if settings.validation_size else None
    mean_count = float(train.observed.mask.sum() / settings.train_size)
    return EventData(
        train=SeriesBatches(
            train, settings.batch_size, shuffle=True, passes=settings.passes, seed=seed
        ),
        validation=None if validation is None else SeriesBatches(validation, 1000),
        test=SeriesBatches(draw(settings.test_size), 1000),
        span=span,
        mean_count=mean_count,
        dim=1,
        time_unit=span / mean_count,
    )


def thinning(
    rate: Callable[[Tensor], Tensor],
    highest: float,
    span: float,
    sequences: int,
    generator: torch.Generator,
) -> TimeSeries:
    """Events of Poisson processes by thinning a faster one (Lewis & Shedler 1979).

    Args:
        rate: Rate at times `(sequence, time)`, in events per unit of time, at most `highest`.

    Returns:
        Event times from 0 to `span` with the value 1.

    Raises:
        DataError: A sequence has no event.
    """
    counts = torch.poisson(torch.full((sequences,), highest * span), generator=generator).long()
    longest = max(int(counts.max()), 1)
    times = span * torch.rand(sequences, longest, generator=generator)
    kept = torch.rand(times.shape, generator=generator) * highest < rate(times)
    kept &= torch.arange(longest) < counts.unsqueeze(1)
    if bool((~kept.any(1)).any()):
        raise DataError(
            "a sequence without any event was drawn; raise dataset.base_rate or dataset.span"
        )
    times, order = times.masked_fill(~kept, span).sort(1)
    mask = kept.gather(1, order)
    # Events that coincide after rounding count as one, since the times of a series must increase.
    mask[:, 1:] &= torch.diff(times, dim=1) > 0
    return TimeSeries.validated(times, torch.ones(*times.shape, 1), mask).packed()
