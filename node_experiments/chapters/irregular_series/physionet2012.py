"""Intensive care records of the PhysioNet / Computing in Cardiology Challenge 2012.

The files are not shipped: `set-a` and `set-b` with one text file per patient, and the outcomes of
each set, `Outcomes-a.txt` and `Outcomes-b.txt`.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...data.cache import cache_folder, cached
from ...data.ragged import RaggedSeries, ragged
from ...data.scaling import Scaling
from ...data.splits import random_split
from ...errors import DataError
from ...files import user_path
from .binning import binned
from .forecast_data import ForecastData, forecast_data
from .settings import PhysioNet2012Config
from .text_archives import find_source, text_files, text_lines
from .time_unit import TimeUnit

__all__ = ["DESCRIPTORS", "PARAMETERS", "load_physionet", "physionet_data", "physionet_files"]

WHERE_FROM = "https://physionet.org/content/challenge-2012/1.0.0/"
NO_OUTCOMES = f"get it from {WHERE_FROM}, or read the sets that have one (dataset.sets=a)"
HOURS = 48.0

# Recorded once, at admission; the rest is measured repeatedly.
DESCRIPTORS = ("Age", "Gender", "Height", "ICUType")
NAMES = (
    "Weight Albumin ALP ALT AST Bilirubin BUN Cholesterol Creatinine DiasABP FiO2 GCS Glucose "
    "HCO3 HCT HR K Lactate Mg MAP MechVent Na NIDiasABP NIMAP NISysABP PaCO2 PaO2 pH Platelets "
    "RespRate SaO2 SysABP Temp TroponinI TroponinT Urine WBC"
)
MEASURED = tuple(NAMES.split())
PARAMETERS = (*DESCRIPTORS, *MEASURED)
NUMBER = {name: i for i, name in enumerate(PARAMETERS)}
TIME = re.compile(r"(\d+):([0-5]\d)")


class Readings(NamedTuple):
    """All readings of all patients, in the order of the files."""

    patients: list[str]
    patient: list[int]
    minute: list[int]
    parameter: list[int]
    value: list[float]


def physionet_data(
    settings: PhysioNet2012Config, seed: int = 0, device: torch.device | None = None
) -> ForecastData:
    """Parameters measured in the patients' first 48 hours; 80 % of the patients are for training.

    Variant `paper`: times are divided by 48 hours, and the scaling is learned from the training
    patients. Variant `official_code`: times of a batch are divided by the last one, and the
    scaling is learned from all patients; for classification the official code reads only set `a`
    (`dataset.sets=a`). See also `load_physionet`.

    Raises:
        DataError: A file is missing or truncated, or one of its lines is malformed.
    """
    official = settings.variant == "official_code"
    series = load_physionet(
        folder_of(settings),
        settings.sets,
        settings.bin_hours,
        official,
        need_labels=settings.task == "classification",
    )
    split = random_split(len(series), settings.validation_size, settings.split_seed)
    scale = Scaling.fit(series if official else series.take(split.train), settings.scaling)
    return forecast_data(
        split.of(scale(series)),
        settings,
        seed,
        device,
        classes=2,
        normalise_times_per_batch=official,
        features=PARAMETERS if official else MEASURED,
        time_unit=TimeUnit("h", HOURS),
        scaling=scale,
    )


def folder_of(settings: PhysioNet2012Config) -> Path:
    """Folder of the files."""
    return user_path(settings.root) if settings.root else cache_folder() / "physionet2012"


def physionet_files(settings: PhysioNet2012Config) -> list[Path]:
    """Paths that a run reads: the folder or archive of each set, and its outcomes if present."""
    root, found = folder_of(settings), []
    for letter in settings.sets:
        with suppress(DataError):
            found.append(find_source(root, f"set-{letter}", WHERE_FROM))
        found += [path for path in [root / f"Outcomes-{letter}.txt"] if path.exists()]
    return found


def load_physionet(
    root: Path, sets: str, bin_hours: float, official: bool, need_labels: bool
) -> RaggedSeries:
    """Patients in the order of their numbers, with in-hospital death as label.

    Args:
        official: Whether to read all 41 parameters, -1 as a value like any other, times in hours,
            and a point at time 0 for everybody. Otherwise 37 parameters are read, -1 means
            missing, times are in units of 48 hours, and patients without a measurement are left
            out.
        need_labels: Whether to reject a patient without an outcome; otherwise its label is -1.
    """
    parts, labels = [], []
    for letter in sets:
        source = find_source(root, f"set-{letter}", WHERE_FROM)
        key = hashlib.sha256(f"{source.resolve()} {stamp(source)} {bin_hours} {official}".encode())
        path = cache_folder() / "physionet2012" / f"set-{letter}_{key.hexdigest()[:16]}.pt"
        tensors = cached(path, partial(points_of, source, bin_hours, official))
        parts.append(tensors)
        outcomes = root / f"Outcomes-{letter}.txt"
        known = read_outcomes(outcomes) if need_labels or outcomes.exists() else {}
        patients = [str(number) for number in tensors["patients"].tolist()]
        missing = [patient for patient in patients if patient not in known]
        if need_labels and missing:
            raise DataError(
                f"{outcomes} has no line for patient {missing[0]} of {source} (and "
                f"{len(missing) - 1} others); get it again from {WHERE_FROM}, or use another task"
            )
        labels += [known.get(patient, -1) for patient in patients]

    def joined(name: str) -> Tensor:
        return torch.cat([part[name] for part in parts])

    label = torch.tensor(labels)
    return ragged(
        joined("times"), joined("values"), joined("lengths"), joined("mask"), label, "series"
    )


def stamp(source: Path) -> str:
    """Hash that changes when a file or a folder is replaced."""
    files = sorted(source.glob("*.txt")) if source.is_dir() else [source]
    stats = ((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    return hashlib.sha256(repr(list(stats)).encode()).hexdigest()


def points_of(source: Path, bin_hours: float, official: bool) -> dict[str, Tensor]:
    """Points of all patients that have any, concatenated, and the number of points of each."""
    readings = read_set(source)
    patient, parameter = np.array(readings.patient, dtype=np.int64), np.array(readings.parameter)
    value = np.array(readings.value, dtype=np.float64)
    bins = np.round(np.array(readings.minute) / 60 / bin_hours)
    empty = None
    if official:
        everybody = np.arange(len(readings.patients))
        empty = np.stack([everybody, np.zeros_like(everybody)], 1)
        dim = len(PARAMETERS)
    else:
        kept = (parameter >= len(DESCRIPTORS)) & (value != -1)
        patient, bins, value = patient[kept], bins[kept], value[kept]
        parameter, dim = parameter[kept] - len(DESCRIPTORS), len(MEASURED)
    number, bin_, values, mask = binned(
        patient, bins, parameter.astype(np.int64), value, dim, empty
    )
    lengths = torch.bincount(number, minlength=len(readings.patients))
    measured = lengths > 0
    times = bin_ * bin_hours
    return {
        "times": (times if official else times / HOURS).float(),
        "values": values.float(),
        "mask": mask,
        "lengths": lengths[measured],
        "patients": torch.tensor([int(name) for name in readings.patients])[measured],
    }


def read_set(source: Path) -> Readings:
    """All records of a set."""
    readings = Readings([], [], [], [], [])
    for where, text in text_files(source):
        name = re.split(r"[/:]", where)[-1].removesuffix(".txt")
        if not name.isdigit():
            raise DataError(f"{where} is not named after a patient's number, as in 132539.txt")
        readings.patients.append(name)
        read_record(where, text, len(readings.patients) - 1, readings)
    return readings


def read_record(where: str, text: str, patient: int, readings: Readings) -> None:
    """Add the readings of one patient; a header line may be missing.

    Raises:
        DataError: A line is not `hh:mm,parameter,value`, or times are out of order.
    """
    latest = 0
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.split(",")]
        if not line.strip() or (number == 1 and cells[0] == "Time"):
            continue
        at = f"{where}, line {number}"
        if len(cells) != 3:
            raise DataError(f"{at}: a line is hh:mm,parameter,value; found {line[:60]!r}")
        time, parameter, value = cells
        clock = TIME.fullmatch(time)
        if clock is None:
            raise DataError(f"{at}: a time is hh:mm; found {time[:20]!r}")
        minute = 60 * int(clock[1]) + int(clock[2])
        if minute < latest:
            raise DataError(f"{at}: the time {time} comes after a later one; sort the lines")
        latest = minute
        # Some published lines have lost the name of the parameter.
        if parameter in ("RecordID", ""):
            continue
        if parameter not in NUMBER:
            raise DataError(
                f"{at}: the parameter {parameter[:20]!r} is not one of the challenge's"
            )
        try:
            reading = float(value)
        except ValueError as error:
            raise DataError(f"{at}: the value {value[:20]!r} is not a number") from error
        if not np.isfinite(reading):
            raise DataError(f"{at}: the value {value[:20]!r} is not finite")
        readings.patient.append(patient)
        readings.minute.append(minute)
        readings.parameter.append(NUMBER[parameter])
        readings.value.append(reading)


def read_outcomes(path: Path) -> dict[str, int]:
    """In-hospital death of each patient, 0 or 1; a header line may be missing.

    Raises:
        DataError: The file is missing, a line does not have six columns ending in 0 or 1, or a
            patient has two lines.
    """
    outcomes = {}
    for number, line in text_lines(path, NO_OUTCOMES):
        cells = [cell.strip() for cell in line.split(",")]
        if number == 1 and cells[0] == "RecordID":
            continue
        if len(cells) != 6 or not cells[0].isdigit() or cells[5] not in ("0", "1"):
            raise DataError(
                f"{path}, line {number}: a line is RecordID,SAPS-I,SOFA,Length_of_stay,Survival,"
                f"In-hospital_death, the last 0 or 1; found {line[:60]!r}"
            )
        if cells[0] in outcomes:
            raise DataError(
                f"{path}, line {number}: patient {cells[0]} has another line before; remove one"
            )
        outcomes[cells[0]] = int(cells[5])
    return outcomes
