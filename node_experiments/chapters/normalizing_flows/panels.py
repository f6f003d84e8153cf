"""Arrays behind the figures of a flow: densities and samples at times from noise to data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...nn.swap_solver import temporary_solver
from ...ode import Solver
from .grid import log_density_on, square_grid

__all__ = ["FRACTIONS", "flow_panels"]

COARSE = 1e-3  # tolerance of the solves
SAMPLES = 1000  # drawn points
FRACTIONS = (0.05, 0.2, 0.4, 0.6, 0.8, 1.0)  # of the time, as in Figure 5


def flow_panels(
    model: Any,
    data: Any,
    fractions: Sequence[float] = FRACTIONS,
    points: int = 100,
) -> dict[str, NDArray]:
    """Arrays in low precision, small enough to be kept with a run.

    Returns:
        `half_width` of the square that is shown; `untils`, the fractions; `densities (fraction,
        points, points)`, rows along the second coordinate, each in 255ths of its peak; `samples
        (fraction, sample, 2)`; and the target of the flow: a density `target (points, points)` in
        the same format, or points `test (sample, 2)`.
    """
    model.eval()
    with torch.no_grad(), solving_coarsely(model):
        first = next(iter(data.test))
        grid = square_grid(data.half_width, points).to(first)
        noise = torch.randn(SAMPLES, model.dim, generator=torch.Generator().manual_seed(0))
        densities = [
            in_255ths(log_density_on(partial(model.log_prob, fraction=fraction), grid))
            for fraction in fractions
        ]
        found = {
            "densities": np.stack(densities),
            "samples": in_half_precision(model.path(noise.to(first), fractions)),
            "half_width": np.array(data.half_width),
            "untils": np.array(fractions),
        }
        if hasattr(data, "log_density"):
            found["target"] = in_255ths(data.log_density(grid))
        else:
            found["test"] = in_half_precision(first[:SAMPLES])
    return found


@contextmanager
def solving_coarsely(model: Any) -> Iterator[None]:
    """Loosen the tolerance of adaptive solvers to `COARSE`: a density has only 255 levels here."""
    solver: Solver | None = getattr(model, "solver", None)
    if solver is None or solver.fixed_steps:
        yield
        return
    rtol, atol = (max(COARSE, float(torch.as_tensor(x).max())) for x in (solver.rtol, solver.atol))
    with temporary_solver(model, replace(solver, rtol=rtol, atol=atol), model.gradient):
        yield


def in_255ths(log_density: Tensor) -> NDArray:
    """Convert a log-density to the density in 255ths of its peak."""
    relative = (log_density - log_density.max()).exp()
    return (255 * relative).round().byte().cpu().numpy()


def in_half_precision(points: Tensor) -> NDArray:
    """Convert points to half precision, clamped to its range."""
    return points.clamp(-6e4, 6e4).cpu().numpy().astype(np.float16)
