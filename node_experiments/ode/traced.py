"""A solve as a plain sequence of tensor operations, for torch.export and torch.compile.

If times are Python floats and steps are fixed, no operation of a solve depends on the values of
tensors, so the solve is one graph:

    class Flow(nn.Module):
        def __init__(self):
            super().__init__()
            self.field = nn.Linear(2, 2)

        def forward(self, x):
            solver = Solver("rk4", num_steps=4)
            return solve(lambda t, y: self.field(y), x, [0.0, 1.0], solver, "backprop").ys[-1]

    program = torch.export.export(Flow(), (torch.randn(4, 2),))

The checks of an eager solve are left out here: those of the states of random number generators, of
the finiteness of the result and of what the vector field holds. So a vector field that draws
random numbers draws new ones at every evaluation. With `torch.compile(dynamic=True)`, write the
times as literals: other numbers become symbols there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

import torch
from torch import Tensor

from .gradients.backprop import Backprop
from .gradients.base import Gradient, records_steps
from .problem import Constants, Problem
from .solution import Solution, SolveStats, StepCounts
from .solver import Solver
from .state import FlatArguments, FlatState
from .validation import check_choices, check_times
from .vector_field import PlainField, checked

__all__ = ["can_be_traced", "solve_traced"]


def can_be_traced(
    t: Tensor | Sequence[float],
    solver: Solver,
    gradient: Gradient | str,
    options: Mapping[str, Any],
) -> TypeGuard[Sequence[float]]:
    """Whether a solve with these arguments is one graph; see `check_choices` for `options`."""
    return (
        not isinstance(t, Tensor)
        and solver.fixed_steps
        and solver.batching == "joint"
        and records_steps(gradient)
        and not any(options.values())
    )


def solve_traced(
    func: Callable[..., Any], y0: Any, t: Sequence[float], solver: Solver, args: tuple
) -> Solution:
    """Solve with fixed steps and `gradient="backprop"`, without reading any tensor's values."""
    state = FlatState(y0, keeps_layout=solver.properties.family not in ("symplectic", "one_step"))
    packed = state.pack(y0)
    times = check_times(t)
    check_choices(solver, state, times, {})
    arguments = FlatArguments(args)
    problem = Problem(
        func=PlainField(checked(state.wrap(arguments.wrap(func)))),
        y0=packed,
        t=torch.tensor(times, dtype=packed.dtype, device=packed.device),
        times=times,
        solver=solver,
        args=arguments.leaves,
        part_sizes=state.sizes,
        constants=Constants(),
        stats=SolveStats(StepCounts(), StepCounts()),
    )
    ys, _ = Backprop().solve(problem)
    return Solution(problem.t, state.unpack(ys), problem.stats)
