"""Utterances of two vowels by nine speakers, shipped with the package (Kudo et al. 1999)."""

from __future__ import annotations

import gzip
from pathlib import Path

import torch

from ...data.ragged import RaggedSeries, ragged
from ...data.scaling import Scaling
from ...data.shipped_files import shipped_file
from ...errors import DataError
from .forecast_data import ForecastData, forecast_data
from .settings import JapaneseVowelsConfig
from .time_unit import TimeUnit

__all__ = ["japanese_vowels_data", "parse_ts"]

PACKED = Path(__file__).parent / "japanese_vowels_files"
LONGEST = 29  # frames of the longest utterance
FEATURES = tuple(f"LPC cepstrum {i}" for i in range(1, 13))


def japanese_vowels_data(
    settings: JapaneseVowelsConfig, seed: int = 0, device: torch.device | None = None
) -> ForecastData:
    """The published 270 training and 370 test utterances, 12 channels, 7 to 29 frames.

    Raises:
        DataError: A shipped file is damaged.
    """
    validation_size, dropped = settings.validation_size, settings.dropped
    published, classes = shipped("JapaneseVowels_TRAIN.ts.gz")
    test, _ = shipped("JapaneseVowels_TEST.ts.gz")
    generator = torch.Generator().manual_seed(settings.split_seed)
    order = torch.randperm(len(published), generator=generator)
    if validation_size >= len(published):
        raise DataError(
            f"dataset.validation_size={validation_size} leaves none of the {len(published)} "
            "training utterances; lower it"
        )
    parts = [
        published.take(order[validation_size:]),
        published.take(order[:validation_size]),
        test,
    ]
    if dropped:
        drop = torch.Generator().manual_seed(seed)
        parts = [
            part.draw(((1 - dropped) * part.lengths).round().long().clamp(min=1), drop)
            for part in parts
        ]
    scale = Scaling.fit(parts[0], settings.scaling)
    train, validation, test = (scale(part) for part in parts)
    return forecast_data(
        (train, validation, test),
        settings,
        seed,
        device,
        classes=len(classes),
        features=FEATURES,
        time_unit=TimeUnit("frames", LONGEST - 1),
        scaling=scale,
    )


def shipped(name: str) -> tuple[RaggedSeries, list[str]]:
    """Read a file of the package, after a check of its hash."""
    path = shipped_file(PACKED, name)
    return parse_ts(gzip.decompress(path.read_bytes()).decode(), str(path))


def parse_ts(text: str, where: str) -> tuple[RaggedSeries, list[str]]:
    """Parse the `.ts` text format: channels separated by colons, the class after the last colon.

    Frame k of a series, from 0, has the time k / 28.

    Returns:
        The series, and the names of the classes.

    Raises:
        DataError: A header or a line is malformed.
    """
    names: list[str] = []
    channels, values, lengths, label = 0, [], [], []
    in_data = False
    for number, line in enumerate(text.splitlines(), 1):
        at, line = f"{where}, line {number}", line.strip()
        if not line or line.startswith("#"):
            continue
        if not in_data:
            key, *words = line.split()
            if key.lower() == "@classlabel":
                names = words[1:]
            elif key.lower() == "@dimensions":
                channels = int(words[0])
            elif not key.startswith("@"):
                raise DataError(f"{at}: a header line begins with @; found {line[:30]!r}")
            in_data = key.lower() == "@data"
            if in_data and not names:
                raise DataError(f"{at}: @data begins, but no @classLabel line named the classes")
            continue
        *rows, name = line.split(":")
        if name not in names:
            raise DataError(f"{at}: the class {name[:30]!r} is none of {', '.join(names)}")
        if channels and len(rows) != channels:
            raise DataError(f"{at}: {len(rows)} channels; @dimensions says {channels}")
        try:
            series = [[float(number) for number in row.split(",")] for row in rows]
        except ValueError as error:
            raise DataError(f"{at}: {error}") from error
        if len({len(row) for row in series}) != 1:
            raise DataError(f"{at}: the channels have unequal lengths; is the line cut off?")
        values.append(torch.tensor(series).T)
        lengths.append(len(series[0]))
        label.append(names.index(name))
    if not lengths:
        raise DataError(f"{where} has no series after its header; is it cut off?")
    times = torch.cat([torch.arange(length) for length in lengths]) / (LONGEST - 1)
    counts = torch.tensor(lengths)
    return ragged(times, torch.cat(values), counts, None, torch.tensor(label), "series"), names
