"""The RNN-VAE baseline: recurrent networks on both sides of z0 (Rubanova et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .vae import (
    SeriesEncoder,
    SeriesVAE,
)

__all__ = ["RNNVAE"]


class RNNVAE(SeriesVAE):
    """A GRU that starts at z0 at the first time and is fed its last prediction, with the gap.

    Args:
        time_unit: Gaps are read in multiples of this.
    """

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
    ) -> None:
        super().__init__(encoder, decoder, noise_std, dim, classifier, label_per)
        self.time_unit = time_unit
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
