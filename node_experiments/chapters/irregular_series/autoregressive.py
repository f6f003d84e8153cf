"""Models that predict each observation of an irregular series from those before it.

RNN-dt, RNN-Impute, RNN-Decay, GRU-D and ODE-RNN (Rubanova et al. 2019, sections 3.1 and 4) differ
in what happens to their state between observations, and in nothing else.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...nn.likelihoods import observation_noise
from .bands import PredictiveNoise
from .gru_unit import tanh_mlp
from .recurrence import (
    Observations,
    Recurrence,
    Series,
    States,
)

__all__ = ["Autoregressive"]


class Autoregressive(nn.Module):
    """A recurrence with a head for values and one for classes.

    Args:
        recurrence: Reads the observations.
        dim: Values of an observation.
        head_hidden: Hidden units of the head for values.
        noise_std: As in `observation_noise`.
        start: Time at which the state begins, as zero.
        time_unit: Show the head the time since the last observation, in multiples of this; None
            for models whose state knows it.
        classifier: Maps a state `(..., size)` to logits; None without labels.
        label_per: What a label belongs to: `series` or `time`.
    """

    def __init__(
        self,
        recurrence: Recurrence,
        dim: int,
        head_hidden: int,
        noise_std: float | None,
        start: float,
        time_unit: float | None,
        classifier: nn.Module | None = None,
        label_per: str | None = None,
    ) -> None:
        super().__init__()
        self.recurrence, self.start, self.time_unit = recurrence, start, time_unit
        self.head = tanh_mlp([recurrence.size + (time_unit is not None), head_hidden, dim])
        self.classifier, self.label_per = classifier, label_per
        self.log_noise_std = observation_noise(noise_std, dim)
        self.predictive_noise = PredictiveNoise(dim)

    def read(self, observed: Series) -> States:
        """The states after all observations."""
        return self.recurrence(Observations.of(observed), self.start)

    def predict(self, states: States, times: Tensor) -> Tensor:
        """Means at times `(batch or 1, time)`, each from the observations before it.

        Returns:
            Shape `(batch, time, dim)`.
        """
        state, since = states.at(times, including=False)
        return self._mean(self._carried(state, since), since)

    def predict_after(self, states: States, counts: Tensor, since: Tensor) -> Tensor:
        """Means some time after the latest of so many observations.

        Args:
            counts: How many observations they rest on, shape `(batch, time)`.
            since: Time since the last of these, of the same shape.

        Returns:
            Shape `(batch, time, dim)`.
        """
        since = since.to(states.times.dtype).clamp(min=0)
        return self._mean(self._carried(states.after(counts), since), since)

    def roll_out(self, states: States, times: Tensor, noise: Tensor | None = None) -> Tensor:
        """Means at times after the last observation, each fed back as if it had been observed.

        Args:
            noise: Standard deviation of an observation: draws are returned and fed back instead.

        Returns:
            Shape `(batch, time, dim)`.
        """
        state, last = states.last()
        times = times.to(last.dtype).expand(len(last), -1)
        gaps = torch.diff(times, dim=1, prepend=last.unsqueeze(1)).clamp(min=0)
        means = []
        for gap, longest in zip(gaps.t(), gaps.amax(0).tolist(), strict=True):
            state = self._between(state, gap, longest)
            mean = self._mean(state, gap)
            if noise is not None:
                mean = mean + noise * torch.randn_like(mean)
            means.append(mean)
            x = self.recurrence.read(mean, torch.ones_like(mean), gap, states.static)
            state = self.recurrence.unit(state, x)
        return torch.stack(means, 1)

    def classify(self, states: States, times: Tensor) -> Tensor:
        """Logits of each series `(batch, class)`, or at each time `(batch, time, class)`.

        A class at a time follows from all observations up to it.
        """
        assert self.classifier is not None
        if self.label_per == "series":
            return self.classifier(states.last()[0][..., : self.recurrence.size])
        state, since = states.at(times, including=True)
        return self.classifier(self._carried(state, since)[..., : self.recurrence.size])

    def _carried(self, state: Tensor, since: Tensor) -> Tensor:
        """States `(batch, time, 2 * size)` carried over `(batch, time)`, all at once."""
        flat = self.recurrence.between(state.flatten(0, 1), since.flatten())
        return flat.view_as(state)

    def _between(self, state: Tensor, gaps: Tensor, longest: float | None = None) -> Tensor:
        return self.recurrence.between(state, gaps, longest)

    def _mean(self, state: Tensor, since: Tensor) -> Tensor:
        inputs = state[..., : self.recurrence.size]
        if self.time_unit is not None:
            since = (since / self.time_unit).to(inputs.dtype).unsqueeze(-1)
            inputs = torch.cat([inputs, since], -1)
        return self.head(inputs)
