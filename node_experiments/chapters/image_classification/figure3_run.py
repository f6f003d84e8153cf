"""`mode=figure3`: Figure 3 of Chen et al. 2018 from a trained ODE-Net."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...config import ConfigError, RunConfig
from ...files import write_json
from ...runs.directory import folder_of_checkpoint
from ...runs.frame import read_epochs
from .batches import EvaluationBatches
from .datasets import IMAGE_DATASETS
from .figure3_draw import block_solves_figure
from .figure3_measure import block_solves
from .figure3_verdicts import FILE

__all__ = ["check_figure3", "figure3"]

IMAGES = 16  # choice: SciPy's Adams at 1e-8 then takes seconds


def check_figure3(config: RunConfig, device: torch.device) -> None:
    """Check that Figure 3 can be measured with this model, dataset and device.

    Raises:
        ConfigError: The model has no ODE block, the data are not images, or the device has no
            double precision.
    """
    if config.model.name != "odenet":
        raise ConfigError(
            f"mode=figure3 needs a model with an ODE block, and the checkpoint holds model "
            f"{config.model.name!r}; allowed: odenet; train one with "
            "node-run experiment=mnist_odenet"
        )
    if config.dataset.name not in IMAGE_DATASETS:
        raise ConfigError(
            f"mode=figure3 needs images, and dataset={config.dataset.name} has none; "
            f"allowed: {', '.join(IMAGE_DATASETS)}"
        )
    if device.type == "mps":
        raise ConfigError(
            "mode=figure3 solves in double precision, which mps does not have; "
            "set trainer.device=cpu"
        )


def figure3(trained: Any, config: RunConfig, folder: Path, device: torch.device) -> None:
    """Measure panels a to c, read panel d, and write `figure3.json` and the figure.

    Args:
        trained: The model of the checkpoint, its data, and the run that trained it (`origin`).

    Raises:
        SolveError: A solve did not reach its end.
    """
    model, test = trained.model, trained.data.test
    assert isinstance(model, nn.Sequential)
    assert isinstance(test, EvaluationBatches)
    few = EvaluationBatches(test.data, test.standardize, IMAGES)
    images, labels = next(iter(few))
    measured = {
        "trained": asdict(trained.origin),
        **block_solves(model, images, labels),
        "threads": torch.get_num_threads(),
        "clock": "processor" if device.type == "cpu" else "wall-clock",
        "epochs": epochs_of(folder_of_checkpoint(str(config.checkpoint))),
    }
    write_json(folder / FILE, measured)
    (folder / "figures").mkdir(exist_ok=True)
    figure = block_solves_figure(measured, str(trained.origin.name))
    figure.savefig(folder / "figures" / "figure3.png")


def epochs_of(run: Path) -> list[dict[str, float]]:
    """Forward evaluations by epoch of a training run, from its `metrics.jsonl`; empty without."""
    return [
        {"epoch": row["epoch"], "forward": row["nfe/forward"]}
        for row in read_epochs(run)
        if {"epoch", "nfe/forward"} <= row.keys()
    ]
