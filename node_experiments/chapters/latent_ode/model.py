"""The latent ODE: a variational autoencoder of time series (Chen et al. 2018, section 5).

A recognition network reads the observations backwards in time and outputs q(z0 | x); an ODE solve
carries z0 to any time; a decoder maps z(t) to the mean of an observation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...data.time_series import TimeSeries
from ...nn.augmentation import warn_if_overaugmented
from ...nn.cpu.elman import ElmanNetwork
from ...nn.cpu.feature_major import UnitsFirst
from ...nn.cpu.tall_mlp import TallMLP
from ...nn.latent_trajectory import LatentTrajectory
from ...nn.likelihoods import observation_noise, sample_normal
from ...nn.mlp import mlp
from ...ode import Gradient, Solver
from .chapter import LatentODEConfig
from .spirals import SpiralData

__all__ = ["LatentODE", "LatentVectorField", "RecognitionRNN", "latent_ode"]


class LatentVectorField(nn.Module):
    """Vector field f(z), which does not depend on time."""

    def __init__(self, latent: int, hidden: int, layers: int, activation: str) -> None:
        super().__init__()
        self.net = UnitsFirst(*mlp([latent, *[hidden] * layers, latent], activation))

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """A 0-d time and a state `(..., latent)`; keeps the shape."""
        return self.net(z)


class RecognitionRNN(nn.Module):
    """An Elman network from the last observation to the first, then mean and log-variance of z0.

    Args:
        dim: Dimension of an observation.
        latent: Dimension of z0.
        hidden: Dimension of the network's state.
        time_unit: Unit of the gaps that it reads with each observation: the time since the
            previous one, or since 0 for the first. If None, it reads no gaps.
    """

    def __init__(self, dim: int, latent: int, hidden: int, time_unit: float | None) -> None:
        super().__init__()
        self.time_unit = time_unit
        self.rnn = ElmanNetwork(dim + (time_unit is not None), hidden)
        self.head = nn.Linear(hidden, 2 * latent)

    def forward(self, series: TimeSeries) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of z0, shape `(batch, latent)` each."""
        series = series.packed()
        inputs = series.values
        if self.time_unit is not None:
            gaps = torch.diff(series.times, dim=1, prepend=torch.zeros_like(series.times[:, :1]))
            gaps = (gaps / self.time_unit).to(inputs.dtype).expand(inputs.shape[:2])
            inputs = torch.cat([inputs, gaps.unsqueeze(-1)], -1)
        if series.complete:
            _, state = self.rnn(inputs.flip(1))
        else:
            # Each sample is read backwards from its last observation; the padding is read after
            # the first observation, and these states are not used.
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
        settings: Sizes, noise, and whether the recognition network reads times.
        dim: Dimension of an observation.
        time_unit: Unit in which the recognition network reads the time between two observations.
    """

    def __init__(
        self,
        settings: LatentODEConfig,
        dim: int,
        time_unit: float,
        solver: Solver,
        gradient: Gradient,
    ) -> None:
        super().__init__()
        c = settings
        self.latent = c.latent
        self.encoder = RecognitionRNN(
            dim, c.latent, c.encoder_hidden, time_unit if c.reads_gaps else None
        )
        field = LatentVectorField(c.latent + c.augment, c.hidden, c.layers, c.activation)
        self.trajectory = LatentTrajectory(field, solver, gradient, c.knots, c.augment)
        self.decoder = TallMLP(c.latent, c.decoder_hidden, dim)
        self.log_noise_std = observation_noise(c.noise_std)

    def encode(self, series: TimeSeries) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z0 | series), shape `(batch, latent)` each."""
        return self.encoder(series)

    def decode(self, z0: Tensor, times: Tensor) -> Tensor:
        """Means of observations at the times of each sample, shape `(..., batch, time, dim)`."""
        return self.decoder(self.trajectory(z0, times))

    def forecast(
        self,
        series: TimeSeries,
        times: Tensor,
        samples: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Means at `times`, `(batch or 1, time)`, decoded from the mean or from samples of z0.

        Returns:
            Shape `(batch, time, dim)`, with a leading axis of samples if `samples` is given.
        """
        mean, log_variance = self.encode(series)
        if samples is None:
            return self.decode(mean, times)
        return self.decode(sample_normal(mean, log_variance, samples, generator), times)


def latent_ode(
    settings: LatentODEConfig, data: SpiralData, solver: Solver, gradient: Gradient
) -> LatentODE:
    """Build the model for the dimension and time unit of its data."""
    warn_if_overaugmented(settings.augment, settings.latent)
    return LatentODE(settings, data.dim, data.time_unit, solver, gradient)
