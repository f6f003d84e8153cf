"""Experiments with neural ordinary differential equations (Chen et al. 2018).

`node-run` trains, evaluates and predicts from the command line; `load` gives a trained model to
Python:

    from node_experiments import load

    run = load("latest")
    run.predict(table, times=[30, 36])
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

from .version import __version__

if TYPE_CHECKING:
    from .runner.loaded import LoadedRun

__all__ = ["__version__", "load"]


def load(
    run: str | PathLike[str], *, outputs: str | PathLike[str] = "outputs", device: str = "auto"
) -> LoadedRun:
    """Load a trained run: its `model`, `config` and `metrics`, and its method `predict`.

    torch is imported by this call, not by `import node_experiments`.

    Args:
        run: A run folder such as `outputs/csv_latent_ode/<run>`, a checkpoint file,
            `latest` (the newest run in `outputs` with a checkpoint), or `pretrained:<name>` for a
            model that ships with the package.
        outputs: Directory that is searched for `latest`.
        device: auto, cpu, cuda, cuda:1 or mps.

    Raises:
        UserError: There is no such run, it has no checkpoint, or its checkpoint cannot be read.
    """
    from .runner.loaded import load_run

    return load_run(run, outputs, device)
