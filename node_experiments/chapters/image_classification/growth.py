"""Growth of memory and time with depth: exponents fitted to measurements."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...reports.table import Cell, ReportTable
from ...runs.directory import read_json

__all__ = ["Growth", "exponent", "growth_table", "read_growth"]

LABELS = {
    "resnet": "ResNet",
    "revnet": "RevNet",
    "backprop": "ODE block, backprop (RK-Net)",
    "discrete": "ODE block, discrete",
    "adjoint": "ODE block, adjoint (ODE-Net)",
}


@dataclass
class Growth:
    """Measurements of one network at several depths.

    Attributes:
        images: Number of images in the measured batch.
        depth: Blocks L, or evaluations L̃ of the forward solve.
        blocks: Whether depth counts blocks.
        saved_bytes: Memory kept between the forward and the backward pass, at each depth.
        seconds: Time of the forward and the backward pass together, at each depth.
    """

    label: str
    images: int
    blocks: bool
    depth: list[int]
    saved_bytes: list[int]
    seconds: list[float]

    @property
    def memory(self) -> str:
        """The power of depth fitted to the saved memory."""
        return self._power(self.saved_bytes)

    @property
    def time(self) -> str:
        """The power of depth fitted to the time."""
        return self._power(self.seconds)

    def _power(self, values: Sequence[float]) -> str:
        # Adding 0.0 turns -0.00 into 0.00.
        return f"{'L' if self.blocks else 'L̃'}^{round(exponent(self.depth, values), 2) + 0.0:.2f}"


def exponent(xs: Sequence[float], ys: Sequence[float]) -> float:
    """The power p of the least-squares fit of y = c x^p in logarithms."""
    return statistics.linear_regression(list(map(math.log, xs)), list(map(math.log, ys))).slope


def read_growth(folder: Path) -> dict[str, Growth]:
    """The measurements below a folder, by name of the network; empty if there are none."""
    for path in sorted(folder.rglob("complexity.json")):
        content = read_json(path)
        networks: dict[str, Any] = content.get("networks", {})
        try:
            return {
                name: Growth(
                    LABELS[name],
                    content["state"][0],
                    "blocks" in each,
                    each["blocks"] if "blocks" in each else each["evaluations"],
                    each["saved_bytes"],
                    each["seconds"],
                )
                for name, each in networks.items()
            }
        except (AttributeError, KeyError, TypeError, IndexError):
            continue  # damaged, or written by another program
    return {}


def growth_table(growth: dict[str, Growth]) -> ReportTable:
    """A table with the range of each measurement, and its exponents."""
    rows = []
    for each in growth.values():
        unit = "blocks" if each.blocks else "evaluations"
        megabytes = [value / 1e6 for value in each.saved_bytes]
        rows.append(
            [
                each.label,
                f"{each.depth[0]} to {each.depth[-1]} {unit}",
                span(megabytes, ".1f"),
                span(each.seconds, ".3f"),
                each.memory,
                each.time,
            ]
        )
    images = next(iter(growth.values())).images
    return ReportTable.of(
        "Growth with depth",
        [
            "block",
            "depth",
            "saved for backward, MB",
            "forward + backward, s",
            "memory",
            "time",
        ],
        rows,
        caption=f"Growth with depth, of the feature block alone on {images} images: L blocks, or "
        "L̃ evaluations of a forward solve with lower and lower tolerances. Exponents are slopes "
        "of log-log fits; seconds are those of one thread "
        "(`python scripts/measure_complexity.py`).",
    )


def span(values: Sequence[float], form: str) -> Cell:
    """A cell with the first and the last value."""
    first, last = values[0], values[-1]
    return Cell(f"{first:{form}} to {last:{form}}", {"shallowest": first, "deepest": last})
