"""Births of Atlantic storms as events of a Poisson process (Chen et al. 2018, section 5.1).

Each season happened only once, and a rate can be tested only on events that it was not inferred
from. The births of a season are therefore split in two: each goes to either half by a fair coin.
Halves of a Poisson process are independent Poisson processes with half of its rate (Kingman 1993,
Poisson Processes, section 5.1). The model infers the rate from one half, and is tested on the
other, which is held out. It is compared with two rules: the mean season, which is the same for
every season, and the mean season scaled to the number of births that are seen.
"""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import torch
from scipy.stats import gaussian_kde
from torch import Tensor

from ....data.events import EventBatch, EventData
from ....data.time_series import Points, SeriesBatches, TimeSeries
from ....errors import DataError
from . import StormBirthsConfig
from .storms import Fixes, parts_of, read_fixes, storm_table

__all__ = ["MONTHS", "MeanSeason", "births_of", "split_births", "storm_births_data"]

MONTHS = 12.0  # span of a sequence, a year
# Six hours, the time between regular fixes, in months of a leap year: no birth leaves its year.
BETWEEN_FIXES = 6 * MONTHS / 8784
GRID = 200  # points at which the rate of the mean season is kept

log = logging.getLogger(__name__)


def storm_births_data(
    settings: StormBirthsConfig, seed: int = 0, device: torch.device | None = None
) -> EventData:
    """Halves of the seasons, split by year like the windows of `storms_data`.

    Storms with a single fix and seasons with a single storm are left out with a warning.

    Raises:
        DataError: As in `read_fixes`, or a part has no season with two births.
    """
    table = storm_table(settings.path)
    births = births_of(read_fixes(table))
    single = [str(year) for year, times in births.items() if len(times) == 1]
    if single:
        log.warning(
            "%s: seasons of a single birth are left out, since they cannot be cut in two: %s",
            table.source,
            ", ".join(single),
        )
    generator = torch.Generator().manual_seed(seed)
    parts = {
        name: {year: births[year] for year in births if year in years and len(births[year]) > 1}
        for name, years in parts_of(settings.last_training_year).items()
    }
    for name, seasons in parts.items():
        if not seasons:
            years = parts_of(settings.last_training_year)[name]
            raise DataError(
                f"{table.source} has no season of two storms from {years[0]} to {years[-1]}, "
                f"which are the years of the {name} part; change dataset.last_training_year"
            )
    mean_season = MeanSeason(list(parts["training"].values()))

    def batch(name: str) -> EventBatch:
        found = event_batch(parts[name], settings.halvings, mean_season, generator)
        return found if device is None else found.to(device)

    train = batch("training")
    mean_count = float(train.observed.mask.sum() / len(train))
    return EventData(
        train=SeriesBatches(
            train, settings.batch_size, shuffle=True, passes=settings.passes, seed=seed
        ),
        validation=SeriesBatches(batch("validation"), 1000),
        test=SeriesBatches(batch("test"), 1000),
        span=MONTHS,
        mean_count=mean_count,
        dim=1,
        time_unit=MONTHS / mean_count,
        compared="mean season, with the births seen",
        time_label="time (months of the year)",
        rate_label="births seen per month",
        names=tuple(map(str, parts["test"])),
    )


class MeanSeason:
    """Density of births over the training seasons, and the mean number of births in a season.

    The density is a Gaussian kernel estimate with Scott's bandwidth over all births and one more
    birth that is uniform over the year, so that no time has density 0.

    Args:
        births: Times of the births of each season, in months since the beginning of its year.
    """

    def __init__(self, births: list[Tensor]) -> None:
        times = torch.cat(births).numpy() + BETWEEN_FIXES / 2
        self.count = len(times)
        self.births = self.count / len(births)
        if self.count > 1 and float(np.ptp(times)) > 0:
            self.kernel = gaussian_kde(times)
            self.inside = self.kernel.integrate_box_1d(0, MONTHS)
        else:
            self.kernel, self.inside = None, 1.0

    def density(self, times: Tensor) -> Tensor:
        """Probability density of a birth per month, of the shape of `times`."""
        if self.kernel is None:
            return torch.full_like(times, 1 / MONTHS)
        kernel = torch.from_numpy(self.kernel(times.double().numpy().ravel()) / self.inside)
        kernel = kernel.reshape(times.shape).to(times.dtype)
        return (self.count * kernel + 1 / MONTHS) / (self.count + 1)


def births_of(storms: list[Fixes]) -> dict[int, Tensor]:
    """Times of the first fix of each storm, by season, in months (twelfths of the year)."""
    found: dict[int, list[float]] = {}
    for storm in storms:
        year = [pd.Timestamp(storm.season + later, 1, 1) for later in (0, 1)]
        first, end = ((day - pd.Timestamp(0)) / pd.Timedelta(hours=1) for day in year)
        passed = (float(storm.hours[0]) - first) / (end - first)
        found.setdefault(storm.season, []).append(MONTHS * passed)
    return {year: torch.tensor(times, dtype=torch.float64) for year, times in found.items()}


def split_births(
    births: list[Tensor], generator: torch.Generator
) -> tuple[TimeSeries, TimeSeries]:
    """Assign each birth at random to one of two halves of its season, neither of which is empty.

    Fixes are six hours apart, so two storms may share the time of their first fix. Each birth is
    therefore moved to a random time before the next fix.

    Args:
        births: Times of at least two births for each season, in months.
    """
    fixes = torch.nn.utils.rnn.pad_sequence(births, batch_first=True, padding_value=MONTHS)
    counts = torch.tensor([len(times) for times in births])
    there = torch.arange(fixes.shape[1]) < counts.unsqueeze(1)
    times, first = fixes.float(), torch.zeros_like(there)
    again = torch.ones(len(births), dtype=torch.bool)
    while bool(again.any()):
        later, coin = torch.rand(2, *fixes.shape, generator=generator, dtype=torch.float64)
        moved = torch.where(there, fixes + later * BETWEEN_FIXES, MONTHS).sort(1).values
        times = torch.where(again.unsqueeze(1), moved.float(), times)
        first = torch.where(again.unsqueeze(1), there & (coin < 0.5), first)
        equal = ((times.diff(dim=1) <= 0) & there[:, 1:]).any(1)
        again = equal | ~first.any(1) | ~(there & ~first).any(1)
    ones = torch.ones(*times.shape, 1)
    one, other = (
        TimeSeries.validated(times, ones, half).packed() for half in (first, there & ~first)
    )
    return one, other


def event_batch(
    seasons: dict[int, Tensor], halvings: int, mean_season: MeanSeason, generator: torch.Generator
) -> EventBatch:
    """Batch in which all seasons are repeated `halvings` times, halved at random each time."""
    seen, held_out = split_births(list(seasons.values()) * halvings, generator)
    grid = torch.linspace(0, MONTHS, GRID).unsqueeze(0)
    level = seen.mask.sum(1, keepdim=True).float()
    log_density = (mean_season.density(held_out.times).log() * held_out.mask).sum(1)
    counts = held_out.mask.sum(1)
    mean = torch.tensor(mean_season.births / 2)
    scaled = level.squeeze(1)
    rate = (level * mean_season.density(grid)).unsqueeze(-1)
    return EventBatch(
        observed=seen,
        window=Points(grid, rate, rate),
        future=None,
        label=torch.tensor(list(seasons) * halvings),
        held_out=held_out,
        held_out_log_likelihood={
            "mean_season": log_density + counts * mean.log() - mean,
            "scaled_season": log_density + counts * scaled.log() - scaled,
        },
    )
