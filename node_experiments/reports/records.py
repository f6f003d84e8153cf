"""Runs as records, and by which settings they differ."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from pandas import DataFrame

from ..config import RegularizerConfig, TrainerConfig

__all__ = [
    "REPETITION",
    "Record",
    "differences",
    "has",
    "left_out",
    "most_alike",
    "one_per_seed",
    "records",
    "settings",
    "show",
    "trainings",
    "unfinished",
    "varying",
]

# Settings that tell repetitions, places and appearances apart, and not what was computed.
REPETITION = ("seed", "outputs", "resume", "trainer.progress", "trainer.checkpoint_minutes")
# Settings that may differ between the seeds of a cell; a note names them.
INCIDENTAL = ("name", "checkpoint", "trainer.threads", "trainer.log_every")
# Of other modes, and where files were found.
ELSEWHERE = ("predict.", "places.", "trainer.loggers")
# A run that is older than a setting trained as the setting's default says: one of the trainer, or
# one that came to datasets and models when runs were kept already.
DEFAULTS = {f"trainer.{entry.name}": entry.default for entry in fields(TrainerConfig)}
LATER = {
    "dataset.class_weights": "none",
    "model.augment": 0,
    "model.horizon_epochs": 0,
    "model.kl_weight": 1.0,
    "model.objective": "official_code",
    "scheduler.floor": 0.1,
}
# The same of a group that came later as a whole, for runs that have a solver.
LATER_GROUP = {f"regularizer.{entry.name}": entry.default for entry in fields(RegularizerConfig)}
CONFIG = "config."

Record = Mapping[str, Any]


def records(runs: DataFrame) -> list[dict[str, Any]]:
    """The rows as dictionaries, without the values that a run does not have."""
    names = list(map(str, runs.columns))
    rows = runs.to_numpy(dtype=object).tolist()  # far faster than pandas' own records
    return [
        {name: x for name, x in zip(names, row, strict=True) if not absent(name, x)}
        for row in rows
    ]


def trainings(runs: DataFrame) -> list[dict[str, Any]]:
    """Records of runs that trained: an evaluation or a prediction is no network more."""
    return [run for run in records(runs) if run.get("mode", "train") == "train"]


def absent(column: str, value: Any) -> bool:
    """Whether a run does not have a value; None is one of a setting alone."""
    if value is None:
        return not column.startswith((CONFIG, "trained."))
    return isinstance(value, float) and value != value


def settings(run: Record) -> dict[str, Any]:
    """The settings by which runs differ in what they compute, repetitions apart, by name.

    >>> old, new = {"config.trainer.epochs": 3}, {"config.trainer.epochs": 3, "seed": 1}
    >>> settings(old) == settings(new | {"config.trainer.accumulate": 1})
    True
    """
    own = {key.removeprefix(CONFIG): run[key] for key in run if key.startswith(CONFIG)}
    groups = {name.partition(".")[0] for name in own}
    if "solver" in groups:
        groups.add("regularizer")
    known = {
        name: value
        for name, value in {**DEFAULTS, **LATER, **LATER_GROUP}.items()
        if name.partition(".")[0] in groups
    }
    return {
        name: value
        for name, value in {**known, **own}.items()
        if name not in REPETITION and not name.startswith(ELSEWHERE)
    }


def has(run: Record, numbers: Iterable[str] = (), texts: Iterable[str] = ()) -> bool:
    """Whether a run has these numbers and texts; a damaged or foreign one may lack any."""
    return all(isinstance(run.get(name), int | float) for name in numbers) and all(
        isinstance(run.get(name), str) for name in texts
    )


def one_per_seed(runs: Iterable[Record]) -> list[Record]:
    """The last run of each seed to start, seeds rising; runs that do not say their seed count."""
    found = {
        (run.get("seed", math.inf), str("seed" in run or run["directory"])): run
        for run in sorted(runs, key=lambda run: str(run.get("started", "")))
    }
    return [found[key] for key in sorted(found)]


def most_alike(
    runs: Iterable[Record], names: tuple[str, ...] = ("",), but: Iterable[str] = ()
) -> list[Record]:
    """Those of the largest group of runs that have the same settings.

    Args:
        names: Beginnings of the names of the settings that count.
        but: Names of settings that do not.
    """
    ignored = {*INCIDENTAL, *but}
    groups: dict[tuple[str, ...], list[Record]] = {}
    for run in runs:
        key = (
            f"{name}={show(value)}"
            for name, value in sorted(settings(run).items())
            if name.startswith(names) and name not in ignored
        )
        groups.setdefault(tuple(key), []).append(run)
    return max(groups.values(), key=len, default=[])


def left_out(count: int, where: str) -> list[str]:
    """A note on completed runs that a table does not count; none if there are none."""
    what = f"Completed runs {where} with other settings, or repeated, not shown: {count}."
    return [what] if count else []


def unfinished(runs: Iterable[Record], counted: Iterable[Record], where: str) -> list[str]:
    """A note on runs that ended otherwise than completed; none if there are none.

    Without it a table would be of those seeds alone that went well.

    Args:
        runs: Those that a table could have counted.
        counted: Those that it counts; a run that was repeated with success is not named.
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
    """What a run that is started again has in common with it."""
    own = (f"{name}={show(value)}" for name, value in sorted(settings(run).items()))
    return (str(run.get("seed")), *own)


def varying(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names by which these settings can be told apart.

    Which solver was chosen says more than every tolerance that came with it, so a setting is left
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


def by_importance(name: str) -> tuple[int, str]:
    """Names of choices come before their settings."""
    last = name.rpartition(".")[2]
    return (0 if last in ("name", "method") else 1, name)


def differences(
    groups: Iterable[Sequence[Record]], but: Iterable[str] = (), what: str = "Runs of one cell"
) -> list[str]:
    """A note that names every setting by which joined runs differ; none if none does.

    Args:
        groups: Runs that are joined to one number, or that stand in one table.
        but: Settings that the table shows.
    """
    values: dict[str, set[str]] = {}
    for group in groups:
        found = [settings(run) for run in group]
        for name in {key for each in found for key in each}.difference(but):
            texts = {show(each[name]) if name in each else "absent" for each in found}
            if len(texts) > 1:
                values.setdefault(name, set()).update(texts)
    named = "; ".join(f"{name} ({listed(sorted(values[name]))})" for name in sorted(values))
    return [f"{what} also differ in: {named}."] if named else []


def listed(texts: Sequence[str], most: int = 6) -> str:
    """The first of some texts, and how many there are in all where that is more."""
    rest = f", ... ({len(texts)} values)" if len(texts) > most else ""
    return ", ".join(texts[:most]) + rest


def show(value: Any) -> str:
    """A setting as text, as a command line sets it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
