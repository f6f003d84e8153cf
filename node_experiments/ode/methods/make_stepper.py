"""Creation of the stepper of a method from its name.

Methods other than explicit Runge-Kutta methods are imported when they are first used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..solution import StepCounts
from ..solver import Solver
from ..vector_field import Dynamics
from .base import FunctionalMethod, Stepper
from .explicit_runge_kutta import ExplicitRungeKutta, StageTimes

if TYPE_CHECKING:
    from .newton import Linear

__all__ = ["functional_method", "make_stepper"]


def make_stepper(
    solver: Solver,
    dynamics: Dynamics,
    like: Tensor,
    counts: StepCounts,
    rtol: float | Tensor,
    atol: float | Tensor,
    *,
    time: Callable[[float], Tensor],
    linearize: Callable[[float, Tensor], Linear],
    args: Sequence[Any] = (),
    stage_times: StageTimes[float] | None = None,
    quadrature: Tensor | None = None,
) -> Stepper:
    """Create a stepper of the solver's method, without a graph.

    Args:
        dynamics: The vector field, on states of the shape of `like`.
        like: An example state. States of an explicit Runge-Kutta method have its shape, those of
            other methods are flat.
        rtol, atol: Tolerances of the local error, numbers or one per component, shape `(n,)`.
        time: Converts a host time to a 0-d tensor.
        linearize: Computes the Jacobian of the dynamics at a time and a flat state.
        args: Arguments of the dynamics.
        stage_times: See `ExplicitRungeKutta`.
        quadrature: Where integrals along the solution are accumulated, shape `(q,)`, or None.
    """
    adaptive = not solver.fixed_steps
    tableau = solver.properties.tableau
    if tableau is not None and tableau.explicit:
        return ExplicitRungeKutta(
            tableau,
            dynamics,
            like,
            counts,
            args=args,
            adaptive=adaptive,
            stage_times=stage_times,
            quadrature=quadrature,
        )
    from ..flat_field import FlatField

    q = 0 if quadrature is None else len(quadrature)
    field = FlatField(dynamics, like, counts, time, args, q)
    if tableau is not None:
        from .implicit_runge_kutta import RELINEARIZATIONS, ImplicitRungeKutta

        return ImplicitRungeKutta(
            tableau,
            field,
            linearize,
            like.reshape(-1),
            counts,
            rtol,
            atol,
            adaptive,
            quadrature,
            0 if adaptive else RELINEARIZATIONS,
        )
    n = like.numel()
    if solver.method == "adams":
        from .adams import VariableAdams

        return VariableAdams(field, n, rtol, atol, solver.max_order, quadrature)
    from .functional_step import FunctionalStepper

    return FunctionalStepper(functional_method(solver), field, n, quadrature)


def functional_method(solver: Solver) -> FunctionalMethod:
    """Return the solver's method, if it is written as functions on vectors."""
    method = solver.properties
    if method.functions is not None:
        return method.functions
    from .fixed_adams import FixedAdams

    return FixedAdams(method.name, solver.max_order)
