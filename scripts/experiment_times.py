"""Writes node_experiments/cli/experiment_times.py: how long each experiment takes.

    python scripts/experiment_times.py

The fastest of the committed runs of an experiment (they shared their machine with other work),
scaled to the epochs of its recipe. Where there is none, the run of one epoch in
outputs/reference/one_epoch.json, which `--add RUN...` keeps.
"""

import argparse
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from documents import ROOT

from node_experiments.chapters import datasets, models
from node_experiments.reports.records import records
from node_experiments.runs import load_runs

REFERENCE = ROOT / "outputs" / "reference"
ONE_EPOCH = REFERENCE / "one_epoch.json"
TARGET = ROOT / "node_experiments" / "cli" / "experiment_times.py"
# Runs on a part of the data.
PARTIAL = REFERENCE / "precision"

HEADER = '''\
"""How long experiments take, for `node-run --list`; written by scripts/experiment_times.py."""

from __future__ import annotations

__all__ = ["MINUTES"]

# With protocol=quick on one CPU core.
MINUTES = {
'''


def epochs_of(dataset: str, model: str) -> int:
    """Of the quick recipe by which a model is trained on a dataset."""
    recipe = models()[model].recipe or datasets()[dataset].recipe
    text = (ROOT / "configs" / "recipe" / recipe / "quick.yaml").read_text()
    return int(yaml.safe_load(text)["trainer"]["epochs"])


def committed() -> Iterator[tuple[str, float]]:
    """Experiment and seconds of its whole recipe, of every committed training."""
    shipped = ROOT / "node_experiments" / "pretrained"
    for run in [*records(load_runs(REFERENCE)), *records(load_runs(shipped))]:
        chosen = (run["status"], run["mode"], run["protocol"])
        regularized = run.get("choices.regularizer") not in ("none", None)
        if (
            chosen != ("completed", "train", "quick")
            or regularized
            or not run.get("seconds")
            or PARTIAL in Path(run["directory"]).parents
        ):
            continue
        epochs = epochs_of(run["config.dataset.name"], run["config.model.name"])
        name = run.get("choices.experiment") or run["name"]
        yield name, run["seconds"] / run["config.trainer.epochs"] * epochs


def measured() -> Iterator[tuple[str, float]]:
    """The same of the runs of one epoch, each with what precedes its training."""
    if ONE_EPOCH.is_file():
        for name, run in json.loads(ONE_EPOCH.read_text()).items():
            yield name, whole(run)


def whole(run: Mapping[str, Any]) -> float:
    """Seconds of all epochs by those of a run of one, with what precedes them."""
    epochs = epochs_of(run["dataset"], run["model"])
    return run["seconds"] + (epochs - 1) * run["epoch_seconds"]


def minutes() -> dict[str, int]:
    """By experiment, rounded up."""
    seconds = dict(measured())
    of_runs: dict[str, list[float]] = {}
    for name, value in committed():
        of_runs.setdefault(name, []).append(value)
    seconds |= {name: min(values) for name, values in of_runs.items()}
    known = {path.stem for path in (ROOT / "configs" / "experiment").glob("*.yaml")}
    return {name: math.ceil(seconds[name] / 60) for name in sorted(known & set(seconds))}


def text() -> str:
    """The module."""
    lines = "".join(f'    "{name}": {value},\n' for name, value in minutes().items())
    return f"{HEADER}{lines}}}\n"


def add(folders: list[Path]) -> None:
    """Keep what runs of one epoch say of their time."""
    kept: dict[str, Any] = json.loads(ONE_EPOCH.read_text()) if ONE_EPOCH.is_file() else {}
    for folder in folders:
        for run in records(load_runs(folder)):
            info = json.loads((Path(run["directory"]) / "run_info.json").read_text())
            kept[run["name"]] = {
                "dataset": run["config.dataset.name"],
                "model": run["config.model.name"],
                "seconds": run["seconds"],
                "epoch_seconds": run["time/epoch_seconds"],
                "command": info["command"],
                "commit": info["git"]["commit"],
                "cpu": info["cpu"],
                "threads": info["threads"],
            }
    ONE_EPOCH.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--add", nargs="+", type=Path, default=[], help="runs of one epoch")
    if folders := parser.parse_args().add:
        add(folders)
    TARGET.write_text(text())
