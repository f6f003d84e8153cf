"""The result of a run, as `result.json` holds it: one versioned dataclass.

The results of training, evaluation and Figure 3 are `Findings`; the runner adds the identity of
the run, how it ended and what it cost.

    >>> result = RunResult.from_json({"status": "completed", "metrics": {"loss/test": 0.5}})
    >>> result.found.reported["loss/test"]
    0.5
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ..config import shorten
from ..files import read_file, write_json

__all__ = [
    "VERSION",
    "Best",
    "Evaluations",
    "Findings",
    "Hardware",
    "Memory",
    "Origin",
    "ResultError",
    "RunResult",
    "SavedEpoch",
    "Seconds",
    "Tested",
    "read_result",
    "write_result",
]

FILE = "result.json"
VERSION = 1
ENDINGS = ("completed", "diverged", "interrupted", "failed")
LAST = "last epoch"

T = TypeVar("T")


class ResultError(ValueError):
    """A `result.json` that no version of this package wrote; the message says in one line why."""


@dataclass
class Best:
    """The numbers of the epoch that was best on validation data.

    Attributes:
        by: TensorBoard tag by which it was chosen.
        metrics: All numbers of that epoch by tag.
    """

    by: str
    metrics: dict[str, float]


@dataclass
class Evaluations:
    """Function evaluations per solve, in the last epoch; None for a model that solves nothing."""

    forward: float | None = None
    backward: float | None = None


@dataclass
class Memory:
    """Bytes kept for the backward pass of a batch, and the peak of the process or device."""

    saved_bytes: float | None = None
    peak_bytes: float | None = None


@dataclass
class Seconds:
    """Duration of the whole run, resumed parts included, and of a training step."""

    total: float | None = None
    per_step: float | None = None


@dataclass
class Hardware:
    """Hardware of a run."""

    cpu: str | None = None
    device: str | None = None
    threads: int | None = None


@dataclass
class Origin:
    """The training run that an evaluated checkpoint is from."""

    name: str | None = None
    seed: int | None = None
    protocol: str | None = None
    config_hash: str | None = None
    gradient: str | None = None
    solver: dict[str, Any] = field(default_factory=dict)


@dataclass
class Tested:
    """Number of samples of a test, and their unit."""

    count: int
    unit: str = "samples"


@dataclass
class SavedEpoch:
    """A checkpoint, and the epoch after which its weights were saved; None if not recorded."""

    file: str
    epoch: int | None = None


@dataclass
class Findings:
    """Results of training, evaluation or Figure 3.

    Attributes:
        metrics: Numbers by TensorBoard tag: of the last epoch, or of the evaluation.
        best: The numbers of the best validation epoch; None without validation data.
        objective: What a sweeper optimises: the task's metric on validation data, else on test
            data, at the reported epoch.
        metric: Name of the task's metric.
        trained: Origin of the checkpoint, for an evaluation and for Figure 3.
        solver_order: Order of the method with which an evaluation solved.
        tested: The samples of the last test.
        stopped: Why a completed training ended before its last epoch.
        class_counts: Number of labels of each class in each part of the data, by their names.
        of_checkpoint: The checkpoint that was evaluated.
        predictions: The file of predictions.
        earlier_seconds: Duration of the run before it was resumed; counts towards its `seconds`.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    best: Best | None = None
    objective: float | None = None
    parameters: int | None = None
    metric: str | None = None
    nfe: Evaluations | None = None
    memory: Memory | None = None
    trained: Origin | None = None
    solver_order: int | None = None
    tested: Tested | None = None
    stopped: str | None = None
    class_counts: dict[str, Any] | None = None
    of_checkpoint: SavedEpoch | None = None
    predictions: str | None = None
    earlier_seconds: float = 0.0

    @property
    def reported(self) -> dict[str, float]:
        """The numbers that represent the run: of the best validation epoch, else of the last.

        This is the one place where the epoch is chosen. A table that follows a paper in reporting
        the last epoch reads `metrics`, and says so.
        """
        return self.metrics if self.best is None else self.best.metrics

    @property
    def epoch_chosen_by(self) -> str | None:
        """`last epoch`, or the tag by which the reported epoch is best; None for an evaluation."""
        if self.best is not None:
            return self.best.by
        return LAST if "epoch" in self.metrics else None

    def epoch_phrase(self) -> str:
        """Epoch of the reported numbers: `at the best validation epoch (7 of 10)`."""
        if self.epoch_chosen_by is None:
            return ""
        chosen = "last" if self.best is None else "best validation"
        numbers = [f"{row['epoch']:g}" for row in (self.reported, self.metrics) if "epoch" in row]
        place = f" ({' of '.join(numbers)})" if numbers else ""
        return f"at the {chosen} epoch{place}"


