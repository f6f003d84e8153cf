"""Runs as records, and the settings by which they differ."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from pandas import DataFrame

from ..config import RegularizerConfig, TrainerConfig
from ..config.run import NOT_HASHED, NOT_HASHED_OF_TRAINER
from .table import is_missing

__all__ = [
    "REPETITION",
    "Record",
    "by_settings",
    "differences",
    "group_runs",
    "has",
    "left_out",
    "most_alike",
    "not_finite",
    "odd_tags",
    "one_per_seed",
    "records",
    "settings",
    "show",
    "trainings",
    "unfinished",
    "varying",
    "with_same_budget",
]

# Settings that differ between repetitions, or say where and how to store and show a run.
REPETITION = ("seed", *NOT_HASHED, *(f"trainer.{name}" for name in NOT_HASHED_OF_TRAINER))
# Settings that may differ between the seeds of a cell; a note names them.
INCIDENTAL = ("name", "checkpoint", "trainer.threads", "trainer.log_every")
# Settings of other modes, and of file locations.
ELSEWHERE = ("predict.", "places.")
# A run that is older than a setting was trained as the setting's default says. These are settings
# of the trainer, and later additions to datasets, models and schedules.
DEFAULTS = {f"trainer.{entry.name}": entry.default for entry in fields(TrainerConfig)}
ADDED_SETTINGS = {
    "dataset.centre_series": False,
    "dataset.class_weights": "none",
    "dataset.random_cuts": False,
    "dataset.time_scale": "auto",
    "model.augment": 0,
    "model.horizon_epochs": 0,
    "model.kl_weight": 1.0,
    "model.objective": "official_code",
    "model.teacher_forcing": 1.0,
    "scheduler.floor": 0.1,
}
# The same for a group that was added later as a whole, for runs that have a solver.
ADDED_GROUP = {f"regularizer.{entry.name}": entry.default for entry in fields(RegularizerConfig)}
CONFIG = "config."
# What one table compares must have in common: a model may be ahead merely for longer training.
BUDGET = (
    "dataset.", "optimizer.", "scheduler.", "protocol",
    "trainer.epochs", "trainer.limit_batches", "trainer.clip_norm", "trainer.precision",
)  # fmt: skip

Record = Mapping[str, Any]


def records(runs: DataFrame) -> list[dict[str, Any]]:
    """The rows as dictionaries, without the values that a run does not have."""
    names = list(map(str, runs.columns))
    rows = runs.to_numpy(dtype=object).tolist()  # far faster than pandas' own records
    return [
        {name: x for name, x in zip(names, row, strict=True) if not is_absent(name, x)}
        for row in rows
    ]


def trainings(runs: DataFrame) -> list[dict[str, Any]]:
    """Records of training runs: evaluations and predictions are not further networks."""
    return [run for run in records(runs) if run.get("mode", "train") == "train"]


def is_absent(column: str, value: Any) -> bool:
    """Whether a run does not have a value; None counts as a value only for settings."""
    if value is None:
        return not column.startswith((CONFIG, "trained."))
    return is_missing(value)


def odd_tags(run: Record) -> list[str]:
    """The tags of the numbers of a run that are NaN, which its record lacks, or infinite."""
    named = run.get("not_finite")
    return str(named).split(", ") if named else []


def not_finite(runs: Sequence[Record], tags: Iterable[str]) -> list[str]:
    """A note for each number that is NaN or infinite in some of these runs; none if none is.

    Without it a mean would silently be over the other runs.
    """
    notes = []
    for tag in tags:
        if odd := [run for run in runs if tag in odd_tags(run)]:
            seeds = sorted({seed for run in odd if (seed := seed_of(run)) is not None})
            named = f" (seed {listed([f'{seed:g}' for seed in seeds])})" if seeds else ""
            have = "has" if len(odd) == 1 else "have"
            notes.append(
                f"{len(odd)} of {len(runs)} runs {have} no finite {tag}{named}; its mean is over "
                "the others."
            )
    return notes


def settings(run: Record) -> dict[str, Any]:
    """The settings that determine what a run computes, except those of repetitions, by name.

    A setting that is null counts as one that a run does not have, since the run may be older.

    >>> old, new = {"config.trainer.epochs": 3}, {"config.trainer.epochs": 3, "seed": 1}
    >>> settings(old) == settings(new | {"config.trainer.accumulate": 1})
    True
    >>> settings(old) == settings(new | {"config.trainer.accumulate": None})
    False
    """
    own = {key.removeprefix(CONFIG): run[key] for key in run if key.startswith(CONFIG)}
    groups = {name.partition(".")[0] for name in own}
    if "solver" in groups:
        groups.add("regularizer")
    known = {
        name: value
        for name, value in {**DEFAULTS, **ADDED_SETTINGS, **ADDED_GROUP}.items()
        if name.partition(".")[0] in groups
    }
    # Null was the default of some settings whose default has a name now.
    named = {n: value for n, value in own.items() if value is not None or n not in ADDED_SETTINGS}
    return {
        name: value
        for name, value in {**known, **named}.items()
        if value is not None and name not in REPETITION and not name.startswith(ELSEWHERE)
    }


def has(run: Record, numbers: Iterable[str] = (), texts: Iterable[str] = ()) -> bool:
    """Whether a run has these numbers and texts; a damaged or foreign one may lack any."""
    return all(isinstance(run.get(name), int | float) for name in numbers) and all(
        isinstance(run.get(name), str) for name in texts
    )


def one_per_seed(runs: Iterable[Record]) -> list[Record]:
    """The last started run of each seed, by rising seed; all runs without a seed are kept.

    The seed of an evaluation is that with which its network was trained: another seed of the
    evaluation is not another network.
    """
    found: dict[tuple[float, str], Record] = {}
    for run in sorted(runs, key=lambda run: str(run.get("started", ""))):
        seed = seed_of(run)
        found[(math.inf, str(run["directory"])) if seed is None else (seed, "")] = run
    return [found[key] for key in sorted(found)]


def seed_of(run: Record) -> float | None:
    """The seed with which the network of a run was trained; None if it is unknown."""
    return run.get("trained.seed", run.get("seed"))


def most_alike(
    runs: Iterable[Record], names: tuple[str, ...] = ("",), ignore: Iterable[str] = ()
) -> list[Record]:
    """The largest group of runs with the same settings.

    Args:
        names: Prefixes of the names of the settings that count.
        ignore: Names of settings that do not count.
    """
    ignored = {*INCIDENTAL, *ignore}
    groups: dict[tuple[str, ...], list[Record]] = {}
    for run in runs:
        key = (
            f"{name}={show(value)}"
            for name, value in sorted(settings(run).items())
            if name.startswith(names) and name not in ignored
        )
        groups.setdefault(tuple(key), []).append(run)
    return max(groups.values(), key=len, default=[])


def with_same_budget(runs: Iterable[Record], ignore: Iterable[str] = ()) -> list[Record]:
    """The runs with the data and the training budget that most of these runs have.

    Args:
        ignore: Settings that distinguish the cells of a table.
    """
    return most_alike(runs, BUDGET, ignore)


def group_runs(runs: Iterable[Record], key: Callable[[Record], Any]) -> dict[Any, list[Record]]:
    """Group runs by a key, sorted by it.

    Of a group, only runs that differ in nothing but their seed are kept, the last of each seed.
    """
    groups: dict[Any, list[Record]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return {each: one_per_seed(most_alike(groups[each])) for each in sorted(groups)}


def left_out(count: int, where: str) -> list[str]:
    """A note on completed runs that a table does not count; none if there are none."""
    what = f"Completed runs {where} with other settings, or repeated, not shown: {count}."
    return [what] if count else []


def unfinished(runs: Iterable[Record], counted: Iterable[Record], where: str) -> list[str]:
    """A note on runs that did not complete; none if there are none.

    Without it a table would silently be about the successful seeds only.

    Args:
        runs: Runs that a table could have counted.
        counted: Runs that it counts; a failed run that was repeated with success is not named.
    """
    done = {repetition(run) for run in counted}
    lost = Counter(
        str(run["status"])
        for run in runs
        if run["status"] != "completed" and repetition(run) not in done
    )
    named = ", ".join(f"{count} {status}" for status, count in sorted(lost.items()))
    return [f"Runs {where} that did not complete, not counted: {named}."] if named else []


def repetition(run: Record) -> tuple[str, ...]:
    """Key that a run has in common with its repetitions: its seed and settings."""
    own = (f"{name}={show(value)}" for name, value in sorted(settings(run).items()))
    return (str(run.get("seed")), *own)


def varying(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of settings that suffice to tell these runs apart.

    The choice of a solver says more than each tolerance that comes with it, so a setting is left
    out when the names before it already tell the same runs apart; `differences` names the others.
    """
    names = sorted({key for each in found for key in each}, key=by_importance)
    texts = [{name: show(each.get(name)) for name in names} for each in found]
    chosen: list[str] = []
    parts: list[tuple[str, ...]] = [()] * len(texts)
    count = min(1, len(texts))
    for name in names:
        split = [(*part, each[name]) for part, each in zip(parts, texts, strict=True)]
        if len(set(split)) > count:
            chosen.append(name)
            parts, count = split, len(set(split))
    return chosen


