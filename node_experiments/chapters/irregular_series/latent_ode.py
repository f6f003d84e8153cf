"""The latent ODE of irregular series (Rubanova et al. 2019, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...nn.latent_trajectory import LatentTrajectory
from .gru_unit import tanh_mlp
from .vae import (
    SeriesEncoder,
    SeriesVAE,
)

__all__ = ["IrregularLatentODE", "LatentODEPoisson", "PoissonDynamics"]


class Autonomous(nn.Module):
    """f(z), the same at all times."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """A 0-d time and a state `(..., latent)`; keeps the shape."""
        return self.net(z)


class IrregularLatentODE(SeriesVAE):
    """z(t) follows an ODE from z0; its encoder runs backwards in time.

    Args:
        encoder: Gives z0 at its `start`.
        trajectory: From z0 to the states, with time counted from `start`.
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
        latent: Numbers of z that are decoded; as many again make the rates.
        dim: Features, each with its own rate.
        hidden, layers: Of f, on all `2 * latent` numbers.
        augment: Dimensions of a state after those, which move with z and are not read.
        unit: Events in which their integral is counted, so that it does not rule the solver.
    """

    def __init__(
        self,
        latent: int,
        dim: int,
        hidden: int,
        layers: int,
        augment: int = 0,
        unit: float = 100,
    ) -> None:
        super().__init__()
        self.latent, self.dim, self.unit = latent, dim, unit
        size = 2 * latent + augment
        self.net = tanh_mlp([size, *[hidden] * layers, size])
        self.log_rate = tanh_mlp([latent, hidden, dim])

    def moving_part(self, y: Tensor) -> Tensor:
        """The part that `dynamics` moves: all but the expected events."""
        z, further = y[..., : 2 * self.latent], y[..., 2 * self.latent + self.dim :]
        return torch.cat([z, further], -1) if further.shape[-1] else z

    def dynamics(self, t: Tensor, z: Tensor) -> Tensor:
        """dz/dt, the same at all times."""
        return self.net(z)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """A 0-d time and a state `(..., 2 * latent + dim + augment)`; keeps the shape."""
        size = 2 * self.latent
        moved = self.dynamics(t, self.moving_part(y))
        rate = self.log_rate(y[..., self.latent : size]).exp()
        return torch.cat([moved[..., :size], rate / self.unit, moved[..., size:]], -1)


class LatentODEPoisson(IrregularLatentODE):
    """A latent ODE that also says when a feature is observed, as a Poisson process.

    Its encoder gives `2 * latent` numbers: a half that is decoded and a half that makes the rates.
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
        """Log p(times of the observations), in nats a feature, shape `(..., batch)`.

        Args:
            states: At the times of the series, `(..., batch, time, state)`.
            features: What is observed, shape `(batch, time, dim)`, packed.
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
