"""Tables of Rubanova, Chen & Duvenaud 2019 beside ours, and that of a dataset of our own."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ...runs.run import find_runs
from ..latent_ode.table2 import spread

__all__ = ["IRREGULAR_TABLES"]

SHARES = (0.1, 0.2, 0.3, 0.5)
DROPPED = (0.0, 0.3, 0.5, 0.7)

MODELS = {
    "irregular_rnn_dt": "RNN with time gaps",
    "gru_d": "GRU-D",
    "ode_rnn": "ODE-RNN",
    "rnn_vae": "RNN-VAE",
    "irregular_latent_ode/rnn": "latent ODE, RNN encoder",
    "irregular_latent_ode": "latent ODE, ODE encoder",
}

# Mean squared errors as published, at SHARES of observed points.
HOPPER = {
    "interpolation": {
        "irregular_rnn_dt": (2.454, 1.714, 1.250, 0.785),
        "gru_d": (1.968, 1.421, 1.134, 0.748),
        "ode_rnn": (1.647, 1.209, 0.986, 0.665),
        "rnn_vae": (6.514, 6.408, 6.305, 6.100),
        "irregular_latent_ode/rnn": (2.477, 0.578, 2.768, 0.447),
        "irregular_latent_ode": (0.360, 0.295, 0.300, 0.285),
    },
    "extrapolation": {
        "irregular_rnn_dt": (7.259, 6.792, 6.594, 30.571),
        "gru_d": (38.130, 20.041, 13.049, 5.833),
        "ode_rnn": (13.508, 31.950, 15.465, 26.463),
        "rnn_vae": (2.378, 2.135, 2.021, 1.782),
        "irregular_latent_ode/rnn": (1.663, 1.653, 1.485, 1.377),
        "irregular_latent_ode": (1.441, 1.400, 1.175, 1.258),
    },
}
PERIODIC = {
    "interpolation": {
        "irregular_rnn_dt": (6.081, 4.680, 5.822, 4.116),
        "gru_d": (235.628, 5.997, 4.832, 4.116),
        "ode_rnn": (5.150, 3.211, 2.643, 1.666),
        "rnn_vae": (7.352, 7.346, 7.323, 7.304),
        "irregular_latent_ode/rnn": (6.860, 6.764, 2.754, 5.721),
        "irregular_latent_ode": (7.133, 3.144, 5.354, 1.717),
    },
    "extrapolation": {
        "irregular_rnn_dt": (6.172, 6.115, 6.891, 5.617),
        "gru_d": (6.095, 7.212, 6.541, 5.049),
        "ode_rnn": (6.592, 4.774, 10.940, 8.000),
        "rnn_vae": (20.107, 3.710, 7.281, 2.871),
        "irregular_latent_ode/rnn": (4.920, 4.807, 1.788, 2.703),
        "irregular_latent_ode": (5.313, 4.427, 3.572, 1.388),
    },
}

Cells = dict[tuple[str, float], list[dict[str, Any]]]


def collect(folder: Path, dataset: str, task: str, setting: str) -> Cells:
    """Test metrics of the completed runs below a folder, by model and a setting of the data."""
    cells: Cells = defaultdict(list)
    for run in find_runs(folder):
        config = run.config
        asked = {"dataset.name": dataset, "dataset.task": task}
        if run.status != "completed" or any(config.get(key) != asked[key] for key in asked):
            continue
        if config.get("model.variant") == "official_bug":
            continue
        values: dict[str, Any] = {
            tag.removesuffix("/test"): value
            for tag, value in run.metrics.items()
            if tag.endswith("/test")
        }
        name = config["model.name"]
        if config.get("model.encoder") == "rnn" and name == "irregular_latent_ode":
            name += "/rnn"
        step = (run.result.get("seconds") or {}).get("per_step")
        batch = config["dataset.batch_size"]
        values["milliseconds"] = None if step is None else 1e3 * step / batch
        values["evaluations"] = (run.result.get("nfe") or {}).get("forward")
        values["protocol"] = run.result.get("protocol")
        values["steps"] = run.result.get("metrics", {}).get("step")
        cells[name, config[f"dataset.{setting}"]].append(values)
    return cells


def forecast_table(
    folder: Path, dataset: str, task: str, published: Mapping[str, tuple[float, ...]]
) -> str:
    """Markdown: mean squared errors x 100, as published and ours."""
    cells = collect(folder, dataset, task, "observed_fraction")
    lines = [
        f"Test MSE x 100 of {task} on {dataset}, with a share of the points observed; the mean "
        "over seeds, standard deviation and number of seeds. Models with a latent z0 are tested "
        "by three draws of it, as published; autoregressive ones say each point "
        + (
            "from the observations before it. "
            if task == "interpolation"
            else "after feeding back the ones that they said before. "
        )
        + protocols(cells),
        "",
        "| model | " + " | ".join(f"{share:.0%}" for share in SHARES) + " |",
        "| --- |" + " ---: |" * len(SHARES),
    ]
    for model, label in MODELS.items():
        if model in published:
            numbers = " | ".join(f"{value:.3f}" for value in published[model])
            lines.append(f"| published: {label} | {numbers} |")
        ours = [spread(percent_errors(cells, model, share)) for share in SHARES]
        lines.append(f"| {label} | " + " | ".join(ours) + " |")
    lines += ["", *orders(cells, published), "", *costs(cells, "observed", SHARES)]
    return "\n".join(lines) + "\n"


def percent_errors(cells: Cells, model: str, share: float) -> list[float]:
    """Mean squared errors x 100 of a cell's runs."""
    runs = cells.get((model, share), [])
    return [100 * run["mse_samples" if "mse_samples" in run else "mse"] for run in runs]


