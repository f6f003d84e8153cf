"""What pictures of a flow are made of, as arrays: densities and samples on the way from noise."""

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

from ...nn.swap_solver import solving_with
from ...ode import Solver
from .grid import (
    log_density_on,
    square_grid,
)

__all__ = ["UNTILS", "flow_panels"]

COARSE = 1e-3
UNTILS = (0.05, 0.2, 0.4, 0.6, 0.8, 1.0)  # of the way, as in Figure 5


def flow_panels(
    model: Any, data: Any, untils: Sequence[float] = UNTILS, points: int = 100, samples: int = 1000
) -> dict[str, NDArray]:
    """Arrays in few bits, small enough to be kept with a run.

    Returns:
        `half_width` of the square that is shown; `untils`; `densities (until, points, points)`,
        rows along the second coordinate, each in 255ths of its peak; `samples (until, sample, 2)`;
        and of what the flow is fitted to, `target (points, points)`, a density likewise, or
        `test (sample, 2)`, points.
    """
    model.eval()
    with torch.no_grad(), solving_coarsely(model):
        first = next(iter(data.test))
        grid = square_grid(data.half_width, points).to(first)
        noise = torch.randn(samples, model.dim, generator=torch.Generator().manual_seed(0))
        densities = [
            in_255ths(log_density_on(partial(model.log_prob, until=until), grid))
            for until in untils
        ]
        found = {
            "densities": np.stack(densities),
            "samples": in_half_precision(model.path(noise.to(first), untils)),
            "half_width": np.array(data.half_width),
            "untils": np.array(untils),
        }
        if hasattr(data, "log_density"):
            found["target"] = in_255ths(data.log_density(grid))
        else:
            found["test"] = in_half_precision(first[:samples])
    return found


@contextmanager
def solving_coarsely(model: Any) -> Iterator[None]:
    """Let adaptive solvers have the tolerance of a picture: a density is drawn in 255 levels."""
    solver: Solver | None = getattr(model, "solver", None)
    if solver is None or solver.fixed_steps:
        yield
        return
    rtol, atol = (max(COARSE, float(torch.as_tensor(x).max())) for x in (solver.rtol, solver.atol))
    with solving_with(model, replace(solver, rtol=rtol, atol=atol), model.gradient):
        yield


def in_255ths(log_density: Tensor) -> NDArray:
    """A density, relative to its peak."""
    relative = (log_density - log_density.max()).exp()
    return (255 * relative).round().byte().cpu().numpy()


def in_half_precision(points: Tensor) -> NDArray:
    """Points, within what half precision can hold."""
    return points.clamp(-6e4, 6e4).cpu().numpy().astype(np.float16)