def by_settings(runs: Sequence[Record]) -> tuple[list[str], dict[tuple[str, ...], list[Record]]]:
    """Names of the settings that tell the runs apart, and the runs by their values as text.

    A path may have held different files over time, which count as different settings.
    """
    found = [settings(run) | {"dataset.sha256": run.get("data_sha256")} for run in runs]
    names = varying(found)
    groups: dict[tuple[str, ...], list[Record]] = {}
    for run, own in zip(runs, found, strict=True):
        groups.setdefault(tuple(show(own.get(name)) for name in names), []).append(run)
    return names, groups


def by_importance(name: str) -> tuple[int, str]:
    """Sort key by which names of choices come before their settings."""
    last = name.rpartition(".")[2]
    return (0 if last in ("name", "method") else 1, name)


def differences(
    groups: Iterable[Sequence[Record]], ignore: Iterable[str] = (), what: str = "Runs of one cell"
) -> list[str]:
    """A note that names every setting by which grouped runs differ; none if none does.

    Args:
        groups: Groups of runs that are averaged to one number, or that one table compares.
        ignore: Settings that the table shows.
    """
    values: dict[str, set[str]] = {}
    for group in groups:
        found = [settings(run) for run in group]
        for name in {key for each in found for key in each}.difference(ignore):
            texts = {show(each[name]) if name in each else "absent" for each in found}
            if len(texts) > 1:
                values.setdefault(name, set()).update(texts)
    named = "; ".join(f"{name} ({listed(sorted(values[name]))})" for name in sorted(values))
    return [f"{what} also differ in: {named}."] if named else []


def listed(texts: Sequence[str]) -> str:
    """The first texts, and the number of all of them if there are more than six."""
    rest = f", ... ({len(texts)} values)" if len(texts) > 6 else ""
    return ", ".join(texts[:6]) + rest


def show(value: Any) -> str:
    """A setting as text, as written on a command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
