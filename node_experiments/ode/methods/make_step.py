"""From the name of a method to the object that makes its steps: the one place that knows all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from torch import Tensor

from ..solution import StepCounts
from ..solver import Solver
from ..vector_field import Dynamics, Field, VectorField, in_own_memory
from .adams import AdamsStep
from .explicit_runge_kutta import ExplicitStep
from .explicit_tableaus import TABLEAUS
from .fixed_adams import FixedAdams
from .functional_step import FunctionalStep
from .implicit_runge_kutta import RELINEARIZATIONS, ImplicitStep, LinearizableDynamics
from .registry import METHODS
from .reversible import REVERSIBLE

if TYPE_CHECKING:
    from ..problem import Problem

__all__ = ["can_be_recorded", "has_graph", "make_recordable_step", "make_step"]


def make_step(
    solver: Solver,
    dynamics: Dynamics,
    like: Tensor,
    counts: StepCounts,
    rtol: float | Tensor,
    atol: float | Tensor,
    quadrature: Tensor | None = None,
) -> Any:
    """Steps of the solver's method, without a graph.

    Args:
        dynamics: The vector field, on states of the shape of `like`.
        rtol, atol: Tolerances of the local error, numbers or one a component, shape `(n,)`.
        quadrature: Where integrals along the solution are accumulated, shape `(q,)`, or None.
    """
    if solver.method in TABLEAUS:
        tableau = TABLEAUS[solver.method]
        if tableau.explicit:
            return ExplicitStep(tableau, dynamics, like, counts, quadrature)
        linearizable = cast("LinearizableDynamics", dynamics)
        more = RELINEARIZATIONS if solver.fixed_steps else 0
        return ImplicitStep(tableau, linearizable, like, counts, rtol, atol, quadrature, more)
    q = 0 if quadrature is None else len(quadrature)
    field = Field(dynamics, like, counts, q)
    if solver.method == "adams":
        return AdamsStep(field, like.numel(), rtol, atol, solver.max_order, quadrature)
    return FunctionalStep(functional(solver), field, like.numel(), quadrature)


def make_recordable_step(problem: Problem) -> FunctionalStep:
    """Steps of a method without a tableau, out of place, so that autograd can record them.

    Raises:
        ValueError: A method whose operations autograd cannot record.
    """
    solver = problem.solver
    if not can_be_recorded(solver.method):
        raise ValueError(
            f"gradient='backprop' cannot record solver.method={solver.method!r}; take "
            "gradient='adjoint', or torch.no_grad() where no gradient is needed"
        )

    def field(t: float, y: Tensor) -> Tensor:
        problem.stats.forward.evaluations += 1
        derivative = problem.func(problem.time(t), y.view(problem.y0.shape), *problem.args)
        return in_own_memory(derivative.reshape(-1).to(y.dtype))

    recordable: VectorField = field
    return FunctionalStep(functional(solver), recordable, problem.y0.numel())


def can_be_recorded(method: str) -> bool:
    """Whether autograd and its transforms can record every operation of a method's steps."""
    families = ("explicit", "reversible", "symplectic", "multistep")
    return METHODS[method].family in families and method != "adams"


def has_graph(method: str) -> bool:
    """Whether the steps of a method can have a graph, recorded or of the solved equations."""
    return METHODS[method].family == "implicit" or can_be_recorded(method)


def functional(solver: Solver) -> Any:
    """The method of that name among those that are functions on vectors."""
    if solver.method in ("adams_bashforth", "adams_moulton"):
        return FixedAdams(solver.method, solver.max_order)
    return REVERSIBLE[solver.method]
