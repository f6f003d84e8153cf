"""Writes the section on speed from the results of `benchmark_training.py`.

python scripts/readme_performance.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from documents import PERFORMANCE, ROOT, linked_from
from performance.learning import learning
from performance.milliseconds import performance
from performance.sizes import data_parallel, scaling

RESULTS = ROOT / "outputs" / "reference" / "training_speed"
BLOCK = re.compile(r"<!-- performance -->\n.*?<!-- /performance -->", re.DOTALL)


def section(results: Path = RESULTS) -> str:
    """The block between its markers; empty where nothing was measured yet."""
    speed, sizes, runs, devices = (
        json.loads((results / name).read_text()) if (results / name).is_file() else None
        for name in (
            "training_speed.json",
            "scaling.json",
            "accuracy.json",
            "devices.json",
        )
    )
    text = performance(speed) if speed else ""
    if runs:
        text += learning(runs)
    if sizes:
        text += scaling(sizes)
    if devices:
        text += data_parallel(devices)
    return f"<!-- performance -->\n{text}<!-- /performance -->"


if __name__ == "__main__":
    block = linked_from(PERFORMANCE, section())
    PERFORMANCE.write_text(BLOCK.sub(lambda match: block, PERFORMANCE.read_text()))
