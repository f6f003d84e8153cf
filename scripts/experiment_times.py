"""Writes node_experiments/cli/experiment_times.py: how long each experiment takes.

    python scripts/experiment_times.py

The fastest run of an experiment (all shared their machine with other work), scaled to the epochs
of its recipe: of the committed ones, and of those in outputs/reference/timed_runs.json, of which
only the time is kept, by `--add RUN...`; most of these are of one epoch.
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
TIMED = REFERENCE / "timed_runs.json"
TARGET = ROOT / "node_experiments" / "cli" / "experiment_times.py"
# Runs on a part of the data.
PARTIAL = {
    REFERENCE / "gallery" / "flow_matching",
    REFERENCE / "precision",
    REFERENCE / "solver_transfer",
}

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
            or PARTIAL & {*Path(run["directory"]).parents}
        ):
            continue
        epochs = epochs_of(run["config.dataset.name"], run["config.model.name"])
        name = run.get("choices.experiment") or run["name"]
        yield name, run["seconds"] / run["config.trainer.epochs"] * epochs


def timed() -> Iterator[tuple[str, float]]:
    """The same of the runs of which only the time is kept."""
    if TIMED.is_file():
        for name, run in json.loads(TIMED.read_text()).items():
            yield name, whole(run)


def whole(run: Mapping[str, Any]) -> float:
    """Seconds of all epochs by those of some of them, with what precedes training."""
    missing = epochs_of(run["dataset"], run["model"]) - run["epochs"]
    return run["seconds"] + missing * run["epoch_seconds"]


def minutes() -> dict[str, int]:
    """By experiment, rounded up."""
    seconds: dict[str, list[float]] = {}
    for name, value in (*committed(), *timed()):
        seconds.setdefault(name, []).append(value)
    known = {path.stem for path in (ROOT / "configs" / "experiment").glob("*.yaml")}
    return {name: math.ceil(min(seconds[name]) / 60) for name in sorted(known & set(seconds))}


def text() -> str:
    """The module."""
    lines = "".join(f'    "{name}": {value},\n' for name, value in minutes().items())
    return f"{HEADER}{lines}}}\n"


def add(folders: list[Path]) -> None:
    """Keep what runs say of their time."""
    kept: dict[str, Any] = json.loads(TIMED.read_text()) if TIMED.is_file() else {}
    for folder in folders:
        for run in records(load_runs(folder)):
            info = json.loads((Path(run["directory"]) / "run_info.json").read_text())
            kept[run["name"]] = {
                "dataset": run["config.dataset.name"],
                "model": run["config.model.name"],
                "epochs": run["config.trainer.epochs"],
                "seconds": run["seconds"],
                "epoch_seconds": run["time/epoch_seconds"],
                "command": info["command"],
                "commit": info["git"]["commit"],
                "changed": info["git"]["changed"],
                "cpu": info["cpu"],
                "threads": info["threads"],
            }
    TIMED.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--add", nargs="+", type=Path, default=[], help="runs to keep the time of")
    if folders := parser.parse_args().add:
        add(folders)
    TARGET.write_text(text())
