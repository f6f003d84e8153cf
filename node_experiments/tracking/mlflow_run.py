"""Logger to MLflow, through its own library.

`MLFLOW_TRACKING_URI` and `MLFLOW_EXPERIMENT_NAME` say where runs are stored.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from ..files import write_atomically
from .loggers import TrackedRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MLflowRun"]

ENDINGS = {"completed": "FINISHED", "interrupted": "KILLED"}  # MLflow's statuses; else FAILED
RUN_ID = "mlflow_run_id"  # file in the run folder by which a resumed training finds its run


class MLflowRun:
    """Logs to one run of MLflow, which a resumed training continues; see `Logger`."""

    def __init__(self, run: TrackedRun) -> None:
        self._client = MlflowClient()
        note = run.folder / RUN_ID
        self._last: dict[str, int] = {}
        if run.valid_until is not None and note.exists():
            self._id = note.read_text().strip()
            self._client.update_run(self._id, status="RUNNING")
            for tag in self._client.get_run(self._id).data.metrics:
                history = self._client.get_metric_history(self._id, tag)
                self._last[tag] = max(point.step for point in history)
        else:
            self._id = self._start(run, note)

    def _start(self, run: TrackedRun, note: Path) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", run.name)
        experiment = self._client.get_experiment_by_name(name)
        place = experiment.experiment_id if experiment else self._client.create_experiment(name)
        started: str = self._client.create_run(place, run_name=run.folder.name).info.run_id
        params = [Param(key, str(value)) for key, value in run.hyperparameters.items()]
        self._client.log_batch(started, params=params)
        for key, text in run.texts.items():
            self._client.log_text(started, text, f"{key}.txt")
        write_atomically(note, lambda file: file.write(started.encode()))
        return started

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        points = [
            Metric(tag, float(value), now, step)
            for tag, value in values.items()
            if step > self._last.get(tag, -1)  # MLflow keeps what an earlier process logged
        ]
        self._client.log_batch(self._id, metrics=points)

    def figure(self, name: str, figure: Figure, step: int) -> None:
        self._client.log_figure(self._id, figure, f"{name}/{step:08d}.png")

    def flush(self) -> None:
        """Do nothing: each call writes at once."""

    def close(self, status: str) -> None:
        self._client.set_terminated(self._id, ENDINGS.get(status, "FAILED"))
