"""The latent ODE: a variational autoencoder of time series (Chen et al. 2018, section 5).

A recognition network runs backwards over the observations and ends in q(z0 | x); an ODE carries z0
to any time; a decoder maps z(t) to the mean of an observation.
"""

from __future__ import annotations

import itertools
import math
from typing import Protocol

import torch
from torch import Tensor, nn

from ...nn.cpu.elman import ElmanNetwork
from ...nn.cpu.feature_major import UnitsFirst
from ...nn.cpu.tall_mlp import TallMLP
from ...nn.cpu.tanh import Tanh
from ...nn.latent_trajectory import LatentTrajectory
from ...ode import (
    Gradient,
    Solver,
)

__all__ = ["LatentODE", "LatentVectorField", "RecognitionRNN", "Series", "mlp"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": Tanh,
    "elu": nn.ELU,
    "relu": nn.ReLU,
    "softplus": nn.Softplus,
}


class Series(Protocol):
    """Observations: times `(batch, time)` or `(1, time)`, values `(batch, time, dim)`, a mask."""

    times: Tensor
    values: Tensor
    mask: Tensor
    complete: bool

    def packed(self) -> Series: ...


def mlp(sizes: list[int], activation: str) -> nn.Sequential:
    """Linear layers of these sizes with the activation between them."""
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        layers += [ACTIVATIONS[activation]()] if i else []
        layers.append(nn.Linear(inputs, outputs))
    return nn.Sequential(*layers)


class LatentVectorField(nn.Module):
    """f(z), the same at all times."""

    def __init__(self, latent: int, hidden: int, layers: int, activation: str) -> None:
        super().__init__()
        self.net = UnitsFirst(*mlp([latent, *[hidden] * layers, latent], activation))

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """A 0-d time and a state `(..., latent)`; keeps the shape."""
        return self.net(z)


class RecognitionRNN(nn.Module):
    """An Elman network from the last observation to the first, then mean and log-variance of z0.

    Args:
        dim: Values of an observation.
        latent: Size of z0.
        hidden: Size of its state.
        mean_gap: With each observation it reads the time since the one before (since 0 for the
            first), in multiples of this; it reads no times when None.
    """

    def __init__(self, dim: int, latent: int, hidden: int, mean_gap: float | None) -> None:
        super().__init__()
        self.mean_gap = mean_gap
        self.rnn = ElmanNetwork(dim + (mean_gap is not None), hidden)
        self.head = nn.Linear(hidden, 2 * latent)

    def forward(self, series: Series) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of z0, shape `(batch, latent)` each."""
        series = series.packed()
        inputs = series.values
        if self.mean_gap is not None:
            gaps = torch.diff(series.times, dim=1, prepend=torch.zeros_like(series.times[:, :1]))
            gaps = (gaps / self.mean_gap).to(inputs.dtype).expand(inputs.shape[:2])
            inputs = torch.cat([inputs, gaps.unsqueeze(-1)], -1)
        if series.complete:
            _, state = self.rnn(inputs.flip(1))
        else:
            # Each sample is read from its own last observation on; what follows the first one
            # is read too, and its states are not used.
            counts = series.mask.sum(1, keepdim=True)
            places = torch.arange(inputs.shape[1], device=inputs.device)
            order = (counts - 1 - places).remainder(inputs.shape[1])
            states, _ = self.rnn(inputs.gather(1, order.unsqueeze(-1).expand_as(inputs)))
            last = (counts - 1).unsqueeze(-1).expand(-1, 1, states.shape[-1])
            state = states.gather(1, last).squeeze(1)
        mean, log_variance = self.head(state).chunk(2, -1)
        return mean, log_variance


class LatentODE(nn.Module):
    """Recognition network, latent ODE and decoder.

    Args:
        dim: Values of an observation.
        noise_std: Standard deviation of an observation around the decoder's mean; learned when
            None.
        mean_gap: Unit of time of the recognition network, or None to show it no times.
        knots: As in `LatentTrajectory`.
    """

    def __init__(
        self,
        dim: int,
        solver: Solver,
        gradient: Gradient,
        latent: int = 4,
        hidden: int = 20,
        layers: int = 1,
        activation: str = "tanh",
        encoder_hidden: int = 25,
        decoder_hidden: int = 20,
        noise_std: float | None = 0.1,
        mean_gap: float | None = 1.0,
        knots: int | None = None,
    ) -> None:
        super().__init__()
        self.latent = latent
        self.encoder = RecognitionRNN(dim, latent, encoder_hidden, mean_gap)
        field = LatentVectorField(latent, hidden, layers, activation)
        self.trajectory = LatentTrajectory(field, solver, gradient, knots)
        self.decoder = TallMLP(latent, decoder_hidden, dim)
        log_std = torch.tensor(math.log(0.3 if noise_std is None else noise_std))
        self.log_noise_std = nn.Parameter(log_std, requires_grad=noise_std is None)

    def encode(self, series: Series) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z0 | series), shape `(batch, latent)` each."""
        return self.encoder(series)

    def decode(self, z0: Tensor, times: Tensor) -> Tensor:
        """Means at the times of each sample, shape `(..., batch, time, dim)`."""
        return self.decoder(self.trajectory(z0, times))

    def forecast(
        self,
        series: Series,
        times: Tensor,
        samples: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Means at `times`, `(batch or 1, time)`: from the mean of z0, or from samples of it.

        Returns:
            Shape `(batch, time, dim)`, with a leading axis of samples if they are asked for.
        """
        mean, log_variance = self.encode(series)
        if samples is None:
            return self.decode(mean, times)
        noise = torch.randn(samples, *mean.shape, generator=generator, device=mean.device)
        return self.decode(mean + (log_variance / 2).exp() * noise, times)
