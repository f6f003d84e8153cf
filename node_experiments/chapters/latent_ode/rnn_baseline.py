"""The baselines of Table 2: recurrent networks that predict the next observation.

`rnn` reads only the values; `rnn_dt` also reads the time to the next observation (Chen et al.
2018, section 5.1: "a second RNN that was also fed the time gap").
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ...data.time_series import TimeSeries
from ...nn.cpu.elman import ElmanNetwork
from ...nn.likelihoods import observation_noise
from ...ode import Gradient, Solver
from .chapter import RecurrentConfig
from .spirals import SpiralData

__all__ = ["RecurrentForecaster", "recurrent_forecaster"]


class RecurrentForecaster(nn.Module):
    """An Elman network whose linear head predicts the mean of the next observation.

    Args:
        settings: The model `rnn_dt` also reads the time to the next observation, in multiples of
            `time_unit`. The `rollout`, one of `ROLLOUTS`, sets the steps of a forecast beyond the
            observations: `mean_gap` takes steps of the mean gap in training, with linear
            interpolation between them; `target` steps from each target time to the next, however
            far that is.
        dim: Dimension of an observation.
        mean_gap: Mean time between two observations.
        time_unit: Unit of the gaps that `rnn_dt` reads; `mean_gap` if None.
    """

    ROLLOUTS = ("mean_gap", "target")

    def __init__(
        self,
        settings: RecurrentConfig,
        dim: int,
        mean_gap: float,
        time_unit: float | None = None,
    ) -> None:
        super().__init__()
        self.mean_gap, self.rollout = mean_gap, settings.rollout
        self.time_unit = mean_gap if time_unit is None else time_unit
        self.reads_gaps = settings.name == "rnn_dt"
        self.rnn = ElmanNetwork(dim + self.reads_gaps, settings.hidden)
        self.head = nn.Linear(settings.hidden, dim)
        self.log_noise_std = observation_noise(settings.noise_std)

    def one_step(self, series: TimeSeries) -> Tensor:
        """Means of observations 2 to n, each given all before it, shape `(batch, n - 1, dim)`.

        The series must be packed.
        """
        states, _ = self._read(series.values[:, :-1], torch.diff(series.times, dim=1))
        return self.head(states)

    def forecast(
        self,
        series: TimeSeries,
        times: Tensor,
        samples: int | None = None,
        generator: torch.Generator | None = None,
        rollout: str | None = None,
    ) -> Tensor:
        """Means at `times`, `(batch or 1, time)`, all after the last observation.

        Each prediction is fed back: the mean, or a draw around it if `samples` is given.

        Returns:
            Shape `(batch, time, dim)`, with a leading axis of samples if `samples` is given.
        """
        rollout = rollout or self.rollout
        series = series.packed()
        batch = len(series.values)
        copies = samples or 1
        values, state = self._read_all(series)
        counts = series.mask.sum(1, keepdim=True)
        last_time = series.times.expand(batch, -1).gather(1, counts - 1)
        times = times.expand(batch, -1)
        if rollout == "target":
            gaps = torch.diff(times, dim=1, prepend=last_time)
        else:
            steps = math.ceil(float((times[:, -1:] - last_time).max()) / self.mean_gap)
            gaps = times.new_full((batch, max(steps, 1)), self.mean_gap)
        values, state = values.repeat(copies, 1), state.repeat(copies, 1)
        gaps = gaps.repeat(copies, 1)
        means = []
        for k in range(gaps.shape[1]):
            states, state = self._read(values.unsqueeze(1), gaps[:, k : k + 1], state)
            mean = self.head(states[:, 0])
            means.append(mean)
            values = mean
            if samples is not None:
                noise = torch.randn(mean.shape, generator=generator, device=mean.device)
                values = mean + self.log_noise_std.exp() * noise
        path = torch.stack(means, 1).view(copies, batch, len(means), -1)
        if rollout == "mean_gap":
            end = series.values.gather(1, (counts - 1).unsqueeze(-1).expand(-1, 1, path.shape[-1]))
            path = torch.cat([end.expand(copies, -1, -1, -1), path], 2)
            path = between(path, (times - last_time) / self.mean_gap)
        return path if samples is not None else path[0]

    def _read_all(self, series: TimeSeries) -> tuple[Tensor, Tensor]:
        """The last observation `(batch, dim)`, and the network's state before reading it."""
        counts = series.mask.sum(1)
        sample = torch.arange(len(counts), device=counts.device)
        last = series.values[sample, counts - 1]
        state = series.values.new_zeros(len(counts), self.rnn.hidden_size)
        if series.values.shape[1] > 1:
            states, _ = self._read(series.values[:, :-1], torch.diff(series.times, dim=1))
            states = torch.cat([state.unsqueeze(1), states], 1)
            state = states[sample, counts - 1]
        return last, state

    def _read(
        self, values: Tensor, gaps: Tensor, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """States after each of the values `(batch, time, dim)`, given the gaps after them."""
        if self.reads_gaps:
            gaps = (gaps / self.time_unit).to(values.dtype).expand(values.shape[:2])
            values = torch.cat([values, gaps.unsqueeze(-1)], -1)
        return self.rnn(values, state)


def between(path: Tensor, places: Tensor) -> Tensor:
    """Linear interpolation of `(..., batch, step, dim)` at positions `(batch, time)` in steps."""
    left = places.floor().clamp(0, path.shape[-2] - 2).long()
    weight = (places - left).unsqueeze(-1)
    index = left.unsqueeze(-1).expand(*path.shape[:-2], left.shape[-1], path.shape[-1])
    return (1 - weight) * path.gather(-2, index) + weight * path.gather(-2, index + 1)


def recurrent_forecaster(
    settings: RecurrentConfig, data: SpiralData, solver: Solver, gradient: Gradient
) -> RecurrentForecaster:
    """Build the model for the dimension and gaps of its data; it uses no solver."""
    return RecurrentForecaster(settings, data.dim, data.mean_gap, data.time_unit)
