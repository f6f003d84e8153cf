"""The record of one Runge-Kutta method.

A method with `s` stages is its coefficients alone:

    k_i = f(t + c_i h, y + h sum_{j<i} a_ij k_j + h d_i k_i),    y(t + h) = y + h sum_i b_i k_i.

Explicit methods have no diagonal d. `b_error` holds b - b_hat, the weights of the local error
estimate, and row j of `dense` the coefficients of theta, theta^2, ... in the weight that stage j
has in y(t + theta h). An interpolant may need further stages, which are evaluated only when an
output lies inside a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

__all__ = ["Tableau"]

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Tableau:
    """The coefficients of one Runge-Kutta method, and where they were published.

    Attributes:
        order, embedded_order, dense_order: Orders of the method, of the solution that it is
            compared with, and of its interpolant (cubic Hermite, order 3, without `dense`).
        a: Rows of the coefficients below the diagonal; row i has i entries.
        diagonal: The diagonal of an implicit method, or None. All entries but a leading 0 agree,
            so that one factorisation serves all stages.
        dense_a, dense_c: Rows and nodes of the stages that only the interpolant needs.
    """

    name: str
    order: int
    a: Rows
    b: tuple[float, ...]
    c: tuple[float, ...]
    reference: str
    b_error: tuple[float, ...] | None = None
    embedded_order: int | None = None
    diagonal: tuple[float, ...] | None = None
    dense: Rows | None = None
    dense_order: int = 3
    dense_a: Rows = ()
    dense_c: tuple[float, ...] = ()

    @property
    def stages(self) -> int:
        return len(self.b)

    @property
    def adaptive(self) -> bool:
        return self.b_error is not None

    @property
    def explicit(self) -> bool:
        return self.diagonal is None

    @cached_property
    def solution_is_last_stage(self) -> bool:
        """Whether y(t + h) is the point at which the last stage is evaluated."""
        last_diagonal = self.diagonal[-1] if self.diagonal else 0.0
        return self.c[-1] == 1.0 and (*self.a[-1], last_diagonal) == self.b

    @cached_property
    def first_same_as_last(self) -> bool:
        """Whether the last stage of a step is the first stage of the next one."""
        starts_at_y = self.diagonal is None or self.diagonal[0] == 0.0
        return self.solution_is_last_stage and starts_at_y and self.stages > 1
