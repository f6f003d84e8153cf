"""The grid of fixed steps, made once for all solves that have it."""

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

__all__ = ["StepGrid", "grid_of"]


class StepGrid(NamedTuple):
    """All steps of a solve.

    Attributes:
        starts, sizes: Time and size of each step.
        smallest, largest: Of the sizes.
        numbers: Of each step its size and the times of its stages, shape `(1 + stage,)`.
        outputs: Which ends of steps are output times, counted from the initial state as 0.
    """

    starts: list[float]
    sizes: list[float]
    smallest: float
    largest: float
    numbers: Sequence[Tensor]
    outputs: list[int]


def grid_of(
    solver: Solver,
    times: Sequence[float],
    nodes: tuple[float, ...],
    like: Tensor,
    resolution: float,
) -> StepGrid | None:
    """The steps of a fixed-step solve; None where an output time is inside of one.

    Args:
        nodes: Of the stages.
        like: A state.
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
            return None  # the longer path says what is wrong
        starts.append(t)
        sizes.append(end - t)
        if end == times[len(outputs)]:
            outputs.append(number)
        if end == times[-1]:
            break
        grid.judge(end - t, 0.0)
    if len(outputs) != len(times):
        return None
    # They are kept for solves that may record a graph.
    with torch.inference_mode(False):
        t0, h, c = (
            torch.tensor(numbers, dtype=torch.float64, device="cpu")
            for numbers in (starts, sizes, nodes)
        )
        numbers = torch.cat([h.unsqueeze(1), t0.unsqueeze(1) + h.unsqueeze(1) * c], 1)
        rows = numbers.to(device, dtype).unbind()
    absolute = [abs(size) for size in sizes]
    return StepGrid(starts, sizes, min(absolute), max(absolute), rows, outputs)
