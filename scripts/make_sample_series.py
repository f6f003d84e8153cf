"""Write the sample series that the package ships: `node-run dataset=csv --sample` prints them.

    python scripts/make_sample_series.py node_experiments/chapters/irregular_series/sample_files

Synthetic: heart rate and blood pressure are two coupled, damped oscillators around a level of each
patient, x'' = -w^2 x - 2 c x' + k (y - x) and the same of y, solved by their normal modes; the
temperature follows the heart rate by two hours. Each is measured with noise, some 24 times in
48 hours, and some of the measurements are missing. Who is damped strongly recovers.
"""

from __future__ import annotations

import csv
import math
import random
import sys
from collections.abc import Iterable
from pathlib import Path

SEED = 1
HOURS = 48.0
PATIENTS, NEW = 160, 20
MODES = (18.0, 11.0)  # periods in hours: both in phase, and in antiphase
AMPLITUDES = (14.0, 6.0)
NOISE = {"hr": 1.5, "bp": 2.0, "temp": 0.08}  # standard deviations
MISSING = {"hr": 0.1, "bp": 0.3, "temp": 0.5}
LAG = 2.0
HEADER = ["series", "time", "hr", "bp", "temp", "outcome"]

Row = list[str]


def patient(draw: random.Random, name: str) -> list[Row]:
    """The rows of one patient, in the order of their times."""
    recovers = draw.random() < 0.5
    damping = 1 / (20.0 if recovers else 80.0)
    level_hr, level_bp = draw.gauss(82, 8), draw.gauss(125, 9)
    modes = [
        (draw.uniform(0.5, 1.0) * amplitude, draw.uniform(0, 2 * math.pi))
        for amplitude in AMPLITUDES
    ]

    def mode(number: int, t: float) -> float:
        amplitude, phase = modes[number]
        return (
            amplitude * math.exp(-damping * t) * math.sin(2 * math.pi * t / MODES[number] + phase)
        )

    def clean(feature: str, t: float) -> float:
        if feature == "temp":
            return 37.0 + 0.05 * (mode(0, t - LAG) + mode(1, t - LAG))
        sign = 1 if feature == "hr" else -1
        return (level_hr if feature == "hr" else level_bp) + mode(0, t) + sign * mode(1, t)

    rows = []
    for t in sorted({round(draw.uniform(0, HOURS), 2) for _ in range(draw.randint(16, 32))}):
        cells = []
        for feature, noise in NOISE.items():
            value = clean(feature, t) + draw.gauss(0, noise)
            digits = 2 if feature == "temp" else 1
            cells.append("" if draw.random() < MISSING[feature] else f"{value:.{digits}f}")
        if any(cells):
            rows.append([name, f"{t:.2f}", *cells, "recovered" if recovers else "relapsed"])
    return rows


def write(path: Path, rows: Iterable[Row], columns: int = len(HEADER)) -> None:
    """Write the first columns of rows below their names."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER[:columns])
        writer.writerows(row[:columns] for row in rows)


def main(folder: Path) -> None:
    """Write all files; the same on every machine."""
    draw = random.Random(SEED)
    write(
        folder / "patients.csv", (r for n in range(PATIENTS) for r in patient(draw, f"p{n:03d}"))
    )
    new = [row for n in range(NEW) for row in patient(draw, f"n{n:02d}")]
    write(folder / "new_patients.csv", (row for row in new if float(row[1]) <= HOURS / 2), -1)
    write(folder / "new_patients_later.csv", (row for row in new if float(row[1]) > HOURS / 2), -1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
