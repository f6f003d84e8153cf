"""The steps of diffrax on an uneven grid, which the tests compare ours with.

    pip install -e ".[bench]"
    python scripts/diffrax_reference.py

Writes `tests/ode/diffrax_reference.json`: a small vector field that depends on time, the times at
which steps have to end, and the states there, in float64, for the methods that both packages have.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

METHODS = {"bosh3": "Bosh3", "dopri5": "Dopri5", "tsit5": "Tsit5", "dopri8": "Dopri8"}
OUTPUT = Path(__file__).parent.parent / "tests" / "ode" / "diffrax_reference.json"


def problem() -> dict[str, Any]:
    """dy/dt = tanh(y A^T + b sin(2 t)) on 4 samples of 3 numbers, and 9 steps of uneven size."""
    random = np.random.default_rng(0)
    return {
        "a": (random.standard_normal((3, 3)) / 3**0.5).tolist(),
        "b": random.standard_normal(3).tolist(),
        "y0": random.standard_normal((4, 3)).tolist(),
        "t": [0.0, 0.05, 0.2, 0.3, 0.45, 0.7, 0.75, 1.0, 1.25, 1.5],
    }


def states(problem: dict[str, Any], method: str) -> list[Any]:
    """The states at all times, shape `(time, 4, 3)`, one step of the method in between."""
    import diffrax
    import jax

    jax.config.update("jax_enable_x64", True)
    a, b, y0, t = (jax.numpy.asarray(problem[name]) for name in ("a", "b", "y0", "t"))

    def field(t: Any, y: Any, args: Any) -> Any:
        return jax.numpy.tanh(y @ a.T + b * jax.numpy.sin(2 * t))

    ys = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        getattr(diffrax, METHODS[method])(),
        t[0],
        t[-1],
        None,
        y0,
        saveat=diffrax.SaveAt(t0=True, steps=True),
        stepsize_controller=diffrax.StepTo(ts=t),
        max_steps=len(t) - 1,
    ).ys
    return np.asarray(ys).tolist()


def main() -> None:
    chosen = problem()
    versions = {name: version(name) for name in ("diffrax", "jax")}
    found = {method: states(chosen, method) for method in METHODS}
    OUTPUT.write_text(
        json.dumps({"versions": versions, "problem": chosen, "states": found}) + "\n"
    )
    print(f"written: {OUTPUT}")


if __name__ == "__main__":
    main()
