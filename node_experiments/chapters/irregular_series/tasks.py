"""Interpolation, extrapolation and classification of irregular series (Rubanova et al. 2019).

The data determine the task of a batch: its target lies among the observations or after them, and
it may have labels.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ...config.checks import first_names
from ...nn.likelihoods import gaussian_log_likelihood
from ...training.task import Baseline
from .band_scores import band_scores, held_out_forecasts
from .bands import forecast_step, warn_of_uncalibrated_bands
from .baselines import error_of_mean
from .calibration import calibrate
from .forecast_data import ForecastData
from .metrics import classification_metrics, cross_entropy, mean_over_observed
from .settings import SeriesModelConfig

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AutoregressiveSeriesTask", "SeriesTask", "autoregressive_series"]


@dataclass
class SeriesTask:
    """Base class of the tasks of autoregressive and variational models.

    Attributes:
        kind: `interpolation`, `extrapolation` or `classification`.
        classes: Number of classes, or None.
        reconstruction_weight: Weight of the negative log-likelihood in nats per value.
        classification_weight: Weight of the cross-entropy in nats per label.
        class_weights: Weight of each class in the training loss; None for equal weights.
        measures: Additional errors, as in `ForecastData`.
        forecasts: Forecasts of held-out test values, set by `coverage_metrics`.
        metric: Mean squared error; for classification accuracy, or AUC with two classes.
    """

    kind: str
    classes: int | None = None
    reconstruction_weight: float = 1.0
    classification_weight: float = 100.0
    class_weights: tuple[float, ...] | None = field(kw_only=True, default=None)
    measures: Callable[[Tensor, Any], dict[str, Tensor]] | None = field(init=False, default=None)
    forecasts: dict[str, Any] = field(init=False, default_factory=dict)
    metric: str = field(init=False, default="mse")
    higher_is_better: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        if self.kind == "classification":
            self.metric = "auc" if self.classes == 2 else "accuracy"
            self.higher_is_better = True

    def evaluate(self, model: nn.Module, batches: Iterable[Any]) -> dict[str, float]:
        """Metrics as means over all series with equal weights.

        - `mse`: mean squared error over target points in squared units of the data. Models with a
          latent z0 predict from its mean; autoregressive models from the observations before each
          point, or beyond them by a roll-out from target to target, as published (forecasts at
          any times take equal steps instead; see `bands.roll_out_in_steps`)
        - `mse_samples`: the same with draws of z0 and averaged over them, as published
        - `log_likelihood`: Gaussian, in nats per value
        - `accuracy`, `auc`, `average_precision`: of classification
        - those that `measures` returns, as means over all predictions
        """
        sums: dict[str, float] = {}
        measured: dict[str, list[Tensor]] = {}
        count, logits, labels = 0, [], []
        for mean, values, found, batch in self.evaluated(model, batches):
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + float(value.sum())
            if self.measures is not None:
                for name, single in self.measures(mean, batch).items():
                    measured.setdefault(name, []).append(single)
            count += len(batch)
            if found is not None and batch.label is not None:
                logits.append(found.flatten(0, -2))
                labels.append(batch.label.flatten())
        means = {name: value / count for name, value in sums.items()}
        joined = {name: torch.cat(parts) for name, parts in measured.items()}
        means |= {name: float(single.mean()) for name, single in joined.items() if len(single)}
        nll = -means["log_likelihood"]
        if not logits or self.kind != "classification":
            return {"loss": nll, **means}
        known, label = torch.cat(logits), torch.cat(labels)
        entropy = float(cross_entropy(known, label))
        loss = self.reconstruction_weight * nll + self.classification_weight * entropy
        classes = {"cross_entropy": entropy, **classification_metrics(known, label)}
        return {"loss": loss, **means, **classes}

    def evaluated(
        self, model: Any, batches: Iterable[Any]
    ) -> Iterator[tuple[Tensor, dict[str, Tensor], Tensor | None, Any]]:
        """Yield the predicted means, metrics of each series, logits and the batch itself."""
        raise NotImplementedError

    def baseline(self, data: ForecastData) -> Baseline:
        """Score of always predicting the training mean, or equal class probabilities."""
        if self.kind == "classification" and self.classes is not None:
            return Baseline("cross_entropy", math.log(self.classes), "every class alike")
        batches = data.test if data.validation is None else data.validation
        return Baseline("mse", error_of_mean(data.train, batches, data.dim), "the training mean")

    def calibrate(self, model: Any, data: ForecastData) -> dict[str, float]:
        """Refit the noise of a trained model; return `band_scores` of the validation series."""
        if self.kind == "classification":
            return {}
        if data.validation is None:
            warn_of_uncalibrated_bands(
                "all features", "there are no validation series; set dataset.validation_size"
            )
            return {}
        calibrate(model, data, data.cut)
        step = forecast_step(model, data)
        return band_scores(held_out_forecasts(model, data.validation, data.cut, step))

    def coverage_metrics(self, model: Any, data: ForecastData) -> dict[str, float]:
        """Scores of the predictive bands on held-out test values, as in `band_scores`."""
        if self.kind == "classification":
            return {}
        step = forecast_step(model, data)
        self.forecasts = held_out_forecasts(model, data.test, data.cut, step)
        return band_scores(self.forecasts)

    def error_table(self, model: Any, data: ForecastData) -> pd.DataFrame | None:
        """Test errors of forecasts of a table, by column in its unit, and of simple forecasts."""
        if self.kind == "classification" or not data.of_table:
            return None
        from .error_table import error_table

        table = error_table(model, data)
        if table is None:
            log.warning(
                "there is no table of errors, since nothing of the test series is hidden: mse is "
                "of values that were read; to test how gaps are filled, set "
                "dataset.observed_fraction=0.5"
            )
        elif lacking := [name for name in data.features if name not in table.index]:
            log.warning(
                "the table of errors lacks %s: the test series have no value of it that is hidden "
                "from the model",
                first_names(lacking),
            )
        return table

    def total_loss(self, nll: Tensor, logits: Tensor | None, batch: Any) -> Tensor:
        """Training loss, 0-d: the negative log-likelihood, and in classification cross-entropy."""
        if logits is None or self.kind != "classification":
            return nll
        weights = self.class_weights
        entropy = self.classification_weight * cross_entropy(
            logits, batch.label, None if weights is None else logits.new_tensor(weights)
        )
        return entropy + (self.reconstruction_weight * nll if self.reconstruction_weight else 0)


@dataclass
class AutoregressiveSeriesTask(SeriesTask):
    """Gaussian log-likelihood of each point given the observations before it.

    In extrapolation, evaluation feeds back the model's own predictions. Training conditions on the
    true points before each target (teacher forcing), or also feeds back in some of its steps
    (Bengio et al. 2015, "Scheduled sampling", with one draw for a whole batch).

    Attributes:
        teacher_forcing: Probability that a training step is forced.
    """

    teacher_forcing: float = field(kw_only=True, default=0.5)

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean loss over the batch, 0-d, and its parts."""
        extrapolates = self.kind == "extrapolation"
        may_roll_out = extrapolates and self.teacher_forcing < 1
        rolls_out = may_roll_out and float(torch.rand(())) >= self.teacher_forcing
        joined = extrapolates and not rolls_out
        states = model.read(joined_series(batch) if joined else batch.observed)
        predict = model.roll_out if rolls_out else model.predict
        predicted = predict(states, batch.target.times)
        nll = -likelihoods(model, predicted, batch.target).mean()
        logits = self.logits(model, states, batch)
        return self.total_loss(nll, logits, batch), {"nll": nll.detach()}

    def logits(self, model: Any, states: Any, batch: Any) -> Tensor | None:
        """Logits of the labels; None unless the task is classification."""
        if self.kind != "classification":
            return None
        return model.classify(states, batch.target.times)

    def evaluated(
        self, model: Any, batches: Iterable[Any]
    ) -> Iterator[tuple[Tensor, dict[str, Tensor], Tensor | None, Any]]:
        for batch in batches:
            states = model.read(batch.observed)
            predict = model.roll_out if self.kind == "extrapolation" else model.predict
            predicted = predict(states, batch.target.times)
            values = errors(model, predicted, batch.target)
            yield predicted, values, self.logits(model, states, batch), batch


