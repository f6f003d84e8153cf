"""Positions of four tags on moving people, UCI "Localization Data for Person Activity".

The file is not shipped: `ConfLongDemo_JSI.txt`, five people with five recordings each.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ...data.cache import cache_folder
from ...data.ragged import RaggedSeries, ragged
from ...data.scaling import Scaling
from ...data.splits import Split, group_split, random_split
from ...errors import DataError
from ...files import user_path
from .binning import binned
from .forecast_data import ForecastData, forecast_data
from .settings import HumanActivityConfig
from .text_archives import text_lines
from .time_unit import TimeUnit

__all__ = ["CLASSES", "human_activity_data", "human_activity_files", "load_human_activity"]

FILE = "ConfLongDemo_JSI.txt"
WHERE_FROM = (
    "get it from https://archive.ics.uci.edu/dataset/196/localization+data+for+person+activity"
)
WORN_AT = {
    "010-000-024-033": "left ankle",
    "010-000-030-096": "right ankle",
    "020-000-033-111": "chest",
    "020-000-032-221": "belt",
}
TAGS = {tag: number for number, tag in enumerate(WORN_AT)}
FEATURES = tuple(f"{place} {axis}" for place in WORN_AT.values() for axis in "xyz")
# Eleven published activities, merged to seven (Rubanova, Chen & Duvenaud 2019).
CLASSES = {
    "walking": 0,
    "falling": 1,
    "lying": 2,
    "lying down": 2,
    "sitting": 3,
    "sitting down": 3,
    "standing up from lying": 4,
    "standing up from sitting": 4,
    "standing up from sit on grnd": 4,
    "on all fours": 5,
    "sitting on the ground": 6,
}
TICKS = 10_000_000  # of the published clock, per second
BIN_TICKS = TICKS // 100  # official_code, whose comment says 100 ms


def human_activity_data(
    settings: HumanActivityConfig, seed: int = 0, device: torch.device | None = None
) -> ForecastData:
    """Windows of the recordings, with an activity label at every time.

    Variant `paper`: times are in seconds, and no person (or recording) is in two parts. Variant
    `official_code`: overlapping windows are split at random and then resampled with replacement,
    which leaks; times of a batch are divided by the last one, and `split` is not read.

    Raises:
        DataError: The file is missing, or one of its lines is malformed.
    """
    official = settings.variant == "official_code"
    series, recordings = load_human_activity(
        file_of(settings), settings.window, settings.stride, official
    )
    if official:
        parts = random_split(len(series), settings.validation_size, settings.split_seed)
        draw = np.random.RandomState(seed)
        parts = Split(*(part[draw.randint(0, max(len(part), 1), len(part))] for part in parts))
    else:
        groups = [name[0] if settings.split == "person" else name for name in recordings]
        parts = group_split(groups, settings.validation_size, settings.split_seed)
    scale = Scaling.fit(series.take(parts.train), settings.scaling)
    return forecast_data(
        parts.of(scale(series)),
        settings,
        seed,
        device,
        classes=11 if official else 7,  # their labels have 11 columns, of which 7 are used
        normalise_times_per_batch=official,
        features=FEATURES,
        time_unit=TimeUnit("s"),
        scaling=scale,
    )


def file_of(settings: HumanActivityConfig) -> Path:
    """Path of the recordings."""
    root = settings.root
    return (user_path(root) if root else cache_folder() / "human_activity") / FILE


def human_activity_files(settings: HumanActivityConfig) -> list[Path]:
    """Files that a run reads."""
    return [file_of(settings)]


def load_human_activity(
    path: Path, window: int, stride: int, official: bool
) -> tuple[RaggedSeries, list[str]]:
    """Windows of all recordings and, for each, the name of its recording, such as A01.

    Readings within 10 ms form one point of 4 tags x 3 coordinates. Times are seconds from the
    start of a window; for the official code, bins of 10 ms.

    Args:
        official: Count times in bins, and leave out a window that ends with the recording.

    Raises:
        DataError: As in `human_activity_data`.
    """
    recordings: dict[str, int] = {}
    rows: list[tuple[int, int, int, float, float, float, int]] = []
    for number, line in text_lines(path, f"{WHERE_FROM} and put it there, or set dataset.root"):
        rows.append(reading(f"{path}, line {number}", line, recordings))
    if not rows:
        raise DataError(f"{path} has no line; {WHERE_FROM}")
    recording = np.array([row[0] for row in rows])
    ticks = np.array([row[1] for row in rows], dtype=np.int64)
    tag = np.array([row[2] for row in rows])
    values = np.array([row[3:6] for row in rows])
    # The clock starts with the first line of each recording.
    _, first = np.unique(recording, return_index=True)
    bins = np.round((ticks - ticks[first][recording]) / BIN_TICKS).astype(np.int64)
    of, bin_, means, seen = binned(recording, bins, tag, values, 12)
    # Of several activities in a bin, the lowest number counts, as in the official code.
    pairs = np.stack([recording, bins], 1)
    _, place = np.unique(pairs, axis=0, return_inverse=True)
    label = np.full(len(of), len(CLASSES))
    np.minimum.at(label, place.reshape(-1), np.array([row[6] for row in rows]))

    lengths = torch.bincount(of)
    ends = lengths.cumsum(0)
    chosen, names = [], []
    for name, end, length in zip(recordings, ends.tolist(), lengths.tolist(), strict=True):
        starts = range(end - length, end - window + (0 if official else 1), stride)
        chosen += [torch.arange(start, start + window) for start in starts]
        names += [name] * len(starts)
    if not chosen:
        raise DataError(
            f"{path}: no recording has {window} time points; lower dataset.window, or get the "
            "whole file again"
        )
    points = torch.stack(chosen)
    times = (bin_[points] - bin_[points[:, :1]]).double()
    points = points.view(-1)
    series = ragged(
        (times if official else times * (BIN_TICKS / TICKS)).view(-1),
        means[points],
        torch.full((len(names),), window),
        seen[points],
        torch.from_numpy(label)[points],
        "time",
    )
    return series, names


def reading(
    at: str, line: str, recordings: dict[str, int]
) -> tuple[int, int, int, float, float, float, int]:
    """Parse one line into recording, ticks, tag, x, y, z (in metres) and activity."""
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) != 8:
        raise DataError(
            f"{at}: a line is recording,tag,ticks,date,x,y,z,activity; found {line[:60]!r}"
        )
    name, tag, ticks, _, x, y, z, activity = cells
    if tag not in TAGS:
        raise DataError(f"{at}: the tag {tag[:20]!r} is none of {', '.join(TAGS)}")
    if activity not in CLASSES:
        found = repr(activity[:30]) if activity else "none"
        raise DataError(f"{at}: the activity is one of {', '.join(CLASSES)}; found {found}")
    try:
        position = float(x), float(y), float(z)
        time = int(ticks)
    except ValueError as error:
        raise DataError(f"{at}: {error}") from error
    number = recordings.setdefault(name, len(recordings))
    return (number, time, TAGS[tag], *position, CLASSES[activity])
