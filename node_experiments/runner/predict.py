"""`mode=predict`: writes the predictions of a trained model to a file."""

from __future__ import annotations

import io
import itertools
import logging
import os
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import torch

from ..chapters import task_of
from ..chapters.chapter import Predictor, resolve
from ..chapters.prediction import Prediction, Request
from ..config import ConfigError, RunConfig
from ..config.run import PredictConfig
from ..data.table_file import read_table
from ..files import user_path, would_match, write_atomically
from ..runs.directory import folder_of_checkpoint
from ..runs.result import Findings, read_result
from ..training.random_state import seeded
from .data_files import resolved_dataset
from .messages import coverage_phrase
from .restore import Trained, rebuild
from .train import trainable_parameters

__all__ = ["answer", "check_predict", "parse_times", "predict", "predictor_of", "write_table"]

log = logging.getLogger(__name__)

OUT, LATENT = Path("predictions.csv"), Path("latent.csv")
MOST = 100_000  # times in a range
LARGEST = 1e300  # time: differences of two times stay finite


def predictor_of(config: RunConfig) -> Predictor:
    """The predictor for the model of a configuration.

    Raises:
        ConfigError: There is none.
    """
    predictor = task_of(config.model.name, config.dataset.name).predictor
    if predictor is None:
        raise ConfigError(
            f"model {config.model.name!r} on dataset {config.dataset.name!r} has nothing to "
            "predict: its chapter names no predictor; mode=eval tests it"
        )
    return predictor


def check_predict(config: RunConfig) -> None:
    """Reject settings of predictions that the model of the checkpoint cannot use.

    Raises:
        ConfigError: Such a setting was changed, the times cannot be read, or an output would
            overwrite another file of this command.
    """
    used, default = predictor_of(config).used_settings, PredictConfig()
    for each in fields(PredictConfig):
        name = each.name
        changed = getattr(config.predict, name) != getattr(default, name)
        if changed and name not in ("out", *used):
            raise ConfigError(
                f"predict.{name} means nothing for model {config.model.name!r} on dataset "
                f"{config.dataset.name!r}; it reads only {', '.join(('out', *used))}"
            )
    check_after_last(parse_times(config.predict.times), config.predict.after_last)
    check_rows(config.predict.rows, config.predict.times)
    check_outputs(config)


def check_outputs(config: RunConfig) -> None:
    """Check that no output overwrites an input or the other output.

    Raises:
        ConfigError: An output is the same file as an input, perhaps under another name, or as the
            other output; or an input is a pattern that it matches.
    """
    asked = config.predict
    column = str(asked.times).rpartition(":")[0]  # the file of file:column
    data = getattr(resolved_dataset(config), "path", None)
    inputs = (data, asked.points, asked.images, asked.rows, column)
    out = asked.out or OUT
    latent = Path(out).with_name(LATENT.name) if asked.latent is True else asked.latent
    if latent and os.path.abspath(str(latent)) == os.path.abspath(out):
        raise ConfigError(
            f"predict.out={out} and predict.latent are one file; name another one for the "
            "latent trajectories with predict.latent=<file>"
        )
    for name, output, typed in (("out", out, asked.out), ("latent", latent, asked.latent)):
        if not output:
            continue
        path = user_path(output)
        for each in map(user_path, filter(None, map(str, inputs))):
            if would_match(path, each):
                raise ConfigError(
                    f"{output} would be among the files that are read ({each}) by the next "
                    f"command; name another file with predict.{name}"
                )
            with suppress(OSError, ValueError):
                # A file with a name of ours is kept; see `unused`.
                if isinstance(typed, str) and path.samefile(each):
                    raise ConfigError(
                        f"predict.{name}={output} is among the files that are read ({each}), "
                        "and would be overwritten; name another file"
                    )


def predict(config: RunConfig, folder: Path, device: torch.device) -> Findings:
    """Write the predictions of the checkpoint's model, and a figure of the first of them.

    Raises:
        CheckpointError: The checkpoint cannot be read, or holds the weights of another model.
        DataError: The inputs cannot be read.
    """
    trained = rebuild(config, device, with_files=False)
    asked = config.predict
    given = asked.points or asked.images
    request = Request(
        inputs=None if given is None else user_path(given),
        times=parse_times(asked.times),
        samples=asked.samples,
        latent=asked.latent is not False,
        after_last=asked.after_last,
        rows=None if asked.rows is None else user_path(asked.rows),
    )
    found = answer(trained, request)
    out = unused(OUT) if asked.out is None else user_path(asked.out)
    write_table(found.table, out)
    log.info("%d rows for %s", len(found.table), found.description)
    after = "" if trained.epoch is None else f"after epoch {trained.epoch} "
    log.info("by the model %sin %s", after, trained.file)
    tested = read_result(folder_of_checkpoint(str(trained.file)))
    if tested is not None and (covers := coverage_phrase(tested.found)):
        log.info("on the test series of its run, the %s", covers.removeprefix(", "))
    if found.latent is not None:
        beside = out.with_name(LATENT.name) if asked.latent is True else user_path(asked.latent)
        beside = unused(beside) if asked.latent is True else beside
        write_table(found.latent, beside)
        log.info("latent trajectories: %s", beside)
    if found.figure is not None:
        (folder / "figures").mkdir(exist_ok=True)
        path = folder / "figures" / "prediction.png"
        found.figure().savefig(path)
        log.info("figure of the first of them: %s", path)
    return Findings(
        trained=trained.origin,
        parameters=trainable_parameters(trained.model),
        predictions=str(out),
    )