def likelihoods(model: Any, predicted: Tensor, target: Any) -> Tensor:
    """Gaussian log-likelihood of each series in nats per value, shape `(..., batch)`."""
    terms = gaussian_log_likelihood(predicted, target.values, model.log_noise_std)
    return mean_over_observed(terms, target.observed_features)


def errors(model: Any, predicted: Tensor, target: Any) -> dict[str, Tensor]:
    """Mean squared error and log-likelihood of each series, shape `(..., batch)` each."""
    squares = (target.values - predicted).square()
    mse = mean_over_observed(squares, target.observed_features)
    return {"mse": mse, "log_likelihood": likelihoods(model, predicted, target)}


def joined_series(batch: Any) -> Any:
    """The observed part and the target after it as one series."""
    first, second = batch.observed, batch.target
    size = len(first)
    times = [part.times.expand(size, -1) for part in (first, second)]
    return type(first)(
        torch.cat(times, 1),
        torch.cat([first.values, second.values], 1),
        torch.cat([first.mask, second.mask], 1),
        first.complete and second.complete,
        torch.cat([first.observed_features, second.observed_features], 1),
        first.static,
    )


def autoregressive_series(
    settings: SeriesModelConfig, data: ForecastData
) -> AutoregressiveSeriesTask:
    """The task of the data for an autoregressive model."""
    task = AutoregressiveSeriesTask(
        data.task,
        data.classes,
        settings.reconstruction_weight,
        settings.classification_weight,
        class_weights=data.class_weights,
        teacher_forcing=settings.teacher_forcing,
    )
    task.measures = data.measures
    return task
