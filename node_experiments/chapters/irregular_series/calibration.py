"""Calibrated uncertainty: the noise of a trained model, fitted again to held-out values.

In training a model fits its noise to series that it has seen many times; on new ones it is too
sure. Once training has ended, observations are held out, within the span of what the model reads
and beyond it. How the deviation depends on what was seen is fitted to the training and validation
series by maximum likelihood, and then scaled until the 90 % band can be expected to hold 90 % of
the values of a new series. The means do not change.

That a regression is recalibrated on held-out data is due to Kuleshov, Fenner and Ermon (2018,
"Accurate uncertainties for deep learning using calibrated regression"), by one factor on the
deviation to Levi et al. (2022, "Evaluating and calibrating uncertainty prediction in regression
tasks"). The factor is that of split conformal prediction with scaled residuals (Lei et al. 2018,
"Distribution-free predictive inference for regression", section 5.2), of which the values of a
series are no independent draws: each series counts as one (Lee, Barber and Willett 2023,
"Distribution-free inference with hierarchical data"). Of K validation series the band holds
0.9 (K + 1) / K of the values, which is 0.956 of 16: with few of them it is wider.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.optimize import brentq, minimize
from scipy.special import logsumexp
from torch import Tensor

from ...config.checks import some_of
from ...training.random_state import seeded
from .bands import BAND, History, drawn, mixture_cdf

__all__ = ["HeldOut", "calibrate", "fitted_noise", "held_out", "widening"]

log = logging.getLogger(__name__)

FOLDS = 4  # every fourth observation of a series is hidden in turn
SAMPLES = 25  # draws of each prediction
SERIES = 200  # from which the noise, and its coverage, are computed
TOGETHER = 50  # series in one solve
FEWEST = 20  # held-out values of a feature, within or beyond, to which the noise is fitted
MOST = 20.0  # times as wide, or as narrow, as the likelihood has it
SHARE = BAND[1] - BAND[0]


@dataclass
class HeldOut:
    """Values of one feature that a model did not see, and what it predicts of them.

    Attributes:
        values: Shape `(value,)`.
        means: Draws of the predicted mean, shape `(sample, value)`.
        ahead, seen, beyond: As in `History`, shape `(value,)`.
        series: The number of each value's series, shape `(value,)`.
    """

    values: Tensor
    means: Tensor
    ahead: Tensor
    seen: Tensor
    beyond: Tensor
    series: Tensor

    @property
    def inside(self) -> Tensor:
        """Whether a value is within the span of what was observed, shape `(value,)`."""
        return self.beyond <= 0

    def where(self, kept: Tensor) -> HeldOut:
        """Only the values that are marked, shape `(value,)`."""
        return HeldOut(*(each[..., kept] for each in tensors(self)))


def joined(*parts: HeldOut) -> HeldOut:
    """All values of one feature."""
    return HeldOut(*(torch.cat(each, -1) for each in zip(*map(tensors, parts), strict=True)))


def tensors(part: HeldOut) -> tuple[Tensor, ...]:
    """Its fields, in their order."""
    return part.values, part.means, part.ahead, part.seen, part.beyond, part.series


def calibrate(model: Any, data: Any, cut: float) -> None:
    """Fit `model.predictive_noise`; as it was where too little is held out.

    Args:
        data: A `ForecastData` with validation series.
        cut: Time after which everything is held out in its turn.
    """
    noise = model.predictive_noise
    learned = model.log_noise_std.detach().exp().expand(noise.scale.shape[1])
    noise.gap.fill_(data.mean_gap if data.mean_gap > 0 else 1.0)
    parts = (held_out(model, part, cut, data.mean_gap) for part in (data.validation, data.train))
    too_few: dict[str, int] = {}
    for d, (new, known) in enumerate(zip(*parts, strict=True)):
        fewest = min(int(new.inside.sum()), int((~new.inside).sum()))
        if fewest < FEWEST:
            too_few[data.features[d] if data.features else f"feature {d + 1}"] = fewest
            continue
        level, growth, early = fitted_noise(joined(new, known))

        def std(part: HeldOut, of: tuple[float, ...] = (level, growth, early)) -> Tensor:
            return of[0] + of[1] * part.ahead + of[2] / (1 + part.seen)

        within = [part.where(part.inside) for part in (new, known)]
        near = max(widening(part, std(part), 0 * std(part), SHARE) for part in within)
        after = [part.where(~part.inside) for part in (new, known)]
        far = max(
            widening(part, weight * std(part), (1 - weight) * near * std(part), SHARE)
            for part in after
            for weight in [noise.far(part.beyond)]
        )
        for row, wider in enumerate((near, far)):
            noise.scale[row, d] = wider * level / learned[d]
            noise.growth[row, d], noise.early[row, d] = wider * growth, wider * early
    if too_few:
        log.warning(
            "the 90 %% band of %s is not calibrated and likely too narrow: %d values of the "
            "validation series are held out within or beyond what is observed, and %d are "
            "needed; more validation series (dataset.validation_size), or longer ones, have them",
            some_of(list(too_few)),
            min(too_few.values()),
            FEWEST,
        )


def fitted_noise(part: HeldOut) -> tuple[float, float, float]:
    """Level, growth and early part of the deviation, of greatest likelihood.

    Each value is of an even mixture of Gaussians around the drawn means.
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


