"""Table 2 of Chen et al. 2018 beside ours: forecasts of spirals beyond the observed range.

python -m node_experiments.reports.table2 outputs/sweeps/table2
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

__all__ = ["PAPER", "collect", "table2"]

COUNTS = (30, 50, 100)
PAPER = {
    "rnn": dict(zip(COUNTS, (0.3937, 0.3202, 0.1813), strict=True)),
    "latent_ode": dict(zip(COUNTS, (0.1642, 0.1502, 0.1346), strict=True)),
}

# Label, model, metric; the paper has one row for both recurrent networks.
ROWS = (
    ("RNN, forecast from target to target", "rnn", "rmse_target"),
    ("RNN with time gaps, from target to target", "rnn_dt", "rmse_target"),
    ("RNN, in steps of the mean gap", "rnn", "rmse_mean_gap"),
    ("RNN with time gaps, in steps of the mean gap", "rnn_dt", "rmse_mean_gap"),
    ("latent ODE", "latent_ode", "rmse"),
)
DETAILS = {
    "rmse": "clean",
    "rmse_noisy": "noisy",
    "rmse_median": "median series",
    "rmse_hold_last": "last point repeated",
    "coverage_90": "inside the 90 % band",
}
MODELS = {"rnn": "RNN", "rnn_dt": "RNN with time gaps", "latent_ode": "latent ODE"}

Cells = dict[tuple[str, int], list[dict[str, float]]]


def table2(folder: Path) -> str:
    """Markdown from all completed runs below a folder."""
    cells = collect(folder)
    lines = [
        "RMSE on the 100 points beyond the observed range, against the curve without noise; mean "
        "and standard deviation over seeds (number of seeds). The checkpoint is the best on the "
        "validation series.",
        "",
        "| observations | " + " | ".join(f"{count}/100" for count in COUNTS) + " |",
        "| --- |" + " ---: |" * len(COUNTS),
        paper_row("paper: RNN", "rnn"),
        *(row(label, model, metric, cells) for label, model, metric in ROWS[:4]),
        paper_row("paper: latent ODE", "latent_ode"),
        row(*ROWS[4], cells),
        "",
        "Other measures of the same runs, the RNNs in steps of the mean gap:",
        "",
        "| model | observations | " + " | ".join(DETAILS.values()) + " | seconds a run |",
        "| --- | ---: |" + " ---: |" * (len(DETAILS) + 1),
    ]
    for model, label in MODELS.items():
        for count in COUNTS:
            runs = cells.get((model, count), [])
            values = [spread([run[m] for run in runs if m in run], count=False) for m in DETAILS]
            seconds = spread([run["seconds"] for run in runs], count=False, digits=0)
            lines.append(f"| {label} | {count} | " + " | ".join([*values, seconds]) + " |")
    return "\n".join(lines) + "\n"


def collect(folder: Path) -> Cells:
    """Test metrics of the completed runs below a folder, by model and number of observations."""
    cells: Cells = defaultdict(list)
    for path in sorted(folder.rglob("result.json")):
        result, config = read(path)
        if (
            result.get("status") != "completed"
            or config.get("dataset", {}).get("name") != "spirals"
        ):
            continue
        metrics = result.get("best") or result["metrics"]
        values = {
            tag.removesuffix("/test"): value
            for tag, value in metrics.items()
            if tag.endswith("/test") and value is not None
        }
        key = config["model"]["name"], config["dataset"]["observations"]
        cells[key].append({**values, "seconds": result["seconds"]["total"]})
    return cells


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The result and the configuration of a run; empty where they cannot be read."""
    try:
        config = yaml.safe_load((path.parent / "config.yaml").read_text())
        return json.loads(path.read_text()), config if isinstance(config, dict) else {}
    except (OSError, ValueError, yaml.YAMLError):
        return {}, {}


def paper_row(label: str, model: str) -> str:
    """What the paper prints."""
    return f"| {label} | " + " | ".join(f"{PAPER[model][count]:.4f}" for count in COUNTS) + " |"


def row(label: str, model: str, metric: str, cells: Cells) -> str:
    """Ours."""
    found = [[run[metric] for run in cells.get((model, n), []) if metric in run] for n in COUNTS]
    return f"| {label} | " + " | ".join(map(spread, found)) + " |"


def spread(values: Iterable[float], count: bool = True, digits: int = 3) -> str:
    """Mean and standard deviation, and how many there were."""
    values = list(values)
    if not values:
        return "-"
    text = f"{statistics.mean(values):.{digits}f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values):.{digits}f}"
    return f"{text} ({len(values)})" if count else text


if __name__ == "__main__":
    print(table2(Path(sys.argv[1])), end="")