@dataclass
class RunResult:
    """Content of `result.json`, in which the fields of `Findings` stand beside the others.

    Attributes:
        status: completed, diverged, interrupted or failed.
        reason: Why it did not complete, in one line.
        choices: The choice in each configuration group.
        seconds: None while the run has not ended.
        warnings: Warnings, each with the number of its occurrences.
    """

    status: str
    reason: str | None = None
    name: str | None = None
    mode: str | None = None
    choices: dict[str, str | None] = field(default_factory=dict)
    seed: int | None = None
    protocol: str | None = None
    config_hash: str | None = None
    found: Findings = field(default_factory=Findings)
    hardware: Hardware | None = None
    seconds: Seconds | None = None
    warnings: dict[str, int] = field(default_factory=dict)
    version: int = VERSION

    def to_json(self) -> dict[str, Any]:
        """The object that is written; values that were not found are left out."""
        content = asdict(self)
        found = content.pop("found")
        del found["earlier_seconds"]
        best = found.pop("best")
        if not content["warnings"]:
            del content["warnings"]
        content |= {"best": None if best is None else {"by": best["by"], **best["metrics"]}}
        always = {"reason": content.pop("reason"), "objective": found.pop("objective")}
        kept = {key: value for key, value in {**content, **found}.items() if value is not None}
        return {"version": kept.pop("version"), **kept, **always, "best": content["best"]}

    @classmethod
    def from_json(cls, content: Any) -> RunResult:
        """Read a result that any version of the package wrote.

        Version 0 is a file without a version; it differs from version 1 in nothing else. Numbers
        that JSON cannot represent were written as null and become NaN.

        Raises:
            ResultError: The content is not a result, or a value has the wrong type.
        """
        if not isinstance(content, dict):
            raise ResultError(f"it holds {json_text(content)}, not an object")
        version = typed(int, content.get("version", 0), "version")
        if version > VERSION:
            raise ResultError(
                f"version is {version}, and this package reads up to {VERSION}: upgrade it"
            )
        if content.get("status") not in ENDINGS:
            raise ResultError(
                f"status is {json_text(content.get('status'))}; known: {', '.join(ENDINGS)}"
            )
        best = content.get("best")
        if best is not None:
            if not isinstance(best, dict):
                raise ResultError(f"best is {json_text(best)}, not an object")
            numbers = {key: value for key, value in best.items() if key != "by"}
            best = {"by": best.get("by"), "metrics": numbers}
        found = built(Findings, {**content, "best": best})
        return built(cls, {**content, "found": found, "version": VERSION})


def read_result(directory: Path) -> RunResult | None:
    """The result of a run folder; None if the run has not ended.

    Raises:
        ResultError: `result.json` is damaged.
    """
    try:
        content = json.loads(read_file(directory / FILE))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ResultError(f"{FILE} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{FILE} is damaged: it is not JSON") from error
    try:
        return RunResult.from_json(content)
    except ResultError as error:
        raise ResultError(f"{FILE} is damaged: {error}") from error


def write_result(directory: Path, result: RunResult) -> None:
    """Write `result.json`, whole or not at all."""
    write_json(directory / FILE, result.to_json())


def built(kind: type[T], content: dict[str, Any], where: str = "") -> T:
    """Build a dataclass from plain values, each of which is checked."""
    hints: dict[str, Any] = field_types(kind)  # type: ignore[arg-type]
    return kind(
        **{
            key: typed(hints[key], value, f"{where}{key}")
            for key, value in content.items()
            if key in hints
        }
    )


@cache
def field_types(kind: Any) -> dict[str, Any]:
    """The types of a dataclass's fields."""
    return get_type_hints(kind)


def typed(kind: Any, value: Any, where: str) -> Any:
    """Check a JSON value against a field's type, and convert it.

    Raises:
        ResultError: It has another type.
    """
    if kind is Any:
        return value
    if isinstance(kind, UnionType):
        if value is None:
            return None
        (kind,) = (each for each in get_args(kind) if each is not type(None))
    if get_origin(kind) is dict and isinstance(value, dict):
        of = get_args(kind)[1]
        return {key: typed(of, each, f"{where}.{key}") for key, each in value.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        if isinstance(value, kind):
            return value
        if isinstance(value, dict):
            return built(kind, value, f"{where}.")
    if kind is float and value is None:
        return math.nan
    if kind in (int, float) and is_number(value) and (kind is float or value == value // 1):
        return value
    if kind is str and isinstance(value, str):
        return value
    raise ResultError(f"{where} is {json_text(value)}, not {WORDS.get(kind, 'an object')}")


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a number that a table can hold."""
    if isinstance(value, float):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


WORDS: dict[Any, str] = {float: "a number", int: "a whole number", str: "text"}


def json_text(value: Any) -> str:
    """A value as JSON for a message, cut short."""
    return shorten(json.dumps(value, ensure_ascii=False, default=str), 40)