def widening(part: HeldOut, std: Tensor, fixed: Tensor, share: float) -> float:
    """The factor on a deviation with which the band holds this fraction of a new series' values.

    Args:
        std, fixed: The deviation is `factor * std + fixed`, shape `(value,)`.
        share: Of those to come. Of K series at hand it is share * (K + 1) / K, or all values: a
            mean over series, each of which counts the same.
    """
    _, number, sizes = part.series.unique(return_inverse=True, return_counts=True)
    count = max(len(sizes), 1)
    weight = 1.0 / (count * sizes[number].double())
    wanted = min(share * (count + 1) / count, 1.0) - 1e-9

    def missing(log_factor: float) -> float:
        below = mixture_cdf(part.values, part.means, math.exp(log_factor) * std + fixed)
        held = (below >= BAND[0]) & (below <= BAND[1])
        return wanted - float(weight[held].sum())

    most = math.log(MOST)
    if missing(most) >= 0:
        return MOST
    return 1 / MOST if missing(-most) <= 0 else math.exp(brentq(missing, -most, most))


def held_out(model: Any, batches: Iterable[Any], cut: float, gap: float) -> list[HeldOut]:
    """What the model predicts of values that it does not see, for each feature.

    The draws depend on the data and the model alone. Nothing is held out of series of one point.
    """
    device = model.log_noise_std.device
    found: list[list[HeldOut]] = []
    model.eval()
    with torch.no_grad(), seeded(0, device):
        for observed, asked, number in hidden_parts(batches, cut):
            times = asked.times.expand(len(asked), -1)
            _, means = drawn(model, observed, times, SAMPLES, gap)
            rests_on = History.of(model, observed, times)
            series = number.unsqueeze(1).expand_as(times)
            of_time = (rests_on.ahead, rests_on.seen, rests_on.beyond, series)
            features = asked.observed_features
            found.append(
                [
                    HeldOut(
                        asked.values[there, d], means[:, there, d], *(x[there] for x in of_time)
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


def hidden_parts(batches: Iterable[Any], cut: float) -> Iterator[tuple[Any, Any, Tensor]]:
    """What a model sees, and what is held out: points in between, then all after the cut.

    With the number of each series.
    """
    first = 0
    for batch in batches:
        count = min(len(batch), SERIES - first)
        for indices in torch.arange(count, device=batch.device).split(TOGETHER):
            part, number = batch.select(indices), first + indices
            for observed, asked in hidden_points(part.observed):
                yield observed, asked, number
            for observed, asked, both in points_after(part, cut):
                yield observed, asked, number[both]
        first += count
        if first >= SERIES:
            return


def hidden_points(observed: Any) -> Iterator[tuple[Any, Any]]:
    """Every fourth point in turn; a series of a single point keeps it."""
    series = observed.packed()
    place = torch.arange(series.mask.shape[1], device=series.mask.device)
    several = series.mask.sum(1, keepdim=True) > 1
    for fold in range(FOLDS):
        hidden = series.mask & several & (place % FOLDS == fold)
        if bool(hidden.any()):
            yield shown_at(series, series.mask & ~hidden), shown_at(series, hidden, keep=True)


def points_after(batch: Any, cut: float) -> Iterator[tuple[Any, Any, Tensor]]:
    """The points after the cut, of series with points on both sides of it, and which these are."""
    observed, target = batch.observed.packed(), batch.target.packed()
    before = observed.mask & (observed.times <= cut)
    after = target.mask & (target.times > cut)
    both = (before.any(1) & after.any(1)).nonzero().squeeze(1)
    if len(both):
        yield (
            shown_at(observed, before).select(both).packed(),
            shown_at(target, after, keep=True).select(both),
            both,
        )


def shown_at(series: Any, mask: Tensor, keep: bool = False) -> Any:
    """The series with other points observed; packed, unless its times are to be kept."""
    shown = replace(
        series,
        mask=mask,
        complete=bool(mask.all()),
        feature_mask=series.observed_features & mask.unsqueeze(-1),
    )
    return shown if keep else shown.packed()
