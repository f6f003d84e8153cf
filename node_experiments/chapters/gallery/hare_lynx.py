"""Pelts of hare and lynx of the Hudson's Bay Company, 1900 to 1920, in thousands.

From E. P. Odum, Fundamentals of Ecology (1953), as tabulated by J. M. Mahaffy and by B. Carpenter,
"Predator-Prey Population Dynamics: the Lotka-Volterra model in Stan" (2018).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...data.seeded_batches import SeededBatches
from .settings import HareLynxConfig

__all__ = ["FIRST_YEAR", "HARE", "LYNX", "PeltBatch", "PeltData", "pelt_data"]

FIRST_YEAR = 1900
HARE = (30.0, 47.2, 70.2, 77.4, 36.3, 20.6, 18.1, 21.4, 22.0, 25.4, 27.1, 40.3, 57.0, 76.6, 52.3,
        19.5, 11.2, 7.6, 14.6, 16.2, 24.7)  # fmt: skip
LYNX = (4.0, 6.1, 9.8, 35.2, 59.4, 41.7, 19.0, 13.0, 8.3, 9.1, 7.4, 8.0, 12.3, 19.5, 45.7, 51.1,
        29.7, 15.8, 9.7, 10.1, 8.6)  # fmt: skip


@dataclass
class PeltBatch:
    """Logarithms of thousands of pelts.

    Attributes:
        times: Years since 1900, shape `(year,)`.
        logs: Logarithms of hare and lynx, shape `(year, 2)`.
        fitted: Number of years that are fitted; the rest is extrapolated.
    """

    times: Tensor
    logs: Tensor
    fitted: int

    def __len__(self) -> int:
        return len(self.times)


@dataclass
class PeltData:
    """The first years for training, the whole record for testing."""

    train: SeededBatches[PeltBatch]
    validation: None
    test: list[PeltBatch]


def pelt_data(
    settings: HareLynxConfig, seed: int = 0, device: torch.device | None = None
) -> PeltData:
    """The record, split into fitted and extrapolated years."""
    logs = torch.tensor([HARE, LYNX], device=device).T.log()
    times = torch.arange(len(HARE), dtype=torch.float32, device=device)
    fitted = settings.fitted
    seen = PeltBatch(times[:fitted], logs[:fitted], fitted)
    whole = PeltBatch(times, logs, fitted)
    return PeltData(SeededBatches(lambda _: seen, settings.batches, seed), None, [whole])
