"""The latent ODEs that were trained on the Hopper, each for another number of steps."""

from pathlib import Path

from node_experiments.reports.records import Record, records
from node_experiments.runs import load_runs


def latent_odes(reference: Path) -> dict[tuple[float, int], Record]:
    """Those of seed 0 with an ODE encoder, by the fraction observed and the steps of training.

    Raises:
        SystemExit: Two of them have the same fraction and as many steps.
    """
    found: dict[tuple[float, int], Record] = {}
    for folder in sorted(reference.glob("hopper_interpolation*")):
        for run in records(load_runs(folder)):
            # An encoder that is not named is the default, an ODE.
            encoder = run.get("config.model.encoder", "ode_rnn")
            asked = (run["name"], encoder, run.get("seed"), run["status"])
            if asked != ("hopper_latent_ode", "ode_rnn", 0, "completed"):
                continue
            key = run["config.dataset.observed_fraction"], int(run["last/step"])
            if key in found:
                raise SystemExit(
                    f"{found[key]['directory']} and {run['directory']} both observe {key[0]:.0%} "
                    f"and trained for {key[1]:,} steps: keep one of them."
                )
            found[key] = run
    return found
