"""Detection of unstable solves that error estimates do not show.

If a solution stays at an equilibrium, the error of every step is zero and steps grow without
bound. The solution is correct, but each step multiplies its gradient by the stability function
R(h J), which is huge if h J is outside the stability region: the gradient of the steps is far
from that of the solution. Moreover, the two solutions that a reversible method computes may drift
apart.
"""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

from .problem import Problem
from .solver import Solver
from .vector_field import is_traced_or_transformed

__all__ = ["warn_if_solutions_differ", "warn_of_unstable_steps"]

LARGEST_STABLE = 6.0  # h |J|: stability regions of methods up to order 8 end below


def warn_of_unstable_steps(problem: Problem) -> None:
    """Warn if a solve in which no step showed an error is unstable for the Jacobian at its start.

    Three power iterations by finite differences estimate |J|; other solves do not pay for them.
    """
    if problem.solver.properties.stiff:
        return
    t, y0 = problem.time(problem.times[0]), problem.y0.detach()
    with torch.no_grad():
        f0 = problem.func(t, y0.clone(), *problem.args).to(y0.dtype, copy=True)
        tolerance = torch.finfo(y0.dtype).eps * (1 + y0.norm())
        if not bool(f0.norm() <= tolerance):
            return  # not an equilibrium, but a polynomial that the method integrates exactly
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
            f"solver.max_step={2 / rate_on_host:.2g} or less, or use gradient='adjoint' or "
            "'interpolated'",
            stacklevel=2,
        )


def warn_if_solutions_differ(solver: Solver, y0: Tensor, solutions: tuple[Tensor, Tensor]) -> None:
    """Warn if the two solutions that a reversible method computes differ at the end of a solve.

    In a stable solve their distance is no larger than the error. If the solution decays faster
    than the coupling allows, it grows exponentially, which the local error does not show.
    """
    if is_traced_or_transformed():
        return
    y, z = solutions
    with torch.no_grad():
        size = float(torch.maximum(*(x.double().norm() for x in (y0.detach(), y)))) or 1.0
        distance = float((y - z).double().norm()) / size
    allowed = 1.0
    if not solver.fixed_steps:
        # Errors of many steps add up, and the components of a state differ in size.
        rtol, atol = (float(torch.as_tensor(x).max()) for x in (solver.rtol, solver.atol))
        allowed = min(0.1, 1e3 * (rtol + atol * len(y) ** 0.5 / size))
    if math.isfinite(distance) and distance > allowed:
        warnings.warn(
            f"the two solutions of {solver.properties.name} are {distance:.1e} of their size "
            f"apart, above {allowed:.1e}: the method is unstable on this problem and its solution "
            "cannot be trusted. Take shorter steps or tighter tolerances, or the method it is "
            "based on with gradient='checkpoint', whose memory is bounded too",
            stacklevel=2,
        )
