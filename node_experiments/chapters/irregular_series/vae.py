"""Base classes of variational autoencoders of irregular series (Rubanova et al. 2019)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from ...data.time_series import TimeSeries
from ...nn.likelihoods import observation_noise
from .bands import PredictiveNoise
from .gru_unit import tanh_mlp
from .recurrence import Observations, Recurrence, reversed_in_time

__all__ = ["SeriesEncoder", "SeriesVAE"]


class SeriesEncoder(nn.Module):
    """q(z0 | observations): a recurrence, then a head for mean and standard deviation.

    Args:
        latent: Dimension of z0.
        hidden: Hidden units of the head.
        start: Time of z0.
        backwards: Whether to read from the last observation to the first and continue to `start`,
            rather than from the first to the last.
    """

    def __init__(
        self, recurrence: Recurrence, latent: int, hidden: int, start: float, backwards: bool
    ) -> None:
        super().__init__()
        self.recurrence, self.start, self.backwards = recurrence, start, backwards
        self.head = tanh_mlp([2 * recurrence.size, hidden, 2 * latent])

    def forward(self, observed: TimeSeries) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of z0, shape `(batch, latent)` each."""
        seen = Observations.of(observed)
        if self.backwards:
            state, last = self.recurrence(reversed_in_time(seen), 0.0).last()
            state = self.recurrence.between(state, (-self.start - last).clamp(min=0))
        else:
            state, _ = self.recurrence(seen, 0.0).last()
        mean, std = self.head(state).chunk(2, -1)
        return mean, std.abs()


class SeriesVAE(nn.Module):
    """An encoder, a trajectory of latent states from z0, and a decoder from state to values.

    Attributes:
        follows_times: Whether a state depends on the earlier times at which states are requested.

    Args:
        decoder: Maps a latent state `(..., latent)` to the mean of an observation `(..., dim)`.
        noise_std: As in `observation_noise`.
        dim: Number of features of an observation.
        classifier: Maps a latent state `(..., latent)` to logits; None without labels.
        label_per: Whether a label belongs to a `series` (predicted from z0) or a `time`.
    """

    follows_times: ClassVar[bool] = False

    def __init__(
        self,
        encoder: SeriesEncoder,
        decoder: nn.Module,
        noise_std: float | None,
        dim: int,
        classifier: nn.Module | None = None,
        label_per: str | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.classifier, self.label_per = classifier, label_per
        self.log_noise_std = observation_noise(noise_std, dim)
        self.predictive_noise = PredictiveNoise(dim)

    def encode(self, observed: TimeSeries) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of q(z0 | observed), shape `(batch, latent)` each."""
        return self.encoder(observed)

    def states(self, z0: Tensor, times: Tensor) -> Tensor:
        """Latent states `(..., batch, time, latent)` at times `(batch or 1, time)`."""
        raise NotImplementedError

    def forecast(self, z0: Tensor, observed: TimeSeries, times: Tensor, step: float) -> Tensor:
        """Latent states at any times, each independent of the other times requested.

        Args:
            z0: Initial latent states of the observed series, `(..., batch, latent)`.
            times: Shape `(batch, time)`.
            step: Time between two steps of a recurrent decoder; see `bands.forecast_step`.
        """
        return self.states(z0, times)

    def means(self, states: Tensor) -> Tensor:
        """Means of the observations, shape `(..., batch, time, dim)`."""
        return self.decoder(states)

    def classify(self, z0: Tensor, states: Tensor) -> Tensor:
        """Logits `(..., batch, class)` from z0, or `(..., batch, time, class)` from the states."""
        assert self.classifier is not None
        return self.classifier(z0 if self.label_per == "series" else states)
