"""Prediction of the next observation, and errors of forecasts (Table 2 of Chen et al. 2018)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ...nn.likelihoods import BAND, gaussian_nll

__all__ = ["ForecastErrors", "NextObservation", "next_observation"]

DRAWS = 16  # samples of a forecast from which its band is estimated
BAND_SERIES = 100  # series per batch whose band is evaluated


class NextObservation:
    """Gaussian negative log-likelihood of each next observation, in nats per series.

    The first observation of a series is not predicted.
    """

    metric = "rmse"
    higher_is_better = False

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean loss over the batch, 0-d."""
        return self.nll(model, batch).mean(), {}

    def nll(self, model: Any, batch: Any) -> Tensor:
        """Negative log-likelihood of each series, shape `(batch,)`."""
        series = batch.observed.packed()
        predicted = model.one_step(series)
        return gaussian_nll(
            predicted, series.values[:, 1:], series.mask[:, 1:], model.log_noise_std
        )

    def evaluate(self, model: nn.Module, batches: Iterable[Any]) -> dict[str, float]:
        """Loss (negative log-likelihood), one-step error, and errors of forecasts.

        In addition to those of `ForecastErrors`: `one_step_rmse_noisy`, the error of the next
        observation given all before it, and `rmse_<rollout>` for each kind of rollout.
        """
        network: Any = model
        losses, squares, counts, forecasts = [], 0.0, 0, ForecastErrors()
        ways = [way for way in network.ROLLOUTS if way != network.rollout]
        errors: dict[str, list[Tensor]] = {way: [] for way in ways}
        for batch in batches:
            losses.append(self.nll(network, batch))
            series = batch.observed.packed()
            mask = series.mask[:, 1:]
            next_errors = (network.one_step(series) - series.values[:, 1:]).square().mean(-1)
            squares += float((next_errors * mask).sum())
            counts += int(mask.sum())
            for way in ways if batch.future is not None else ():
                predicted = network.forecast(batch.observed, batch.future.times, rollout=way)
                errors[way].append((predicted - batch.future.clean).square().mean((1, 2)))
            forecasts.add(network, batch)
        found = forecasts.metrics()
        for way, values in errors.items():
            if values:
                found[f"rmse_{way}"] = math.sqrt(float(torch.cat(values).mean()))
                found[f"rmse_{network.rollout}"] = found["rmse"]
        return {
            "loss": float(torch.cat(losses).mean()),
            "one_step_rmse_noisy": math.sqrt(squares / max(counts, 1)),
            **found,
        }


class ForecastErrors:
    """Errors on the points beyond the observed range, in the units of the data.

    - `rmse`, `rmse_noisy`: over all points and coordinates, against the curve without and with
      noise
    - `rmse_median`: median over series of the error against the curve without noise
    - `rmse_hold_last`: error of repeating the last observation
    - `coverage_90`: fraction of noisy points inside the central 90 % of the forecast, approximated
      by a Gaussian with the variance of 16 draws plus the observation noise, for the first 100
      series of each batch
    """

    def __init__(self) -> None:
        self.clean: list[Tensor] = []
        self.noisy: list[Tensor] = []
        self.hold: list[Tensor] = []
        self.inside: list[Tensor] = []

    def add(self, model: Any, batch: Any) -> None:
        """Add the forecasts of a batch, if it has points beyond the observed range."""
        future = batch.future
        if future is None:
            return
        predicted = model.forecast(batch.observed, future.times)
        self.clean.append((predicted - future.clean).square().mean((1, 2)))
        self.noisy.append((predicted - future.noisy).square().mean((1, 2)))
        last = batch.observed.packed()
        counts = last.mask.sum(1)
        end = last.values[torch.arange(len(counts), device=counts.device), counts - 1]
        self.hold.append((end.unsqueeze(1) - future.clean).square().mean((1, 2)))
        generator = torch.Generator(predicted.device).manual_seed(0)
        few = batch.select(torch.arange(min(BAND_SERIES, len(batch)), device=predicted.device))
        draws = model.forecast(few.observed, few.future.times, DRAWS, generator)
        std = (draws.var(0) + (2 * model.log_noise_std).exp()).sqrt()
        errors = (few.future.noisy - draws.mean(0)).abs()
        self.inside.append((errors <= BAND * std).float().mean((1, 2)))

    def metrics(self) -> dict[str, float]:
        """The errors over all batches; none if no batch had points beyond the observed range."""
        if not self.clean:
            return {}
        squares = torch.cat(self.clean)
        return {
            "rmse": math.sqrt(float(squares.mean())),
            "rmse_noisy": math.sqrt(float(torch.cat(self.noisy).mean())),
            "rmse_median": float(squares.sqrt().median()),
            "rmse_hold_last": math.sqrt(float(torch.cat(self.hold).mean())),
            "coverage_90": float(torch.cat(self.inside).mean()),
        }


def next_observation(settings: Any, data: Any) -> NextObservation:
    """The task of the recurrent baselines, which has no settings."""
    return NextObservation()
