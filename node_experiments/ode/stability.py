"""A solve that stays at an equilibrium, and gradients through its steps.

Where the solution does not move, the error of every step is zero and steps grow without bound. The
solution is right, but one step multiplies its gradient by the stability function R(h J), which is
huge where h J is outside the region of stability: the gradient of the steps is far from that of
the solution, though the error estimates are all zero.
"""

from __future__ import annotations

import warnings

import torch

from .integrate import Trajectory
from .methods.registry import METHODS
from .problem import Problem

__all__ = ["warn_of_unstable_steps"]

LARGEST_STABLE = 6.0  # h |J|: the regions of stability of methods up to order 8 end before


def warn_of_unstable_steps(problem: Problem, trajectory: Trajectory) -> None:
    """Compare the longest step with the Jacobian at the start, if no step showed an error.

    Three power iterations by differences estimate |J|; they are made only for such a solve.
    """
    if not trajectory.shows_no_error or METHODS[problem.solver.method].stiff:
        return
    t, y0 = problem.time(problem.times[0]), problem.y0.detach()
    with torch.no_grad():
        f0 = problem.func(t, y0.clone(), *problem.args).to(y0.dtype, copy=True)
        tolerance = torch.finfo(y0.dtype).eps * (1 + y0.norm())
        if not bool(f0.norm() <= tolerance):
            return  # it moves, along a polynomial that the method integrates exactly
        size = 1e-3 * (1 + y0.abs().max())
        direction = torch.ones_like(y0)
        direction.view(-1)[1::2] = 0.5
        rate = torch.zeros((), dtype=y0.dtype, device=y0.device)
        for _ in range(3):
            direction = direction / direction.norm().clamp_min(1e-30)
            change = problem.func(t, y0 + size * direction, *problem.args).to(y0.dtype) - f0
            direction, rate = change, torch.maximum(rate, change.norm() / size)
    longest, rate_on_host = problem.stats.forward.largest_step, float(rate)
    if longest * rate_on_host > LARGEST_STABLE:
        warnings.warn(
            "the solve starts at an equilibrium, where error estimates are zero, and its steps of "
            f"up to {longest:.2g} are unstable for a vector field that changes at a rate of "
            f"{rate_on_host:.2g}: gradients through the steps may be huge and wrong. Set "
            f"solver.max_step={2 / rate_on_host:.2g} or less, or take gradient='adjoint' or "
            "'interpolated'",
            stacklevel=2,
        )
