"""Names of run directories: what was overridden, and short."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from ..runs.jobs import split_overrides
from .arguments import read
from .override_checks import values

__all__ = ["one_directory", "run_name", "run_slug", "slug", "unnamed"]

NAMING = ("experiment", "dataset", "model", "mode", "name")  # what a run is called by

LONGEST_SLUG = 100  # characters; file systems allow 255 bytes


def slug(overrides: str) -> str:
    """Overrides as a short directory name, which differs for overrides that do.

    Settings are named without their group, the experiment first. What is too long is cut, and ends
    with a checksum of the whole.

    >>> slug("dataset.observed_fraction=0.1,experiment=periodic_rnn_dt")
    'experiment=periodic_rnn_dt_observed_fraction=0.1'
    """
    words = split_overrides(overrides)
    words.sort(key=lambda word: not word.startswith("experiment="))
    pairs = [word.partition("=")[::2] for word in words]
    lasts = [key.rpartition(".")[2] for key, _ in pairs]
    names = [
        last if lasts.count(last) == 1 else key
        for last, (key, _) in zip(lasts, pairs, strict=True)
    ]
    short = [f"{name}={value}" for name, (_, value) in zip(names, pairs, strict=True)]
    text = re.sub(r"[^A-Za-z0-9.=_-]+", "_", "_".join(short)).strip("_=")
    if len(text) <= LONGEST_SLUG:
        return text
    checksum = hashlib.sha256(overrides.encode()).hexdigest()[:6]
    return f"{text[: LONGEST_SLUG - 7].rstrip('_')}_{checksum}"


# What the directory above says already, or what changes nothing that a run computes.
SAID_ELSEWHERE = ("experiment", "name", "outputs", "mode", "resume", "checkpoint")


def run_slug(overrides: Sequence[Any], unnamed: Sequence[Any]) -> str:
    """What the overrides change, as the end of a run directory's name; empty if nothing.

    Args:
        overrides: All of them.
        unnamed: Settings that the user did not write.

    >>> run_slug(["experiment=mnist_mlp", "solver=rk4", "trainer.progress=false"], [])
    '_solver=rk4'
    >>> run_slug(["dataset=mnist", "mode=eval", "checkpoint=outputs/best.pt"], ["dataset"])
    ''
    """
    named = [
        word
        for word in map(str, overrides)
        if (key := word.lstrip("+~").partition("=")[0]) not in (*SAID_ELSEWHERE, *unnamed)
        and key not in ("trainer.progress", "trainer.loggers")
    ]
    text = slug(",".join(named))
    return f"_{text}" if text else ""


def run_name(mode: str, dataset: str, model: str) -> str:
    """The name of a run that is no experiment."""
    return f"{dataset}_{model}" if mode == "train" else mode


def unnamed(added: Sequence[str], given: Sequence[str], multirun: bool) -> str:
    """The override of Hydra that lists settings which name no directory.

    Args:
        added: Overrides that the user did not write.
        given: Those that the user wrote; in a sweep, only what varies names a job.
        multirun: It is a sweep.

    >>> unnamed(["dataset=mnist"], ["mode=eval", "solver=euler,rk4"], multirun=True)
    "hydra.job.config.override_dirname.exclude_keys=['dataset','mode']"
    >>> unnamed([], ["seed=7", "seed=0,1"], multirun=True)
    'hydra.job.config.override_dirname.exclude_keys=[]'
    """
    fixed = [o for o in map(read, given) if multirun and len([*values(o)]) == 1]
    varied = {o.key_or_group for o in map(read, given) if len([*values(o)]) != 1}
    keys = [o.key_or_group for o in [*map(read, added), *fixed] if o.key_or_group not in varied]
    listed = ",".join(f"'{key}'" for key in keys if not key.startswith("hydra"))
    return f"hydra.job.config.override_dirname.exclude_keys=[{listed}]"


def one_directory(given: Sequence[str]) -> list[str]:
    """The override that keeps jobs in one directory whose names, and so directories, would differ.

    >>> one_directory(["experiment=mnist_mlp,mnist_odenet"])
    ['hydra.sweep.dir=${outputs}/sweeps/several/${now:%Y-%m-%d_%H-%M-%S-%f}']
    >>> one_directory(["experiment=mnist_mlp", "seed=0,1"])
    []
    """
    overrides = [*map(read, given)]
    varied = {o.key_or_group for o in overrides if len([*values(o)]) != 1}
    fixed = {"sweep", "hydra.sweep.dir", "name"} & {o.key_or_group for o in overrides}
    if not varied & {*NAMING} or fixed - varied:
        return []
    return ["hydra.sweep.dir=${outputs}/sweeps/several/${now:%Y-%m-%d_%H-%M-%S-%f}"]
