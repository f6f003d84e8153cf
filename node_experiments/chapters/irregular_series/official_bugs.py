"""Two mistakes of the official code, which `model.variant=official_bug` reproduces."""

from __future__ import annotations

import torch
from torch import Tensor

from .autoregressive import Autoregressive
from .recurrence import (
    Observations,
    Recurrence,
    Series,
)
from .rnn_vae import RNNVAE

__all__ = ["BatchFlippingRNNVAE", "MisreadGaps", "MisreadODERNN"]


class MisreadGaps(Recurrence):
    """Integrates the gaps that the official code's stand-alone ODE-RNN does.

    Before the second observation it goes forwards over the whole series, in one step; before the
    k-th it goes backwards over the gap between the two observations before.
    """

    def gaps_between(self, seen: Observations) -> tuple[Tensor, Tensor]:
        gaps = seen.gaps
        last = seen.times.gather(1, (seen.counts - 1).unsqueeze(1))
        whole = last - seen.times[:, :1]
        wrong = torch.cat([torch.zeros_like(gaps[:, :1]), whole, -gaps[:, 1:-1]], 1)
        wrong = wrong[:, : gaps.shape[1]]
        # A single step for what runs forwards.
        return wrong, (-wrong).amax(0).clamp(min=1e-30)


class MisreadODERNN(Autoregressive):
    """Predicts the next observation from the state at the last one, which nothing carries on."""

    def _carried(self, state: Tensor, since: Tensor) -> Tensor:
        return state

    def _between(self, state: Tensor, gaps: Tensor, longest: float | None = None) -> Tensor:
        return state


class BatchFlippingRNNVAE(RNNVAE):
    """Means to read a series backwards, and flips the batch instead of the time.

    Its samples change their order, and each is decoded from another one.
    """

    def encode(self, observed: Series) -> tuple[Tensor, Tensor]:
        last_first = torch.arange(len(observed) - 1, -1, -1, device=observed.values.device)
        return super().encode(observed.select(last_first))
