"""Shift and scale of each feature, learnt from some series and applied to all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .ragged import RaggedSeries

__all__ = ["SCALINGS", "Scaling"]

SCALINGS = ("none", "standard", "minmax", "official_code")


@dataclass
class Scaling:
    """Maps a value to `(value - shift) / scale`, shapes `(dim,)`."""

    shift: Tensor
    scale: Tensor

    @classmethod
    def fit(cls, series: RaggedSeries, how: str) -> Scaling:
        """Fit to the observed values, in single precision; see `fit_values`."""
        mask = series.feature_mask
        if mask is None:
            mask = torch.ones_like(series.values, dtype=torch.bool)
        fitted = cls.fit_values(series.values.double(), mask, how)
        return cls(fitted.shift.float(), fitted.scale.float())

    @classmethod
    def fit_values(cls, values: Tensor, mask: Tensor, how: str) -> Scaling:
        """Fit to the observed values; a feature that never changes keeps its scale.

        Args:
            values, mask: Values and where they were observed, shape `(point, dim)`.
            how: `standard`: zero mean and unit variance. `minmax`: the range becomes [0, 1].
                `official_code`: (x - min) / max, as in the code of Rubanova et al. 2019, whose
                published errors are in these units. `none`: values unchanged.
        """
        dim, seen = values.shape[1], mask.any(0)
        shift, scale = values.new_zeros(dim), values.new_ones(dim)
        lowest = values.masked_fill(~mask, torch.inf).amin(0).where(seen, shift)
        highest = values.masked_fill(~mask, -torch.inf).amax(0).where(seen, scale)
        if how == "standard":
            count = mask.sum(0).clamp(min=1)
            shift = (values * mask).sum(0) / count
            spread = (((values - shift) ** 2 * mask).sum(0) / count).sqrt()
            # The mean of equal numbers may differ from them by rounding.
            scale = spread.where(lowest < highest, 1.0)
        elif how != "none":
            shift = lowest
            scale = highest if how == "official_code" else highest - lowest
        return cls(shift, scale.where(scale != 0, 1.0))

    def undo(self, values: Tensor) -> Tensor:
        """Map scaled values `(..., dim)` back to their original units."""
        return values * self.scale.to(values.device) + self.shift.to(values.device)

    def __call__(self, series: RaggedSeries) -> RaggedSeries:
        values = (series.values - self.shift) / self.scale
        if series.feature_mask is not None:
            values = values.masked_fill(~series.feature_mask, 0)
        return replace(series, values=values)
