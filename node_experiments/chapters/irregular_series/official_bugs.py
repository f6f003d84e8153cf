"""Two mistakes of the official code, which `model.variant=official_bug` reproduces."""

from __future__ import annotations

import torch
from torch import Tensor

from ...data.time_series import TimeSeries
from .autoregressive import Autoregressive
from .recurrence import Observations, Recurrence
from .rnn_vae import RNNVAE

__all__ = ["BatchFlippingRNNVAE", "MisreadGaps", "MisreadODERNN"]


class MisreadGaps(Recurrence):
    """Recurrence that integrates the same wrong gaps as the official code's stand-alone ODE-RNN.

    Before the second observation it integrates forwards over the whole series, in one step; before
    the k-th, backwards over the gap between the two preceding observations.
    """

    def gaps_between(self, seen: Observations) -> tuple[Tensor, Tensor]:
        gaps = seen.gaps
        last = seen.times.gather(1, (seen.counts - 1).unsqueeze(1))
        whole = last - seen.times[:, :1]
        wrong = torch.cat([torch.zeros_like(gaps[:, :1]), whole, -gaps[:, 1:-1]], 1)
        wrong = wrong[:, : gaps.shape[1]]
        # Forward gaps do not count for the longest gap, so that they take a single step.
        return wrong, (-wrong).amax(0).clamp(min=1e-30)


class MisreadODERNN(Autoregressive):
    """Predicts the next observation from the state at the last one, not advanced in time."""

    def _advance(self, state: Tensor, elapsed: Tensor) -> Tensor:
        return state

    def _between(self, state: Tensor, gaps: Tensor, longest: float | None = None) -> Tensor:
        return state


class BatchFlippingRNNVAE(RNNVAE):
    """RNN-VAE that flips the batch instead of time where it should read series backwards.

    Samples thus change their order, and each series is decoded from the z0 of another one.
    """

    def encode(self, observed: TimeSeries) -> tuple[Tensor, Tensor]:
        last_first = torch.arange(len(observed) - 1, -1, -1, device=observed.values.device)
        return super().encode(observed.select(last_first))
