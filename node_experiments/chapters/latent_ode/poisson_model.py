"""A latent ODE of event times: the rate is a function of the latent state (section 5.1, eq. 14).

log p(events) = sum_i log rate(z(t_i)) - integral of rate(z(t)) dt, where the integral is an
additional component of the ODE's state.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...data.events import EventData
from ...data.time_series import TimeSeries
from ...nn.augmentation import warn_if_overaugmented
from ...nn.latent_trajectory import LatentTrajectory
from ...nn.mlp import mlp
from ...ode import Gradient, Solver
from .chapter import PoissonLatentODEConfig
from .model import LatentVectorField, RecognitionRNN

__all__ = ["PoissonField", "PoissonLatentODE", "poisson_latent_ode"]


class PoissonField(nn.Module):
    """d(z, expected events) / dt = (f(z), rate(z)), the events in multiples of `mean_count`.

    Args:
        latent: Dimension of z; a state has one more component.
        mean_rate: Scale of the rate, in events per unit of time.
        augment: Additional dimensions of a state, which evolve with z but do not affect the rate.
    """

    def __init__(
        self, latent: int, hidden: int, layers: int, activation: str, mean_rate: float,
        mean_count: float, augment: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.latent = latent
        self.dynamics = LatentVectorField(latent + augment, hidden, layers, activation)
        self.log_rate_net = mlp([latent, hidden, 1], "tanh")
        self.mean_rate, self.mean_count = mean_rate, mean_count

    def rate(self, z: Tensor) -> Tensor:
        """Rate in events per unit of time, shape `(...)` from `(..., latent)`."""
        return self.mean_rate * self.log_rate_net(z).squeeze(-1).exp()

    def moving_part(self, y: Tensor) -> Tensor:
        """The part of a state that follows `dynamics`: all but the expected events."""
        z, further = y[..., : self.latent], y[..., self.latent + 1 :]
        return torch.cat([z, further], -1) if further.shape[-1] else z

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """A 0-d time and a state `(..., latent + 1 + augment)`; keeps the shape."""
        moved = self.dynamics(t, self.moving_part(y))
        rate = (self.rate(y[..., : self.latent]) / self.mean_count).unsqueeze(-1)
        return torch.cat([moved[..., : self.latent], rate, moved[..., self.latent :]], -1)


class PoissonLatentODE(nn.Module):
    """Recognition network over the gaps between events, latent ODE, and rate.

    Args:
        settings: Sizes.
        span: Time over which events are counted.
        mean_count: Mean number of events in a sequence.
    """

    def __init__(
        self,
        settings: PoissonLatentODEConfig,
        span: float,
        mean_count: float,
        solver: Solver,
        gradient: Gradient,
    ) -> None:
        super().__init__()
        c = settings
        self.span, self.mean_count = span, mean_count
        self.encoder = RecognitionRNN(1, c.latent, c.encoder_hidden, span / mean_count)
        field = PoissonField(
            c.latent, c.hidden, c.layers, c.activation, mean_count / span, mean_count, c.augment
        )
        self.trajectory = LatentTrajectory(field, solver, gradient, c.knots, c.augment)

    def encode(self, events: TimeSeries) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z0 | events), shape `(batch, latent)` each."""
        return self.encoder(events)

    def rate(self, z0: Tensor, times: Tensor) -> Tensor:
        """Rate in events per unit of time at `times`, shape `(..., batch, time)`."""
        return self._field.rate(self._states(z0, times)[..., :-1])

    def log_likelihood(self, z0: Tensor, events: TimeSeries) -> Tensor:
        """Log-likelihood of events over the whole span, in nats.

        Shape `(..., batch)` from z0 of shape `(..., batch, latent)`.
        """
        times = events.times.expand(len(events.values), -1)
        end = torch.full_like(times[:, :1], self.span)
        states = self._states(z0, torch.cat([times, end], 1))
        log_rates = self._field.rate(states[..., :-1, :-1]).log()
        return (log_rates * events.mask).sum(-1) - self.mean_count * states[..., -1, -1]

    @property
    def _field(self) -> PoissonField:
        field = self.trajectory.vector_field
        assert isinstance(field, PoissonField)
        return field

    def _states(self, z0: Tensor, times: Tensor) -> Tensor:
        start = torch.cat([z0, torch.zeros_like(z0[..., :1])], -1)
        return self.trajectory(start, times)


def poisson_latent_ode(
    settings: PoissonLatentODEConfig, data: EventData, solver: Solver, gradient: Gradient
) -> PoissonLatentODE:
    """Build the model for the span and mean count of its data."""
    warn_if_overaugmented(settings.augment, settings.latent)
    return PoissonLatentODE(settings, data.span, data.mean_count, solver, gradient)
