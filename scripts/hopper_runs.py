"""The latent ODEs that were trained on the Hopper, each for another number of steps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from node_experiments.reports.records import records
from node_experiments.runs import load_runs


def latent_odes(reference: Path) -> dict[tuple[float, int], Mapping[str, Any]]:
    """Those of seed 0 with an ODE encoder, by the fraction observed and the steps of training."""
    return {
        (run["config.dataset.observed_fraction"], int(run["last/step"])): run
        for folder in reference.glob("hopper_interpolation*")
        for run in records(load_runs(folder))
        if run["name"] == "hopper_latent_ode"
        and run["config.model.encoder"] == "ode_rnn"
        and run["seed"] == 0
    }
