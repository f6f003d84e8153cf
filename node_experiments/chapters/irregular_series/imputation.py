"""Imputation of features missing at an observed time (Che et al. 2018, eq. 5: GRU-D's inputs)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Imputation"]


class Imputation(nn.Module):
    """A weighted mean of a feature's last value and its mean over the training series.

    The weight of the last value is exp(-max(0, w d + b)), where d is the time since it was
    observed.

    Args:
        means: Feature means of the training series, shape `(dim,)`.
        time_unit: Times are expressed in multiples of this.
    """

    means: Tensor

    def __init__(self, means: Tensor, time_unit: float) -> None:
        super().__init__()
        self.register_buffer("means", means)
        self.time_unit = time_unit
        self.rate = nn.Parameter(torch.full_like(means, 0.1))
        self.bias = nn.Parameter(torch.full_like(means, 0.01))

    def forward(self, seen: Any) -> Tensor:
        """Complete values, shape `(batch, time, dim)`, of `recurrence.Observations`."""
        times = seen.times.unsqueeze(-1).expand_as(seen.values)
        places = torch.arange(times.shape[1], device=times.device).view(1, -1, 1)
        last = torch.where(seen.features, places, -1).cummax(1).values
        known, index = last >= 0, last.clamp(min=0)
        since = (times - times.gather(1, index)) / self.time_unit
        weight = torch.exp(-(self.rate * since + self.bias).clamp(min=0)) * known
        filled = weight * seen.values.gather(1, index) + (1 - weight) * self.means
        return torch.where(seen.features, seen.values, filled)
