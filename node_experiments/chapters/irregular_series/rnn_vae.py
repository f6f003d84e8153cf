"""The RNN-VAE baseline: recurrent networks on both sides of z0 (Rubanova et al. 2019)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ...data.time_series import TimeSeries
from .vae import SeriesEncoder, SeriesVAE

__all__ = ["RNNVAE", "at_places"]


class RNNVAE(SeriesVAE):
    """RNN-VAE whose decoder is a GRU that starts from z0 and is fed its last prediction and gap.

    Args:
        time_unit: Gaps are expressed in multiples of this.
        after: Whether z0 is the state at the first time after the observations in training,
            instead of at the first observation.
    """

    follows_times: ClassVar[bool] = True

    def __init__(
        self,
        encoder: SeriesEncoder,
        decoder: nn.Module,
        noise_std: float | None,
        dim: int,
        latent: int,
        time_unit: float,
        classifier: nn.Module | None = None,
        label_per: str | None = None,
        after: bool = False,
    ) -> None:
        super().__init__(encoder, decoder, noise_std, dim, classifier, label_per)
        self.time_unit, self.after = time_unit, after
        self.cell = nn.GRUCell(dim + 1, latent)

    def states(self, z0: Tensor, times: Tensor) -> Tensor:
        gaps = torch.diff(times.expand(z0.shape[-2], -1), dim=1) / self.time_unit
        gaps = gaps.to(z0.dtype).repeat(z0[..., 0].numel() // z0.shape[-2], 1)
        state = z0.flatten(0, -2)
        states = [state]
        for gap in gaps.t():
            inputs = torch.cat([self.decoder(state), gap.unsqueeze(1)], -1)
            state = self.cell(inputs, state)
            states.append(state)
        return torch.stack(states, 1).view(*z0.shape[:-1], len(states), z0.shape[-1])

    def forecast(self, z0: Tensor, observed: TimeSeries, times: Tensor, step: float) -> Tensor:
        """States interpolated between steps of the GRU of equal length.

        Steps start at the first observation or, with `after`, one step after the last one; earlier
        times have the state of the start.
        """
        start = observed.times[:, -1:] + step if self.after else observed.times[:, :1]
        place = ((times - start) / step).clamp(min=0)
        steps = int(place.max().ceil().clamp(min=1))
        grid = start + step * torch.arange(steps + 1, device=times.device)
        states = self.states(z0, grid)
        before = place.floor().long().clamp(max=steps - 1)
        fraction = (place - before).unsqueeze(-1).to(states.dtype)
        return torch.lerp(at_places(states, before), at_places(states, before + 1), fraction)


def at_places(states: Tensor, places: Tensor) -> Tensor:
    """Select from states `(..., batch, time, latent)` those at places `(batch or 1, place)`."""
    index = places.unsqueeze(-1).expand(*states.shape[:-2], -1, states.shape[-1])
    return states.gather(-2, index)
