"""Calibration of predictive uncertainty: a trained model's noise is refitted to held-out values.

In training a model fits its noise to series that it has seen many times; on new series it is
overconfident. After training, observations are held out, within the span of what the model reads
and beyond it. The dependence of the standard deviation on the observations is fitted to the
training and validation series by maximum likelihood. The deviation is then scaled until the 90 %
band can be expected to hold 90 % of the values of a new series. The means do not change.

Recalibrating a regression on held-out data is due to Kuleshov, Fenner and Ermon (2018,
"Accurate uncertainties for deep learning using calibrated regression"), doing so with one factor
on the deviation to Levi et al. (2022, "Evaluating and calibrating uncertainty prediction in
regression tasks"). The factor is that of split conformal prediction with scaled residuals (Lei et
al. 2018, "Distribution-free predictive inference for regression", section 5.2). The values of a
series are not independent samples, so each series counts as one (Lee, Barber and Willett 2023,
"Distribution-free inference with hierarchical data"). With K validation series the band is scaled
to hold 0.9 (K + 1) / K of their values, which is 0.956 for K = 16: the fewer, the wider.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import brentq, minimize
from scipy.special import logsumexp
from torch import Tensor

from ...config.checks import first_names
from ...training.random_state import seeded
from .bands import (
    QUANTILE_LEVELS,
    PredictionContext,
    forecast_step,
    mixture_cdf,
    sample_means,
    warn_of_uncalibrated_bands,
)
from .centring import Centre

__all__ = ["HeldOut", "band_factor", "calibrate", "fitted_noise", "held_out"]

FOLDS = 4  # every fourth observation of a series is hidden in turn
SAMPLES = 25  # samples of each prediction
MAX_SERIES = 200  # to fit the noise and its coverage
SERIES_PER_SOLVE = 50
MIN_HELD_OUT = 20  # values of a feature, within and beyond the span, to calibrate its noise
MAX_FACTOR = 20.0  # largest factor by which the maximum likelihood band is widened or narrowed
COVERAGE = QUANTILE_LEVELS[1] - QUANTILE_LEVELS[0]  # fraction of values that a band should hold


class HeldOut(NamedTuple):
    """Held-out values of one feature, and the model's predictions of them.

    Attributes:
        values: Shape `(value,)`.
        means: Samples of the predicted mean, shape `(sample, value)`.
        ahead, seen, beyond: As in `PredictionContext`, shape `(value,)`.
        series: Index of each value's series, shape `(value,)`.
    """

    values: Tensor
    means: Tensor
    ahead: Tensor
    seen: Tensor
    beyond: Tensor
    series: Tensor

    @property
    def context(self) -> PredictionContext:
        """The observations that the predictions are based on."""
        return PredictionContext(self.ahead, self.seen, self.beyond)

    @property
    def inside(self) -> Tensor:
        """Whether each value is within the span of the observations, shape `(value,)`."""
        return self.beyond <= 0

    def where(self, kept: Tensor) -> HeldOut:
        """Select values by a mask of shape `(value,)`."""
        return HeldOut(*(each[..., kept] for each in self))


def joined(*parts: HeldOut) -> HeldOut:
    """Concatenate several parts of one feature's values."""
    return HeldOut(*(torch.cat(each, -1) for each in zip(*parts, strict=True)))


def calibrate(model: Any, data: Any, cut: float) -> None:
    """Fit `model.predictive_noise`; features with too few held-out values remain unchanged.

    Args:
        data: A `ForecastData` with validation series.
        cut: Time after which all points are held out together, besides points within the span.
    """
    noise = model.predictive_noise
    learned = model.log_noise_std.detach().exp().expand(noise.scale.shape[1])
    noise.gap.fill_(data.mean_gap if data.mean_gap > 0 else 1.0)
    step = forecast_step(model, data)
    parts = (held_out(model, part, cut, step) for part in (data.validation, data.train))
    too_few: dict[str, int] = {}
    for d, (new, known) in enumerate(zip(*parts, strict=True)):
        fewest = min(int(new.inside.sum()), int((~new.inside).sum()))
        if fewest < MIN_HELD_OUT:
            too_few[data.features[d] if data.features else f"feature {d + 1}"] = fewest
            continue
        level, growth, early = fitted_noise(joined(new, known))

        def std(part: HeldOut, of: tuple[float, ...] = (level, growth, early)) -> Tensor:
            return of[0] + of[1] * part.ahead + of[2] / (1 + part.seen)

        within = [part.where(part.inside) for part in (new, known)]
        near = max(band_factor(part, std(part), 0 * std(part), COVERAGE) for part in within)
        after = [part.where(~part.inside) for part in (new, known)]
        far = max(
            band_factor(part, weight * std(part), (1 - weight) * near * std(part), COVERAGE)
            for part in after
            for weight in [noise.beyond_weight(part.beyond)]
        )
        for row, wider in enumerate((near, far)):
            noise.scale[row, d] = wider * level / learned[d]
            noise.growth[row, d], noise.early[row, d] = wider * growth, wider * early
    if too_few:
        warn_of_uncalibrated_bands(
            first_names(list(too_few)),
            f"only {min(too_few.values())} values of the validation series are held out within or "
            f"beyond the observed span, and {MIN_HELD_OUT} are needed; use more "
            "(dataset.validation_size) or longer validation series",
        )


