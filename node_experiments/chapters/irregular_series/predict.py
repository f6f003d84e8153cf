"""`mode=predict`: forecasts and classes of a user's series, in the user's names and units."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ...config import ConfigError, RunConfig
from ...data.ragged import RaggedSeries
from ...runs.files import write_atomically
from .bands import bands
from .forecast_figure import forecast_figure
from .measurements import Measurements
from .series_schema import SeriesSchema

__all__ = ["check_predict", "predict", "predictions"]

log = logging.getLogger(__name__)

POINTS = 50  # of a forecast over the time span of training, when no times are asked for
TOGETHER = 200  # series in one solve


def check_predict(config: RunConfig, device: torch.device) -> None:
    """Reject a checkpoint that is not of a user's series.

    Raises:
        ConfigError: It is of another dataset, or times that cannot be read.
    """
    if config.dataset.name != "csv":
        raise ConfigError(
            f"mode=predict forecasts series of your own, and the checkpoint is of dataset "
            f"{config.dataset.name!r}; allowed: csv; train one with "
            "node-run experiment=csv_latent_ode dataset.path=<file>"
        )
    asked_times(config.predict.times)


def predict(trained: Any, config: RunConfig, folder: Path, device: torch.device) -> None:
    """Write the predictions for every series of `dataset.path`, and a figure of the first one.

    Args:
        trained: The model of the checkpoint, and the data of `dataset.path` as it reads it.
    """
    schema, seen, series = trained.data.source
    times = asked_times(config.predict.times)
    classifies = config.dataset.task == "classification"
    model = trained.model.eval()
    with torch.no_grad():
        if classifies:
            found = class_probabilities(model, trained.data, schema, seen, series, device)
        else:
            span, gap, samples = trained.data.span, trained.data.mean_gap, config.predict.samples
            found = predictions(model, schema, seen, series, span, times, samples, gap, device)
    out = Path(config.predict.out)
    write_table(found, out)
    log.info("%d rows for %d series: %s", len(found), len(seen), out)
    if not classifies:
        (folder / "figures").mkdir(exist_ok=True)
        path = folder / "figures" / "forecast.png"
        forecast_figure(schema, seen, found).savefig(path)
        log.info("the first series: %s", path)


def asked_times(times: Any) -> list[Any] | None:
    """The times of `predict.times`: a list, or `start:stop:step` with both ends.

    Raises:
        ConfigError: It is neither.
    """
    if times is None:
        return None
    if isinstance(times, str):
        try:
            start, stop, step = (float(part) for part in times.split(":"))
            count = int(np.floor((stop - start) / step + 1e-9)) + 1
            return [start + step * n for n in range(count)]
        except (ValueError, ZeroDivisionError) as error:
            raise ConfigError(
                f"predict.times={times!r} must be a list such as [30,36] or a range "
                "start:stop:step such as 24:48:1"
            ) from error
    if isinstance(times, int | float):
        return [times]
    if not isinstance(times, list) or not times:
        raise ConfigError(f"predict.times={times!r} must be a list such as [30,36], or a range")
    return list(times)


def predictions(
    model: Any,
    schema: SeriesSchema,
    seen: Measurements,
    series: RaggedSeries,
    span: tuple[float, float],
    times: list[Any] | None,
    samples: int,
    gap: float,
    device: torch.device,
) -> pd.DataFrame:
    """Mean and 90 % band of every feature, one row for each series and time.

    Args:
        series: As `schema.series` reads `seen`.
        span: First and last model time of training.
        times: In the table's units, for every series; a grid over the span when None.
        gap: Mean model time between two observations in training.

    Returns:
        Columns `series`, `time`, and for each feature its name and `_q05` and `_q95` behind it.
    """
    frames = []
    for start in range(0, len(seen), TOGETHER):
        chosen = torch.arange(start, min(start + TOGETHER, len(seen)))
        labels, model_times = [], []
        for i in chosen.tolist():
            if times is None:
                grid = np.linspace(span[0], span[1], POINTS)
                label = schema.user_times(seen, i, grid)
            else:
                label = pd.Series(times)
                grid = schema.model_times(seen, i, label)
                order = np.argsort(grid, kind="stable")
                label, grid = label.iloc[order].reset_index(drop=True), grid[order]
            labels.append(label)
            model_times.append(grid)
        at = torch.tensor(np.stack(model_times), dtype=torch.float32, device=device)
        observed = series.take(chosen).to(device).pad(torch.arange(len(chosen)))
        mean, low, high = bands(model, observed, at, samples, gap)
        undo = schema.value_scaling.undo
        mean, low, high = (undo(x.double().cpu()) for x in (mean, low, high))
        for row, i in enumerate(chosen.tolist()):
            columns: dict[str, Any] = {"series": seen.names[i], "time": labels[row]}
            for place, feature in enumerate(schema.columns.features):
                columns[feature] = mean[row, :, place].numpy()
                columns[f"{feature}_q05"] = low[row, :, place].numpy()
                columns[f"{feature}_q95"] = high[row, :, place].numpy()
            frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def class_probabilities(
    model: Any,
    data: Any,
    schema: SeriesSchema,
    seen: Measurements,
    series: RaggedSeries,
    device: torch.device,
) -> pd.DataFrame:
    """The probability of each class, one row for each series, or for each time of it."""
    assert schema.classes is not None
    frames = []
    for start in range(0, len(seen), TOGETHER):
        chosen = torch.arange(start, min(start + TOGETHER, len(seen)))
        observed = series.take(chosen).to(device).pad(torch.arange(len(chosen)))
        if hasattr(model, "encode"):
            z0, _ = model.encode(observed)
            states = model.states(z0.unsqueeze(0), observed.times)
            logits = model.classify(z0.unsqueeze(0), states)[0]
        else:
            logits = model.classify(model.read(observed), observed.times)
        shares = logits.softmax(-1).cpu().numpy()
        for row, i in enumerate(chosen.tolist()):
            columns: dict[str, Any] = {"series": seen.names[i]}
            of_series = shares[row]
            if data.label_per == "time":
                first, last = int(seen.offsets[i]), int(seen.offsets[i + 1])
                of_series = of_series[: last - first]
                grid = series.times[first:last].numpy()
                columns["time"] = schema.user_times(seen, i, grid)
            else:
                of_series = of_series[None]
            for place, name in enumerate(schema.classes):
                columns[f"probability of {name}"] = of_series[:, place]
            frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table, whole or not at all, in the format of the path's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    if path.suffix == ".csv":
        table.to_csv(content, index=False)
    elif path.suffix == ".parquet":
        try:
            table.to_parquet(content, index=False)
        except ImportError as error:
            raise ConfigError(
                'parquet files need an extra: pip install "node-experiments[parquet]"'
            ) from error
    else:
        arrays = {name: table[name].to_numpy() for name in table.columns}
        arrays["series"] = arrays["series"].astype(str)
        np.savez(content, **arrays)
    write_atomically(path, lambda file: file.write(content.getbuffer()))
