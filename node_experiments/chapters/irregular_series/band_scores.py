"""Scores of a calibrated model's predictive bands on held-out values of the test series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...reports.mixtures import crps, in_central_interval
from .calibration import held_out

__all__ = ["band_scores", "held_out_forecasts"]

Arrays = Mapping[str, NDArray[Any]]


def held_out_forecasts(
    model: Any, batches: Iterable[Any], cut: float, step: float
) -> dict[str, NDArray[Any]]:
    """Held-out values and the model's predictive distributions, computed as in `held_out`.

    Args:
        batches: Batches of test series.
        cut: Time after which all points are held out together, besides points within the span.
        step: Time between two steps of a forecast; see `bands.forecast_step`.

    Returns:
        `values` and `std`, shape `(value,)`, and `means` `(draw, value)`, in the model's units;
        the index of each value's `feature`; whether it is `inside` the span of the observations.
    """
    parts = held_out(model, batches, cut, step)
    std = [
        model.predictive_noise(model.log_noise_std, part.context)[..., d]
        for d, part in enumerate(parts)
    ]
    found = {
        "values": [part.values for part in parts],
        "means": [part.means for part in parts],
        "std": std,
        "inside": [part.inside for part in parts],
    }
    arrays = {
        name: np.concatenate([x.detach().cpu().numpy() for x in each], -1)
        for name, each in found.items()
    }
    sizes = [len(part.values) for part in parts]
    return {**arrays, "feature": np.repeat(np.arange(len(parts)), sizes)}


def band_scores(found: Arrays) -> dict[str, float]:
    """Coverage of the 90 % band, and continuous ranked probability score (CRPS).

    Returns:
        `coverage` and `crps` within the span of the observations, `coverage_beyond` and
        `crps_beyond` after it.
    """
    values, means, std = (found[name].astype(np.float64) for name in ("values", "means", "std"))
    single = {
        "coverage": in_central_interval(values, means, std),
        "crps": crps(values, means, std),
    }
    scores: dict[str, float] = {}
    for suffix, where in (("", found["inside"]), ("_beyond", ~found["inside"])):
        if where.any():
            scores |= {
                f"{name}{suffix}": float(each[where].mean()) for name, each in single.items()
            }
    return scores