def orders(cells: Cells, published: Mapping[str, tuple[float, ...]]) -> list[str]:
    """List items: the models from the lowest error to the highest, as published and ours."""
    lines = []
    for i, share in enumerate(SHARES):
        ours = {
            model: statistics.mean(errors)
            for model in published
            if (errors := percent_errors(cells, model, share))
        }
        if len(ours) < 2:
            continue
        theirs = sorted(ours, key=lambda model: published[model][i])
        found = sorted(ours, key=lambda model: ours[model])
        lines.append(
            f"- {share:.0%} observed, from the lowest error to the highest: "
            + (
                f"{named(found)}, as published."
                if found == theirs
                else f"{named(found)}; published: {named(theirs)}."
            )
        )
    return lines


def named(models: Iterable[str]) -> str:
    """Models in their order."""
    return " < ".join(MODELS[model] for model in models)


def accuracy_table(folder: Path) -> str:
    """Markdown: accuracy in per cent on japanese_vowels."""
    cells = collect(folder, "japanese_vowels", "classification", "dropped")
    lines = [
        "Test accuracy on japanese_vowels in per cent, with a share of the observations dropped; "
        "the mean over seeds, standard deviation and number of seeds. " + protocols(cells),
        "",
        "| model | " + " | ".join(f"{share:.0%} dropped" for share in DROPPED) + " |",
        "| --- |" + " ---: |" * len(DROPPED),
    ]
    for model, label in MODELS.items():
        ours = [
            spread((100 * run["accuracy"] for run in cells.get((model, share), [])), digits=1)
            for share in DROPPED
        ]
        lines.append(f"| {label} | " + " | ".join(ours) + " |")
    return "\n".join([*lines, "", *costs(cells, "dropped", DROPPED)]) + "\n"


def protocols(cells: Cells) -> str:
    """With which schedules our runs trained."""
    found = [run for runs in cells.values() for run in runs]
    if not found:
        return "No run of ours is finished."
    budgets = sorted({(str(run["protocol"]), int(run["steps"] or 0)) for run in found})
    named_budgets = ", ".join(
        f"{name} ({steps:,} training steps, weights of the best epoch on validation data)"
        if steps
        else name
        for name, steps in budgets
    )
    return f"Our protocol: {named_budgets}."


def costs(cells: Cells, what: str, shares: tuple[float, ...]) -> list[str]:
    """Lines of a table: time of a training step for one series, and evaluations in a batch."""
    lines = [
        "| training cost, ms a series (evaluations a solve) | "
        + " | ".join(f"{share:.0%} {what}" for share in shares) + " |",
        "| --- |" + " ---: |" * len(shares),
    ]  # fmt: skip
    for model, label in MODELS.items():
        texts = []
        for share in shares:
            runs = cells.get((model, share), [])
            times = [run["milliseconds"] for run in runs if run["milliseconds"] is not None]
            counts = [run["evaluations"] for run in runs if run["evaluations"] is not None]
            text = spread(times, count=False, digits=2)
            texts.append(f"{text} ({spread(counts, count=False, digits=0)})" if counts else text)
        lines.append(f"| {label} | " + " | ".join(texts) + " |")
    return lines


IRREGULAR_TABLES: dict[str, Callable[[Path], str]] = {
    "table3": partial(
        forecast_table,
        dataset="hopper",
        task="interpolation",
        published=HOPPER["interpolation"],
    ),
    "table3_extrapolation": partial(
        forecast_table,
        dataset="hopper",
        task="extrapolation",
        published=HOPPER["extrapolation"],
    ),
    "periodic_interpolation": partial(
        forecast_table,
        dataset="periodic",
        task="interpolation",
        published=PERIODIC["interpolation"],
    ),
    "periodic_extrapolation": partial(
        forecast_table,
        dataset="periodic",
        task="extrapolation",
        published=PERIODIC["extrapolation"],
    ),
    "japanese_vowels": accuracy_table,
}
