"""Short names of run folders, made from the overrides."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from ..config.run import NOT_HASHED_OF_TRAINER
from ..runs.jobs import name_of, split_overrides
from .arguments import read
from .override_checks import values

__all__ = ["exclude_keys_override", "run_name", "run_slug", "shared_directory_override", "slug"]

NAMING = ("experiment", "dataset", "model", "mode", "name")  # overrides that name a run

LONGEST_SLUG = 100  # characters; file systems allow 255 bytes


def slug(overrides: str) -> str:
    """Overrides as a short directory name.

    Settings are named without their group, the experiment first. Characters that may not be in a
    file name become `_`. A name that is too long is cut and ends with a checksum of the whole.
    Different overrides may have the same name, so a time or a job number must come before it.

    >>> slug("dataset.observed_fraction=0.1,experiment=periodic_rnn_dt")
    'experiment=periodic_rnn_dt_observed_fraction=0.1'
    >>> slug("dataset.path=a/x.csv") == slug("dataset.path=a_x.csv")
    True
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


OF_DISPLAY = tuple(f"trainer.{name}" for name in NOT_HASHED_OF_TRAINER)
# Settings that the parent directory names already, or that do not change what a run computes.
NOT_IN_NAME = ("experiment", "name", "outputs", "mode", "resume", "checkpoint")


def run_slug(overrides: Sequence[Any], excluded: Sequence[Any]) -> str:
    """Suffix of a run folder's name that lists what the overrides change; empty if nothing.

    Args:
        overrides: All overrides of the run.
        excluded: Settings that the user did not write, which are left out.

    >>> run_slug(["experiment=mnist_mlp", "solver=rk4", "trainer.progress=false"], [])
    '_solver=rk4'
    >>> run_slug(["dataset=mnist", "mode=eval", "checkpoint=outputs/best.pt"], ["dataset"])
    ''
    """
    named = [
        word
        for word in map(str, overrides)
        if (key := name_of(word)) not in (*NOT_IN_NAME, *excluded) and key not in OF_DISPLAY
    ]
    text = slug(",".join(named))
    return f"_{text}" if text else ""


def run_name(mode: str, dataset: str, model: str) -> str:
    """Name of a run that belongs to no experiment."""
    return f"{dataset}_{model}" if mode == "train" else mode


def exclude_keys_override(added: Sequence[str], given: Sequence[str], multirun: bool) -> str:
    """Hydra's override that lists the settings to leave out of directory names.

    Args:
        added: Overrides that the user did not write.
        given: Overrides that the user wrote; in a sweep, only those that vary name a job.
        multirun: Whether it is a sweep.

    >>> exclude_keys_override(["dataset=mnist"], ["mode=eval", "solver=euler,rk4"], multirun=True)
    "hydra.job.config.override_dirname.exclude_keys=['dataset','mode']"
    >>> exclude_keys_override([], ["seed=7", "seed=0,1"], multirun=True)
    'hydra.job.config.override_dirname.exclude_keys=[]'
    """
    fixed = [o for o in map(read, given) if multirun and len([*values(o)]) == 1]
    varied = {o.key_or_group for o in map(read, given) if len([*values(o)]) != 1}
    keys = [o.key_or_group for o in [*map(read, added), *fixed] if o.key_or_group not in varied]
    listed = ",".join(f"'{key}'" for key in keys if not key.startswith("hydra"))
    return f"hydra.job.config.override_dirname.exclude_keys=[{listed}]"


def shared_directory_override(given: Sequence[str]) -> list[str]:
    """Override that puts jobs with different names, and so different directories, into one.

    >>> shared_directory_override(["experiment=mnist_mlp,mnist_odenet"])
    ['hydra.sweep.dir=${outputs}/sweeps/several/${now:%Y-%m-%d_%H-%M-%S-%f}']
    >>> shared_directory_override(["experiment=mnist_mlp", "seed=0,1"])
    []
    """
    overrides = [*map(read, given)]
    varied = {o.key_or_group for o in overrides if len([*values(o)]) != 1}
    fixed = {"sweep", "hydra.sweep.dir", "name"} & {o.key_or_group for o in overrides}
    if not varied & {*NAMING} or fixed - varied:
        return []
    return ["hydra.sweep.dir=${outputs}/sweeps/several/${now:%Y-%m-%d_%H-%M-%S-%f}"]
