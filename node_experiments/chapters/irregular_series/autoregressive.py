"""Models that predict each observation of an irregular series from those before it.

RNN-dt, RNN-Impute, RNN-Decay, GRU-D and ODE-RNN (Rubanova et al. 2019, sections 3.1 and 4) differ
only in what they read and in how their state evolves between observations.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...data.time_series import TimeSeries
from ...nn.likelihoods import observation_noise
from .bands import PredictiveNoise
from .gru_unit import tanh_mlp
from .recurrence import Observations, Recurrence, States

__all__ = ["Autoregressive"]


class Autoregressive(nn.Module):
    """A recurrence with a head for values and one for classes.

    Args:
        recurrence: Reads the observations.
        dim: Features per observation.
        head_hidden: Hidden units of the head for values.
        noise_std: As in `observation_noise`.
        start: Time of the initial state.
        time_unit: If set, the head for values also reads the time since the last observation, in
            multiples of this; None for models whose state evolves with time.
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

    def read(self, observed: TimeSeries) -> States:
        """Read all observations; return the states before the first and after each of them."""
        return self.recurrence(Observations.of(observed), self.start)

    def predict(self, states: States, times: Tensor) -> Tensor:
        """Predicted means at times `(batch or 1, time)`, each from earlier observations only.

        Returns:
            Shape `(batch, time, dim)`.
        """
        state, elapsed = states.at(times, including=False)
        return self._mean(self._advance(state, elapsed), elapsed)

    def predict_after(self, states: States, counts: Tensor, elapsed: Tensor) -> Tensor:
        """Predicted means at some time after the last of the first `counts` observations.

        Args:
            counts: Number of observations that each prediction is based on, `(batch, time)`.
            elapsed: Time since the last of these, of the same shape.

        Returns:
            Shape `(batch, time, dim)`.
        """
        elapsed = elapsed.to(states.times.dtype).clamp(min=0)
        return self._mean(self._advance(states.after(counts), elapsed), elapsed)

    def roll_out(self, states: States, times: Tensor, noise: Tensor | None = None) -> Tensor:
        """Predicted means after the last observation, each fed back as if it had been observed.

        Args:
            noise: Standard deviation of an observation; if given, samples are returned and fed
                back instead of means.

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
        """Logits per series `(batch, class)`, or per time `(batch, time, class)`.

        Logits at a time depend on all observations up to and including that time.
        """
        assert self.classifier is not None
        if self.label_per == "series":
            return self.classifier(states.last()[0][..., : self.recurrence.size])
        state, elapsed = states.at(times, including=True)
        return self.classifier(self._advance(state, elapsed)[..., : self.recurrence.size])

    def _advance(self, state: Tensor, elapsed: Tensor) -> Tensor:
        """States `(batch, time, 2 * size)` advanced by times `(batch, time)`, all at once."""
        flat = self.recurrence.between(state.flatten(0, 1), elapsed.flatten())
        return flat.view_as(state)

    def _between(self, state: Tensor, gaps: Tensor, longest: float | None = None) -> Tensor:
        return self.recurrence.between(state, gaps, longest)

    def _mean(self, state: Tensor, elapsed: Tensor) -> Tensor:
        inputs = state[..., : self.recurrence.size]
        if self.time_unit is not None:
            elapsed = (elapsed / self.time_unit).to(inputs.dtype).unsqueeze(-1)
            inputs = torch.cat([inputs, elapsed], -1)
        return self.head(inputs)
