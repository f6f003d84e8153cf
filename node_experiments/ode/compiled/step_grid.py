"""Grids of fixed steps, computed once for all solves that share them."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import NamedTuple

import torch
from torch import Tensor

from ..fixed_grid import FixedGrid
from ..solver import Solver

__all__ = ["StepGrid", "make_step_grid"]


class StepGrid(NamedTuple):
    """All steps of a solve.

    Attributes:
        starts, sizes: Start time and size of each step.
        smallest, largest: The smallest and the largest |size|.
        sizes_and_times: For each step, its size and the times of its stages, shape `(1 + stage,)`.
        outputs: Indices of the steps that end at output times, counted from 1; 0 is the start.
    """

    starts: list[float]
    sizes: list[float]
    smallest: float
    largest: float
    sizes_and_times: Sequence[Tensor]
    outputs: list[int]


def make_step_grid(
    solver: Solver,
    times: Sequence[float],
    nodes: tuple[float, ...],
    like: Tensor,
    resolution: float,
) -> StepGrid | None:
    """Return the steps of a fixed-step solve, from a cache if it was made for these settings.

    None if the end is infinite, if an output time is inside a step, or if a step is shorter than
    the precision of the time.

    Args:
        nodes: Nodes of the stages.
        like: An example state.
        resolution: Relative precision of the output times.
    """
    given = solver.num_steps, solver.step_size, tuple(solver.step_t)
    return _grid(*given, tuple(times), nodes, like.dtype, like.device, resolution)


@lru_cache(maxsize=32)
def _grid(
    num_steps: int | None,
    step_size: float | None,
    step_t: tuple[float, ...],
    times: tuple[float, ...],
    nodes: tuple[float, ...],
    dtype: torch.dtype,
    device: torch.device,
    resolution: float,
) -> StepGrid | None:
    if math.isinf(times[-1]):
        return None
    solver = Solver("euler", num_steps=num_steps, step_size=step_size, step_t=step_t)
    grid = FixedGrid(times, solver, resolution)
    starts: list[float] = []
    sizes: list[float] = []
    outputs = [0]
    for number in count(1):
        t, end = grid.t, grid.t_next
        least = 4 * sys.float_info.epsilon * max(abs(t), abs(end))
        if not (abs(end - t) > least or grid.at_stop):
            return None  # the loop in `integrate` reports what is wrong
        starts.append(t)
        sizes.append(end - t)
        if end == times[len(outputs)]:
            outputs.append(number)
        if end == times[-1]:
            break
        grid.judge(end - t, 0.0)
    if len(outputs) != len(times):
        return None
    # They are cached, and other solves with the same grid may record a graph.
    with torch.inference_mode(False):
        t0, h, c = (
            torch.tensor(values, dtype=torch.float64, device="cpu")
            for values in (starts, sizes, nodes)
        )
        table = torch.cat([h.unsqueeze(1), t0.unsqueeze(1) + h.unsqueeze(1) * c], 1)
        rows = table.to(device, dtype).unbind()
    absolute = [abs(size) for size in sizes]
    return StepGrid(starts, sizes, min(absolute), max(absolute), rows, outputs)
