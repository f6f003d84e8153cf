"""Latent ODEs for irregular series (Rubanova et al. 2019, sections 3.2 and 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...nn.latent_trajectory import LatentTrajectory
from .gru_unit import tanh_mlp
from .vae import SeriesEncoder, SeriesVAE

__all__ = ["IrregularLatentODE", "LatentODEPoisson", "PoissonDynamics"]


class Autonomous(nn.Module):
    """Autonomous vector field f(z)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Return dz/dt of a state `(..., latent)`, at any 0-d time; keeps the shape."""
        return self.net(z)


class IrregularLatentODE(SeriesVAE):
    """Latent ODE: z(t) solves an ODE from z0; the encoder runs backwards in time.

    Args:
        encoder: Infers z0 at its `start`.
        trajectory: Maps z0 to the states at times counted from `start`.
        decoder, noise_std, dim, classifier, label_per: As in `SeriesVAE`.
    """

    def __init__(
        self,
        encoder: SeriesEncoder,
        trajectory: LatentTrajectory,
        decoder: nn.Module,
        noise_std: float | None,
        dim: int,
        classifier: nn.Module | None = None,
        label_per: str | None = None,
    ) -> None:
        super().__init__(encoder, decoder, noise_std, dim, classifier, label_per)
        self.trajectory = trajectory

    def states(self, z0: Tensor, times: Tensor) -> Tensor:
        return self.trajectory(z0, (times - self.encoder.start).clamp(min=0))


class PoissonDynamics(nn.Module):
    """d(z, expected events)/dt = (f(z), rates of z / unit) (Rubanova et al. 2019, section 3.3).

    Args:
        latent: Dimensions of z that are decoded; as many again determine the rates.
        dim: Features, each with its own rate.
        hidden, layers: Hidden units and layers of f, which reads all `2 * latent` dimensions.
        augment: Additional dimensions at the end of the state, which evolve with z and are not
            decoded.
    """

    unit = 100.0  # of the integral of the rates, so that it does not dominate the error norm

    def __init__(self, latent: int, dim: int, hidden: int, layers: int, augment: int = 0) -> None:
        super().__init__()
        self.latent, self.dim = latent, dim
        size = 2 * latent + augment
        self.net = tanh_mlp([size, *[hidden] * layers, size])
        self.log_rate = tanh_mlp([latent, hidden, dim])

    def moving_part(self, y: Tensor) -> Tensor:
        """The part of the state that `dynamics` acts on: all but the expected events."""
        z, further = y[..., : 2 * self.latent], y[..., 2 * self.latent + self.dim :]
        return torch.cat([z, further], -1) if further.shape[-1] else z

    def dynamics(self, t: Tensor, z: Tensor) -> Tensor:
        """dz/dt, independent of time."""
        return self.net(z)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """Derivative of a state `(..., 2 * latent + dim + augment)`, at any time; same shape."""
        size = 2 * self.latent
        moved = self.dynamics(t, self.moving_part(y))
        rate = self.log_rate(y[..., self.latent : size]).exp()
        return torch.cat([moved[..., :size], rate / self.unit, moved[..., size:]], -1)


class LatentODEPoisson(IrregularLatentODE):
    """Latent ODE that also models the times of observations, as a Poisson process per feature.

    Its encoder infers `2 * latent` dimensions: half of them are decoded, half determine the rates.
    """

    def states(self, z0: Tensor, times: Tensor) -> Tensor:
        start = torch.cat([z0, z0.new_zeros(*z0.shape[:-1], self._dynamics.dim)], -1)
        return super().states(start, times)

    def means(self, states: Tensor) -> Tensor:
        return self.decoder(states[..., : self._dynamics.latent])

    def classify(self, z0: Tensor, states: Tensor) -> Tensor:
        latent = self._dynamics.latent
        return super().classify(z0[..., :latent], states[..., :latent])

    def event_log_likelihood(self, states: Tensor, features: Tensor) -> Tensor:
        """Log-likelihood of the observation times, in nats per feature, shape `(..., batch)`.

        Args:
            states: At the times of the series, `(..., batch, time, state)`.
            features: Whether each feature is observed, shape `(batch, time, dim)`, packed.
        """
        dynamics = self._dynamics
        z = states[..., dynamics.latent : 2 * dynamics.latent]
        log_rates = (dynamics.log_rate(z) * features).sum(-2)
        expected = dynamics.unit * states[..., -1, 2 * dynamics.latent :]
        return (log_rates - expected).mean(-1)

    @property
    def _dynamics(self) -> PoissonDynamics:
        field = self.trajectory.vector_field
        assert isinstance(field, PoissonDynamics)
        return field
