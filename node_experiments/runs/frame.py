"""All runs as one table.

from node_experiments.runs import load_runs

runs = load_runs("outputs")
runs.groupby("config.solver.method")["accuracy/test"].agg(["mean", "std", "count"])
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import read_file
from .directory import is_claimed, read_config, read_json
from .jobs import FILE as JOBS
from .jobs import read_jobs
from .result import Findings, ResultError, RunResult, read_result

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["REFERENCE", "frame_of", "load_runs", "read_epochs", "run_row"]

# Directory of the committed runs below `outputs`, which is read only on request.
REFERENCE = "reference"
RUN_FILES = {"run_info.json", "result.json"}

# Columns that exist whatever the runs left.
COLUMNS = (
    "directory", "name", "sweep", "overrides", "status", "reason", "mode", "protocol", "seed",
    "config_hash", "metric", "epoch", "epoch_chosen_by", "epoch_phrase", "objective", "parameters",
    "solver_order", "seconds", "seconds_per_step", "started", "not_finite", "data_sha256",
)  # fmt: skip
NUMBERS = {"seed", "epoch", "objective", "parameters", "solver_order"}
NUMBERS |= {"seconds", "seconds_per_step"}
PREFIXES = ("config.", "choices.", "hardware.", "trained.")


def load_runs(outputs: Path | str = "outputs", reference: bool = False) -> DataFrame:
    """One row per run below a directory, in the order of their paths; imports no torch.

    A damaged run is a row with status `damaged` and hides no other. A job of a sweep that failed
    before it had a directory is a row with status `failed`.

    Columns, NaN or None where a run does not have the value:

    - `directory`, `name` (of the experiment), `sweep`, `overrides` (of a job without directory);
    - `status`: completed, diverged, interrupted, failed, running, unfinished (killed, or never
      started) or damaged; `reason`: why it is not completed, in one line;
    - `mode`, `protocol`, `seed`, `config_hash`, `parameters`, `metric` (the task's, without
      `/test`), `objective` (what a sweeper optimises), `seconds` (total), `seconds_per_step`;
    - TensorBoard tags (`loss/test`, `nfe/forward`, ...): the numbers of the reported epoch, which
      is the best on validation data, or the last if there is none. `epoch`, `epoch_chosen_by` (a
      tag, or `last epoch`) and `epoch_phrase` say which it is. `not_finite` names the numbers
      that were NaN or infinite;
    - `last/<tag>`: the same numbers of the last epoch;
    - `config.<group>.<name>`: every setting, with its own type; `choices.<group>`: the choice in
      each configuration group; `hardware.*`; `trained.*`: origin of an evaluated checkpoint, and
      `trained.epoch`, after which its weights were saved;
    - `started`: when, in UTC (ISO 8601);
    - `data_sha256`: the first digits of the SHA-256 of each of the user's files that it read.

    Args:
        outputs: Directory with runs at any depth.
        reference: Read the committed runs in `outputs/reference`, too.
    """
    outputs = Path(outputs)
    directories, sweeps = find_runs(outputs, skip=None if reference else outputs / REFERENCE)
    rows = [run_row(directory) for directory in directories]
    rows += [row for sweep in sweeps for row in lost_jobs(sweep)]
    frame = frame_of(rows)
    frame.attrs["outputs"] = str(outputs)
    return frame


def frame_of(rows: Iterable[dict[str, Any]]) -> DataFrame:
    """DataFrame of rows of `run_row`, with the columns that `load_runs` documents."""
    # pandas takes half a second, and every job imports this package.
    import pandas

    rows = list(rows)
    names = dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)])
    # As objects, so that a setting of None or 4 does not become NaN or 4.0.
    frame = pandas.DataFrame(rows, columns=list(names), dtype=object)
    numbers = [name for name in names if name in NUMBERS or is_tag(name)]
    # Copied to one block, so that a column can be added without pandas' warning.
    return frame.astype(dict.fromkeys(numbers, float)).copy()


def is_tag(column: str) -> bool:
    """Whether the name of a column is a TensorBoard tag."""
    return column not in COLUMNS and not column.startswith(PREFIXES)


def find_runs(outputs: Path, skip: Path | None) -> tuple[list[Path], list[Path]]:
    """The directories of runs and of sweeps, both sorted."""
    runs, sweeps = [], []
    for directory, below, files in walk(outputs):
        if skip is not None and directory == skip.parent and skip.name in below:
            below.remove(skip.name)
        if not RUN_FILES.isdisjoint(files):
            runs.append(directory)
        if JOBS in files:
            sweeps.append(directory)
    return sorted(runs), sorted(sweeps)


def walk(top: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Like `os.walk`, but following links, through which runs may be on another disk.

    Each directory is visited once, and one that contains `top` itself never.
    """
    seen: set[str] = set()
    starts, whole = [top], os.path.realpath(top)
    while starts:
        start = os.path.realpath(starts[0])
        if start not in seen and (start == whole or not whole.startswith(f"{start}{os.sep}")):
            for place, below, files in os.walk(starts[0]):
                directory = Path(place)
                seen.add(os.path.realpath(place))
                yield directory, below, files
                starts += [
                    directory / name for name in sorted(below) if (directory / name).is_symlink()
                ]
        del starts[0]


