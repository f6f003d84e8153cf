"""Test errors of each feature in the units of the file, beside those of simple forecasts."""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch

from .bands import forecast_step, predictive_mean
from .forecast_data import ForecastData
from .simple_forecasts import simple_errors

__all__ = ["error_table"]

# Columns of simple forecasts, by the prefix of their errors.
SIMPLE = {
    "carried_mse": "last_value",
    "series_mean_mse": "series_mean",
    "mean_mse": "training_mean",
}


def error_table(model: Any, data: ForecastData) -> pd.DataFrame | None:
    """Root mean squared errors of the forecasts of `mode=predict`, on values that were not seen.

    Those of a recurrent model can differ from the ones that are scored as `mse`; see
    `bands.roll_out_in_steps`.

    Returns:
        A row for each feature: `model`, the `SIMPLE` forecasts, and the number of `values`. None
        if there are no such values, as in interpolation between points that are all observed.
    """
    errors: dict[str, list[torch.Tensor]] = {}
    groups = {str(d): [d] for d in range(data.dim)}
    step = forecast_step(model, data)
    model.eval()
    with torch.no_grad():
        for batch in data.test:
            times = batch.target.times.expand(len(batch), -1)
            mean = predictive_mean(model, batch.observed, times, step)
            for name, single in simple_errors(mean, batch, groups, data.mean).items():
                errors.setdefault(name, []).append(single)
    scale = torch.ones(data.dim) if data.scaling is None else data.scaling.scale
    joined = {name: torch.cat(parts).double() for name, parts in errors.items()}
    columns = {"mse": "model", **SIMPLE}
    rows = {
        feature: {
            **{
                column: float(joined[f"{name}_{d}"].mean().sqrt()) * float(scale[d])
                for name, column in columns.items()
            },
            "values": len(joined[f"mse_{d}"]),
        }
        for d, feature in enumerate(data.features)
        if len(joined[f"mse_{d}"])
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("feature") if rows else None
