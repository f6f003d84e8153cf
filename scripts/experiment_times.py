"""Writes node_experiments/cli/experiment_times.py: how long each experiment takes.

    python scripts/experiment_times.py

The fastest run of an experiment (all shared their machine with other work), scaled to the epochs
of its recipe: of the committed ones that have its model and all of its data, and of those in
outputs/reference/timed_runs.json, of which only the time is kept, by `--add RUN...`; most of these
are of one epoch.
"""

import argparse
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml
from documents import ROOT
from omegaconf import OmegaConf

from node_experiments.chapters import datasets, models
from node_experiments.cli.application import register
from node_experiments.reports.records import records
from node_experiments.runs import load_runs

REFERENCE = ROOT / "outputs" / "reference"
TIMED = REFERENCE / "timed_runs.json"
TARGET = ROOT / "node_experiments" / "cli" / "experiment_times.py"
CONFIGS = ROOT / "configs"
# Longer than the recipe: scaled to it, their one long evaluation would be too.
LONGER = REFERENCE / "gallery" / "flow_matching"
# Settings of a dataset by which an epoch takes more or less time.
OF_DATA = ("name", "task", "train_size", "batches")

HEADER = '''\
"""Duration of each experiment, for `node-run --list`; written by scripts/experiment_times.py."""

from __future__ import annotations

__all__ = ["MINUTES"]

# With protocol=quick on one CPU core.
MINUTES = {
'''


def recipe_of(dataset: str, model: str) -> dict[str, Any]:
    """The quick recipe by which a model is trained on a dataset."""
    recipe = models()[model].recipe or datasets()[dataset].recipe
    register()  # the resolver of epochs
    loaded = OmegaConf.load(CONFIGS / "recipe" / recipe / "quick.yaml")
    return cast("dict[str, Any]", OmegaConf.to_container(loaded, resolve=True))


def epochs_of(dataset: str, model: str) -> int:
    """Those of the quick recipe."""
    return int(recipe_of(dataset, model)["trainer"]["epochs"])


@cache
def content(name: str) -> dict[str, Any]:
    """A file below `configs/`."""
    return dict(yaml.safe_load((CONFIGS / f"{name}.yaml").read_text()))


@cache
def own_settings(experiment: str) -> dict[str, Any]:
    """The model and the amount of data of an experiment, as a run names its settings."""
    own = content(f"experiment/{experiment}")
    chosen = {
        key.rpartition("/")[2]: name for each in own["defaults"] for key, name in each.items()
    }
    found = {}
    for group, entries in (("dataset", datasets()), ("model", models())):
        defaults = asdict(entries[chosen[group]].settings(name=chosen[group]))
        recipe = recipe_of(chosen["dataset"], chosen["model"])
        settings = {**defaults, **recipe.get(group, {}), **own.get(group, {})}
        if group == "dataset":
            settings = {key: settings[key] for key in OF_DATA if key in settings}
        found |= {f"config.{group}.{key}": value for key, value in settings.items()}
    return found


def is_whole(run: Mapping[str, Any], experiment: str) -> bool:
    """Whether a run trained the model of an experiment on all of its data."""
    own = own_settings(experiment)
    return all(run[key] == own[key] for key in own.keys() & run.keys())


def committed() -> Iterator[tuple[str, float]]:
    """Experiment and seconds of its whole recipe, of every committed training of it."""
    shipped = ROOT / "node_experiments" / "pretrained"
    for run in [*records(load_runs(REFERENCE)), *records(load_runs(shipped))]:
        chosen = (run["status"], run["mode"], run["protocol"])
        regularized = run.get("choices.regularizer") not in ("none", None)
        name = run.get("choices.experiment") or run["name"]
        if (
            chosen != ("completed", "train", "quick")
            or regularized
            or not run.get("seconds")
            or name not in known()
            or LONGER in Path(run["directory"]).parents
            or not is_whole(run, name)
        ):
            continue
        epochs = epochs_of(run["config.dataset.name"], run["config.model.name"])
        yield name, run["seconds"] / run["config.trainer.epochs"] * epochs


def known() -> set[str]:
    """The names of all experiments."""
    return {path.stem for path in (CONFIGS / "experiment").glob("*.yaml")}


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
    return {name: math.ceil(min(seconds[name]) / 60) for name in sorted(known() & set(seconds))}


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
