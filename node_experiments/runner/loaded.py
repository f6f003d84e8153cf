"""A trained run in Python: `node_experiments.load`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, time, timedelta
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, nn

from ..chapters.prediction import Request
from ..config import ConfigError, RunConfig
from ..files import user_path
from ..runs.checkpoint_names import resolved_checkpoint
from ..runs.directory import folder_of_checkpoint
from ..runs.frame import read_epochs
from ..runs.result import read_result
from ..training.device import select_device
from ..training.random_state import kept_random_state
from .checkpoint_overrides import config_from
from .predict import answer, check_after_last, check_rows, parse_times, predictor_of
from .restore import Trained, rebuild

__all__ = ["LoadedRun", "load_run"]


@dataclass(frozen=True)
class LoadedRun:
    """A trained run.

    Attributes:
        folder: The run folder.
        model: The model with the weights of the checkpoint, in evaluation mode.
        config: The configuration stored in the checkpoint, but with `mode=predict`, its path as
            `checkpoint`, and no `resume`.
        metrics: Metrics of the epoch of the weights, such as `mse/test`; empty for a checkpoint
            file outside a run folder, and where the epoch was not evaluated to its end.
        epoch: Epoch after which the weights were saved.
        trained: The model with its data, device and origin, which `predict` and `latent` use.
    """

    folder: Path
    model: nn.Module
    config: RunConfig
    metrics: dict[str, float]
    epoch: int | None
    trained: Trained

    def __repr__(self) -> str:
        names = f"{self.config.model.name} on {self.config.dataset.name}"
        return f"LoadedRun({names}, epoch {self.epoch}, in {self.folder})"

    def predict(
        self,
        inputs: pd.DataFrame | np.ndarray | str | PathLike[str] | None = None,
        *,
        times: Any = None,
        after_last: bool = False,
        rows: pd.DataFrame | str | PathLike[str] | None = None,
        samples: int = 100,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Predict, in the names and units of the data, the table that `mode=predict` writes.

        Args:
            inputs: A table of series, points or initial states, images as an array of shape
                `(image, height, width)`, or the path of a file of these; the test data, or the
                series of `dataset.path`, when None.
            times: When to predict: a number or date, a sequence of them, or `24:48:1`.
            after_last: Whether times are numbers that count from the last observation of each
                series, in hours if the table has dates or times of day.
            rows: A table whose series and times are to be predicted, instead of `times`; the
                answer has a row for each of its rows, in their order.
            samples: Number of draws for the quantiles, or of points of a flow.
            seed: Seed of the draws; that of the run when None.

        Raises:
            UserError: The table lacks columns, or the model cannot use the times.
        """
        request = self._request(inputs, times, samples, after_last=after_last, rows=rows)
        return answer(self.trained, request, seed).table

    def latent(
        self, inputs: pd.DataFrame | str | PathLike[str] | None = None, *, times: Any = None
    ) -> pd.DataFrame:
        """Latent trajectory of a latent ODE from the mean of z0: columns `series, time, z1, ...`.

        Raises:
            UserError: The model has no latent trajectory.
        """
        if "latent" not in predictor_of(self.config).used_settings:
            raise ConfigError(f"model {self.config.model.name!r} has no latent trajectory")
        found = answer(self.trained, self._request(inputs, times, 1, latent=True)).latent
        assert found is not None
        return found

    def _request(
        self,
        inputs: Any,
        times: Any,
        samples: int,
        latent: bool = False,
        after_last: bool = False,
        rows: Any = None,
    ) -> Request:
        if isinstance(inputs, str | PathLike):
            inputs = user_path(inputs)
        if isinstance(inputs, Tensor):
            inputs = inputs.numpy(force=True)
        if not isinstance(samples, Integral) or isinstance(samples, bool) or samples < 1:
            raise ConfigError(f"samples={samples!r} must be an integer of at least 1")
        if isinstance(rows, str | PathLike):
            rows = user_path(rows)
        used = predictor_of(self.config).used_settings
        for name, given in (("after_last", after_last), ("rows", rows is not None)):
            if given and name not in used:
                raise ConfigError(
                    f"{name} means nothing for model {self.config.model.name!r}, which reads no "
                    "series of a table"
                )
        check_rows(rows, times)
        asked = parse_times(plain_times(times))
        check_after_last(asked, after_last)
        return Request(inputs, asked, int(samples), latent, after_last, rows)


def plain_times(times: Any) -> Any:
    """Times in the form of `predict.times`: None, text, or a list of numbers and texts.

    >>> plain_times(np.float32(3))
    [3.0]
    >>> plain_times(pd.date_range("2024-03-31", periods=1))
    ['2024-03-31T00:00:00']
    >>> plain_times(np.datetime64("2024-03-31", "ns"))
    ['2024-03-31T00:00:00']
    """
    if isinstance(times, np.ndarray | np.generic) and times.dtype.kind in "mM":
        times = pd.Series(np.atleast_1d(times))  # NumPy's tolist() turns nanoseconds into integers
    if hasattr(times, "tolist"):  # an array, a Series, an index, a tensor, or one number of them
        times = times.tolist()
    if times is None or isinstance(times, str):
        return times
    found = pd.Series(list(times) if isinstance(times, Iterable) else [times]).tolist()
    found = [t.isoformat() if isinstance(t, date | time) else t for t in found]
    return [str(t) if isinstance(t, timedelta | pd.Period) else t for t in found]


def load_run(
    run: str | PathLike[str], outputs: str | PathLike[str] = "outputs", device: str = "auto"
) -> LoadedRun:
    """Load the run of a directory, a checkpoint file or a name; see `node_experiments.load`.

    Raises:
        UserError: There is no such run, or it cannot be read.
    """
    path = resolved_checkpoint(str(run), Path(outputs))
    config = config_from(path)
    place = select_device(device)
    with kept_random_state(place):  # the caller's draws are the same with and without this call
        trained = rebuild(config, place, with_files=False)
    trained.model.eval()
    folder = folder_of_checkpoint(path)
    metrics = metrics_of(folder, trained.epoch)
    return LoadedRun(folder, trained.model, config, metrics, trained.epoch, trained)


def metrics_of(folder: Path, epoch: int | None) -> dict[str, float]:
    """The metrics of a run after an epoch; those that it reports if the epoch is not recorded."""
    result = read_result(folder)
    reported = {} if result is None else dict(result.found.reported)
    if epoch is None or reported.get("epoch") == epoch:
        return reported
    return next((row for row in read_epochs(folder) if row.get("epoch") == epoch), {})