def fitted_noise(part: HeldOut) -> tuple[float, float, float]:
    """Maximum likelihood estimate of level, growth and early term of the standard deviation.

    Each value is modelled by an equally weighted mixture of Gaussians around the sampled means.
    """
    errors = (part.values - part.means).double().cpu().numpy()
    ahead, seen = (each.double().cpu().numpy() for each in (part.ahead, part.seen))

    def loss(parameters: np.ndarray) -> float:
        level, growth, early = parameters
        std = np.exp(level) + growth * ahead + early / (1 + seen)
        return -float(logsumexp(-0.5 * (errors / std) ** 2 - np.log(std), axis=0).mean())

    start = np.log(max(float(errors.std()), 1e-6))
    most = 100 * np.exp(start)
    bounds = [(start - 10, start + 5), (0.0, most), (0.0, most)]
    level, growth, early = minimize(loss, [start, 0.0, 0.0], method="L-BFGS-B", bounds=bounds).x
    return float(np.exp(level)), float(growth), float(early)


def band_factor(part: HeldOut, std: Tensor, fixed: Tensor, coverage: float) -> float:
    """Factor on `std` with which the band holds a fraction `coverage` of a new series' values.

    Args:
        std, fixed: The standard deviation is `factor * std + fixed`, shape `(value,)`.
        coverage: Expected fraction for new series. The band holds coverage * (K + 1) / K, at most
            1, of the values of the K given series, as a mean over series of equal weight.
    """
    _, number, sizes = part.series.unique(return_inverse=True, return_counts=True)
    count = max(len(sizes), 1)
    weight = 1.0 / (count * sizes[number].double())
    wanted = min(coverage * (count + 1) / count, 1.0) - 1e-9

    def missing(log_factor: float) -> float:
        below = mixture_cdf(part.values, part.means, math.exp(log_factor) * std + fixed)
        held = (below >= QUANTILE_LEVELS[0]) & (below <= QUANTILE_LEVELS[1])
        return wanted - float(weight[held].sum())

    most = math.log(MAX_FACTOR)
    if missing(most) >= 0:
        return MAX_FACTOR
    return 1 / MAX_FACTOR if missing(-most) <= 0 else math.exp(brentq(missing, -most, most))


def held_out(model: Any, batches: Iterable[Any], cut: float, step: float) -> list[HeldOut]:
    """Held-out values and the model's predictions of them, for each feature.

    The samples depend only on the data and the model. Series of one point are not used.
    """
    device = model.log_noise_std.device
    found: list[list[HeldOut]] = []
    model.eval()
    with torch.no_grad(), seeded(0, device):
        for observed, target, number in holdouts(batches, cut):
            times = target.times.expand(len(target), -1)
            _, means = sample_means(model, observed, times, SAMPLES, step)
            context = PredictionContext.of(model, observed, times)
            series = number.unsqueeze(1).expand_as(times)
            of_time = (context.ahead, context.seen, context.beyond, series)
            features = target.observed_features
            found.append(
                [
                    HeldOut(
                        target.values[there, d], means[:, there, d], *(x[there] for x in of_time)
                    )
                    for d, there in enumerate(features.unbind(-1))
                ]
            )
    if not found:
        nothing = torch.empty(0, device=device)
        numbers = torch.empty(0, dtype=torch.long, device=device)
        empty = HeldOut(nothing, nothing.expand(SAMPLES, 0), nothing, nothing, nothing, numbers)
        return [empty] * model.predictive_noise.scale.shape[1]
    return [joined(*of_feature) for of_feature in zip(*found, strict=True)]


def holdouts(batches: Iterable[Any], cut: float) -> Iterator[tuple[Any, Any, Tensor]]:
    """Yield the observed points, the held-out points and the index of each series.

    Of each group of series, points in between are held out first, then all points after the cut.
    """
    first = 0
    for batch in batches:
        count = min(len(batch), MAX_SERIES - first)
        for indices in torch.arange(count, device=batch.device).split(SERIES_PER_SOLVE):
            part, number = batch.select(indices), first + indices
            for observed, target in fold_holdouts(part.observed):
                yield *centred_again(part.centre, observed, target), number
            for observed, target, both in forecast_holdouts(part, cut):
                centre = part.centre and part.centre.select(both)
                yield *centred_again(centre, observed, target), number[both]
        first += count
        if first >= MAX_SERIES:
            return


def centred_again(centre: Centre | None, observed: Any, target: Any) -> tuple[Any, Any]:
    """Both relative to the mean of what is still observed, which tells nothing of the rest."""
    return (observed, target) if centre is None else centre.recentred(observed, target)


def fold_holdouts(observed: Any) -> Iterator[tuple[Any, Any]]:
    """Hold out every fourth point in turn; a series of a single point keeps it."""
    series = observed.packed()
    place = torch.arange(series.mask.shape[1], device=series.mask.device)
    several = series.mask.sum(1, keepdim=True) > 1
    for fold in range(FOLDS):
        hidden = series.mask & several & (place % FOLDS == fold)
        if bool(hidden.any()):
            yield with_mask(series, series.mask & ~hidden), with_mask(series, hidden, keep=True)


def forecast_holdouts(batch: Any, cut: float) -> Iterator[tuple[Any, Any, Tensor]]:
    """Yield the points up to the cut, those after it, and the indices of series that have both."""
    observed, target = batch.observed.packed(), batch.target.packed()
    before = observed.mask & (observed.times <= cut)
    after = target.mask & (target.times > cut)
    both = (before.any(1) & after.any(1)).nonzero().squeeze(1)
    if len(both):
        yield (
            with_mask(observed, before).select(both).packed(),
            with_mask(target, after, keep=True).select(both),
            both,
        )


def with_mask(series: Any, mask: Tensor, keep: bool = False) -> Any:
    """The series with only the points of `mask` observed; packed unless `keep`."""
    shown = replace(
        series,
        mask=mask,
        complete=bool(mask.all()),
        feature_mask=series.observed_features & mask.unsqueeze(-1),
    )
    return shown if keep else shown.packed()
