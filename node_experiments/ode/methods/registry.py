"""Registry of all methods by name, with their properties, costs and capabilities."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import lru_cache

from .base import FunctionalMethod
from .explicit_tableaus import TABLEAUS, Tableau
from .one_step import OneStep
from .reversible import REVERSIBLE, Leapfrog, ReversibleMethod, ReversibleRungeKutta

__all__ = ["METHODS", "AnyMethod", "Method", "nearest", "properties_of"]

AnyMethod = str | Tableau | OneStep | ReversibleRungeKutta
"""A method by its name, or one that is not in this package."""


@dataclass(frozen=True)
class Method:
    """Properties of a method that validation and step size control read.

    Attributes:
        family: `explicit`, `implicit`, `multistep`, `reversible`, `symplectic`, `one_step` or
            `scipy`.
        order: Order of convergence; the highest one of a method that varies it.
        stages: Evaluations per step, without those of Newton's method.
        error_order: Power of h in the local error estimate; None if steps can only be fixed.
        stiff: Whether it is meant for stiff problems.
        dense_order: Order of dense output. If it is far below `order`, as the 5 of `dopri8`,
            outputs inside long steps are less accurate than the ends of steps.
        tableau: The coefficients of a Runge-Kutta method.
        functions: A method that is written as functions on vectors, unless it has options.
    """

    name: str
    family: str
    order: int
    stages: int
    error_order: int | None
    reference: str
    stiff: bool = False
    dense_order: int = 3
    tableau: Tableau | None = None
    functions: FunctionalMethod | None = None

    @property
    def adaptive(self) -> bool:
        return self.error_order is not None

    @property
    def recordable(self) -> bool:
        """Whether autograd and its transforms can record every operation of its steps."""
        families = ("explicit", "reversible", "symplectic", "multistep", "one_step")
        return self.family in families and self.name != "adams"

    @property
    def has_graph(self) -> bool:
        """Whether its steps can have a graph, recorded or from the implicit equations."""
        return self.family == "implicit" or self.recordable


def _runge_kutta(tableau: Tableau) -> Method:
    return Method(
        name=tableau.name,
        family="explicit" if tableau.explicit else "implicit",
        order=tableau.order,
        stages=tableau.stages - tableau.first_same_as_last,
        error_order=None
        if tableau.embedded_order is None
        else min(tableau.order, tableau.embedded_order) + 1,
        reference=tableau.reference,
        stiff=not tableau.explicit,
        dense_order=tableau.dense_order,
        tableau=tableau,
    )


def _functional(method: ReversibleMethod | OneStep) -> Method:
    family = "one_step" if isinstance(method, OneStep) else "reversible"
    return Method(
        name=method.name,
        family="symplectic" if isinstance(method, Leapfrog) else family,
        order=method.order,
        stages=method.stages,
        error_order=method.error_order,
        reference=method.reference,
        functions=method,
    )


_MULTISTEP = [
    Method(
        name="adams",
        family="multistep",
        order=12,
        stages=2,
        error_order=2,  # of its first step; it chooses the order of the others
        reference="Variable-step, variable-order PECE: Shampine & Gordon 1975; Hairer I, III.5",
        dense_order=12,
    ),
    Method(
        name="adams_bashforth",
        family="multistep",
        order=4,
        stages=1,
        error_order=None,
        reference="Bashforth & Adams 1883; Hairer I, section III.1",
    ),
    Method(
        name="adams_moulton",
        family="multistep",
        order=4,
        stages=2,
        error_order=None,
        reference="Moulton 1926, PECE with an Adams-Bashforth predictor; Hairer I, section III.1",
    ),
]

_SCIPY = [
    Method("scipy_lsoda", "scipy", 12, 1, 2, "LSODA: Petzold 1983", stiff=True),
    Method("scipy_vode_adams", "scipy", 12, 1, 2, "VODE: Brown, Byrne & Hindmarsh 1989"),
    Method("scipy_rk23", "scipy", 3, 3, 3, "Bogacki & Shampine 1989"),
    Method("scipy_rk45", "scipy", 5, 6, 5, "Dormand & Prince 1980"),
    Method("scipy_dop853", "scipy", 8, 12, 8, "Hairer, Norsett & Wanner I (1993), section II.5"),
    Method("scipy_bdf", "scipy", 5, 1, 2, "Shampine & Reichelt 1997", stiff=True),
    Method("scipy_radau", "scipy", 5, 3, 4, "Radau IIA: Hairer & Wanner II, IV.8", stiff=True),
]

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        *map(_runge_kutta, TABLEAUS.values()),
        *map(_functional, REVERSIBLE.values()),
        *_MULTISTEP,
        *_SCIPY,
    )
}


def properties_of(method: AnyMethod) -> Method:
    """The properties of a method of this package, by its name, or of one of the user's.

    Raises:
        ValueError: An unknown name, coefficients that are not those of a method of the order that
            they state, or no method.
    """
    if isinstance(method, str):
        if method not in METHODS:
            raise ValueError(f"solver.method={method!r} is unknown{nearest(method)}")
        return METHODS[method]
    if isinstance(method, Tableau):
        return _checked(method)
    if isinstance(method, OneStep | ReversibleRungeKutta):
        return _functional(method)
    raise ValueError(
        f"solver.method={method!r} must be the name of a method, a Tableau or a OneStep"
    )


@lru_cache(maxsize=64)
def _checked(tableau: Tableau) -> Method:
    from .order_conditions import check_tableau

    check_tableau(tableau)
    return _runge_kutta(tableau)


def nearest(name: str) -> str:
    """Suggestions for an unknown name, as the end of an error message.

    >>> nearest("dopri")
    "; did you mean 'dopri5' or 'dopri8'? (ode/README.md lists them)"
    >>> nearest("RK45")
    "; did you mean 'scipy_rk45'? (ode/README.md lists them)"
    """
    near = [*difflib.get_close_matches(name, METHODS), f"scipy_{name.lower()}"]
    # In the order of the registry.
    named = " or ".join(repr(each) for each in METHODS if each in near)
    hint = f"; did you mean {named}?" if named else ""
    return f"{hint} (ode/README.md lists them)"