def answer(trained: Trained, request: Request, seed: int | None = None) -> Prediction:
    """Answer a request with a trained model.

    Args:
        seed: Seed of all draws; that of the configuration when None.
    """
    trained.model.eval()
    config = replace(trained.config, dataset=resolved_dataset(trained.config))
    trained = replace(trained, config=config)
    with torch.no_grad(), seeded(trained.config.seed if seed is None else seed, trained.device):
        found: Prediction = resolve(predictor_of(trained.config).run)(trained, request)
    return found


def check_after_last(times: Sequence[Any] | None, after_last: bool) -> None:
    """Check that `after_last` comes with times that can count from the last observations.

    Raises:
        ConfigError: There are no times, or they are not numbers.
    """
    if after_last and not (times and all(isinstance(time, int | float) for time in times)):
        raise ConfigError(
            "predict.after_last=true needs numbers in predict.times, such as 1:24:1; found "
            f"{times}"
        )


def check_rows(rows: Any, times: Any) -> None:
    """Check that the rows of a table are not requested together with other times.

    Raises:
        ConfigError: They are.
    """
    if rows is not None and times is not None:
        raise ConfigError(
            "predict.rows names the series and the time of each forecast, and predict.times the "
            "times of all series; leave out one of them"
        )


def parse_times(times: Any) -> list[Any] | None:
    """Parse `predict.times` into a list.

    Args:
        times: A number or a date, a list of them, `start:stop:step` with both ends included, or
            `file:column`, of which each distinct value is taken once.

    Raises:
        ConfigError: It is none of these.
        DataError: The file cannot be read.
    """
    if times is None:
        return None
    wanted = (
        f"predict.times={times!r} must be a list such as [30,36] or ['2024-03-31 12:00'], a range "
        "start:stop:step such as 24:48:1, or the column of a file such as times.csv:time"
    )
    if isinstance(times, str):
        with suppress(ValueError):
            times = [float(times)]
    if isinstance(times, str):
        file, _, column = times.rpartition(":")
        if user_path(file).is_file():
            return times_in(user_path(file), column)
        return range_of(times, wanted)
    if isinstance(times, int | float) and not isinstance(times, bool):
        times = [times]
    try:
        items = list(times)
    except TypeError:
        raise ConfigError(wanted) from None
    read = [isinstance(item, int | float | str) and not isinstance(item, bool) for item in items]
    if not items or not all(read):
        raise ConfigError(wanted)
    if not all(isinstance(item, str) or abs(item) < LARGEST for item in items):
        raise ConfigError(f"{wanted}; times must be finite")
    return items


def range_of(text: str, wanted: str) -> list[float]:
    """The times of `start:stop:step`, both ends included, computed in decimal arithmetic.

    >>> range_of("0:0.3:0.1", "")
    [0.0, 0.1, 0.2, 0.3]
    """
    parts = text.split(":")
    try:
        start, stop, step = (float(part) for part in parts)
        count = int(np.floor((stop - start) / step + 1e-9)) + 1
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        raise ConfigError(wanted) from error
    if not 1 <= count <= MOST:
        raise ConfigError(
            f"{wanted}; this range holds {max(count, 0)} times, allowed: 1 to {MOST}"
        )
    first, by = Decimal(parts[0].strip()), Decimal(parts[2].strip())
    return [float(first + by * n) for n in range(count)]


def times_in(path: Path, column: str) -> list[Any]:
    """The sorted distinct values of a column, as numbers if all of them are numbers."""
    table = read_table(path, single=True)
    names = [str(name) for name in table.rows.columns]
    if names.count(column) != 1:
        raise ConfigError(
            f"predict.times: {path} has no column {column!r}; found {', '.join(map(repr, names))}"
        )
    cells = table.rows.iloc[:, names.index(column)]
    cells = cells[cells.notna() & (cells.astype(str).str.strip() != "")]
    plain = cells.astype(str)
    plain = plain.str.replace(",", ".", regex=False) if table.decimal == "," else plain
    numbers = pd.to_numeric(plain, errors="coerce")
    found = cells.astype(str) if numbers.isna().any() else numbers
    if found.empty:
        raise ConfigError(f"predict.times: the column {column!r} of {path} is empty")
    return sorted(found.unique().tolist())


def unused(path: Path) -> Path:
    """The first of `name.csv`, `name-2.csv`, ... that does not exist; for unnamed outputs."""
    names = (path.with_stem(f"{path.stem}-{n}") for n in itertools.count(2))
    return next(each for each in itertools.chain([path], names) if not each.exists())


def save_arrays(file: IO[bytes], arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as `numpy.savez` does, whose arguments cannot have a name such as `file`."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table, whole or not at all, in the format of the path's suffix.

    Raises:
        ConfigError: The file cannot be written, or a package is missing.
    """
    content = io.BytesIO()
    if path.suffix == ".csv":
        table.to_csv(content, index=False)
    elif path.suffix == ".parquet":
        try:
            table.to_parquet(content, index=False)
        except ImportError as error:
            raise ConfigError(
                'parquet files need an extra: pip install "node-experiments[parquet]"'
            ) from error
    else:
        arrays = {str(name): table[name].to_numpy() for name in table.columns}
        words = {name: x.astype(str) for name, x in arrays.items() if x.dtype == object}
        save_arrays(content, arrays | words)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: file.write(content.getbuffer()))
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}; name another file with predict.out"
        ) from error
