"""Forecasts of the sample's new patients: the picture and the numbers of configs/README.md.

    python scripts/readme_own_data.py

Writes `outputs/reference/own_data/`: what `checkpoint=pretrained:csv_latent_ode` forecasts from
the first 24 hours of 20 patients, beside what was measured later.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from node_experiments import load
from node_experiments.chapters.irregular_series.user_tables.user_table import SAMPLES
from node_experiments.figures.style import COLORS, new_figure, style
from node_experiments.runner.loaded import LoadedRun
from node_experiments.tracking.records import run_info

OUT = Path(__file__).parent.parent / "outputs" / "reference" / "own_data"
FEATURES = {"hr": "heart rate", "bp": "blood pressure", "temp": "temperature"}
SHOWN = ("n05", "n12")
SEED, SAMPLES_DRAWN = 0, 200


def rmse(errors: pd.Series) -> float:
    """Root of the mean square, of what was measured."""
    return round(float(np.sqrt((errors**2).mean())), 4)


def main() -> None:
    """Forecast, compare, draw."""
    torch.set_num_threads(1)
    past = pd.read_csv(SAMPLES / "new_patients.csv")
    later = pd.read_csv(SAMPLES / "new_patients_later.csv")
    run = load("pretrained:csv_latent_ode", device="cpu")
    times = sorted(later["time"].unique())
    found = run.predict(past, times=times, samples=SAMPLES_DRAWN, seed=SEED)
    both = later.merge(found, on=["series", "time"], suffixes=("", "_forecast"))
    numbers = {}
    for name in FEATURES:
        groups = past.dropna(subset=[name]).groupby("series")[name]
        known = both[both[name].notna()]
        inside = known[name].between(known[f"{name}_q05"], known[f"{name}_q95"])
        numbers[name] = {
            "values": len(known),
            "rmse": rmse(both[name] - both[f"{name}_forecast"]),
            "rmse_last_value": rmse(both[name] - both["series"].map(groups.last())),
            "rmse_patients_mean": rmse(both[name] - both["series"].map(groups.mean())),
            "inside_90_percent_band": round(float(inside.mean()), 4),
        }
    OUT.mkdir(parents=True, exist_ok=True)
    info = run_info(SEED, "cpu")
    info["command"] = ["python", "scripts/readme_own_data.py"]
    trained = json.loads((run.folder / "run_info.json").read_text())
    content = {"beyond_24_hours": numbers, "trained": trained, "forecast": info}
    (OUT / "forecasts.json").write_text(json.dumps(content, indent=2) + "\n")
    draw(run, past, later)


def draw(run: LoadedRun, past: pd.DataFrame, later: pd.DataFrame) -> None:
    """Two patients: what the model sees, what it forecasts, and what came."""
    grid = np.arange(0, 48.1, 0.5).tolist()
    chosen = past[past["series"].isin(SHOWN)]
    found = run.predict(chosen, times=grid, samples=SAMPLES_DRAWN, seed=SEED)
    with style():
        figure = new_figure(8.0, 4.6)
        axes = figure.subplots(len(FEATURES), len(SHOWN), sharex=True)
        for column, series in enumerate(SHOWN):
            one, seen, came = (x[x["series"] == series] for x in (found, past, later))
            for axis, name in zip(axes[:, column], FEATURES, strict=True):
                axis.fill_between(
                    one["time"], one[f"{name}_q05"], one[f"{name}_q95"],
                    color=COLORS["blue"], alpha=0.2, lw=0, label="90 % band",
                )  # fmt: skip
                axis.plot(one["time"], one[name], color=COLORS["blue"], lw=1.2, label="forecast")
                axis.plot(seen["time"], seen[name], ".", color=COLORS["black"], label="seen")
                axis.plot(
                    came["time"], came[name], ".", color=COLORS["orange"], label="measured later"
                )
                axis.axvline(24, color="0.6", lw=0.8, ls=":")
            axes[0, column].set_title(f"patient {series}", fontsize=10)
            axes[-1, column].set_xlabel("time (h)")
        for axis, (name, words) in zip(axes[:, 0], FEATURES.items(), strict=True):
            axis.set_ylabel(f"{words}\n({name})", fontsize=9)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=9)
        figure.savefig(OUT / "forecast.png", dpi=110)


if __name__ == "__main__":
    main()