def run_row(directory: Path) -> dict[str, Any]:
    """The row of one run, as far as its files can be read."""
    row: dict[str, Any] = {"directory": str(directory)}
    config = read_settings(directory)
    reason: str | None = None
    try:
        result = read_result(directory)
        status = "unfinished" if result is None else result.status
    except ResultError as error:
        result, status, reason = None, "damaged", str(error)
    if status == "completed" and not config:
        status, reason = "damaged", "config.yaml is missing or damaged"
    if is_claimed(directory):
        status = "running"
    row |= {f"config.{name}": value for name, value in config.items()}
    parts = directory.parts
    if len(parts) > 3 and parts[-4] == "sweeps":
        row["sweep"] = parts[-3]
    for name, kind in (("name", str), ("mode", str), ("protocol", str), ("seed", int)):
        if isinstance(value := config.get(name), kind):
            row[name] = value
    info = read_json(directory / "run_info.json")
    if isinstance(started := info.get("started"), str):
        row["started"] = started
    if files := info.get("data"):
        row["data_sha256"] = digits_of(files)
    if result is not None:
        row |= result_row(result)
        reason = reason or result.reason
    return {"name": "?", **row, "status": status, "reason": reason}


def digits_of(files: Any) -> str | None:
    """The first digits of the SHA-256 of each file that a run recorded; None if damaged."""
    try:
        return " ".join(each["sha256"][:8] for each in files)
    except (TypeError, KeyError):
        return None


def result_row(result: RunResult) -> dict[str, Any]:
    """The columns of a result."""
    found, seconds = result.found, result.seconds
    row: dict[str, Any] = {
        "name": result.name,
        "mode": result.mode,
        "protocol": result.protocol,
        "seed": result.seed,
    }
    row = {name: value for name, value in row.items() if value is not None}
    row |= {
        "config_hash": result.config_hash,
        "metric": found.metric,
        "objective": found.objective,
        "parameters": found.parameters,
        "solver_order": found.solver_order,
        "epoch": found.reported.get("epoch"),
        "epoch_chosen_by": found.epoch_chosen_by,
        "epoch_phrase": found.epoch_phrase(),
        "not_finite": not_finite(found),
        "seconds": seconds and seconds.total,
        "seconds_per_step": seconds and seconds.per_step,
    }
    for name, part in (("hardware", result.hardware), ("trained", found.trained)):
        if part is not None:
            row |= {f"{name}.{key}": value for key, value in flat(vars(part))}
    if found.of_checkpoint is not None:
        row["trained.epoch"] = found.of_checkpoint.epoch
    row |= {f"choices.{group}": choice for group, choice in result.choices.items()}
    row |= {tag: value for tag, value in found.reported.items() if tag != "epoch"}
    return row | {f"last/{tag}": value for tag, value in found.metrics.items()}


def not_finite(found: Findings) -> str:
    """The tags of the reported numbers that are NaN or infinite."""
    return ", ".join(tag for tag, value in found.reported.items() if value - value != 0)


def lost_jobs(sweep: Path) -> Iterator[dict[str, Any]]:
    """Rows of the jobs that failed before they had a run folder."""
    for job in read_jobs(sweep):
        if job.reason is None:
            continue
        varied = job.varied
        row: dict[str, Any] = {
            "directory": str(sweep / Path(job.folder).name),
            "overrides": job.overrides,
            "status": "failed",
            "reason": job.reason,
            "choices.experiment": varied.get("experiment"),
        }
        if sweep.parent.parent.name == "sweeps":
            row["sweep"] = sweep.parent.name
        yield row | {"name": varied.get("name") or varied.get("experiment") or "?"}


def read_settings(directory: Path) -> dict[str, Any]:
    """The resolved settings by dotted name; empty when they cannot be read."""
    try:
        return dict(flat(read_config(directory)))
    except RecursionError:  # a node that contains itself
        return {}


def read_epochs(directory: Path | str) -> list[dict[str, float]]:
    """The complete lines of `metrics.jsonl`, one per epoch."""
    rows = []
    try:
        lines = read_file(Path(directory) / "metrics.jsonl").decode(errors="replace").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(
                {tag: value for tag, value in row.items() if isinstance(value, int | float)}
            )
    return rows


def flat(node: dict[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested settings with their dotted names."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
