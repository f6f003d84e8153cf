"""The record of one Runge-Kutta method.

A method with `s` stages is its coefficients alone:

    k_i = f(t + c_i h, y + h sum_j a_ij k_j),    y(t + h) = y + h sum_i b_i k_i.

Explicit methods have a_ij = 0 for j >= i; diagonally implicit ones have a diagonal; in fully
implicit ones the stages after the first are coupled. The first stage of every method is the
derivative at the start of the step, with the weight 0 where an implicit method does not use it:
Newton's method and the interpolant start from it. `b_error` holds b - b_hat, the weights of the
local error estimate, and row j of `dense` the coefficients of theta, theta^2, ... in the weight
that stage j has in y(t + theta h). An interpolant may need further stages, which are evaluated
only when an output lies inside a step.
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
        a: Rows of the coefficients below the diagonal; row i has i entries. In a method whose
            stages are coupled all rows but the first, which is empty, are whole.
        diagonal: The diagonal of a diagonally implicit method, or None. All entries but a leading
            0 agree, so that one factorisation serves all stages.
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
        return self.diagonal is None and not self.coupled

    @property
    def coupled(self) -> bool:
        """Whether all stages but the first are solved together."""
        return len(self.a[-1]) == self.stages

    @cached_property
    def matrix(self) -> Rows:
        """All coefficients a_ij, `stages` rows of as many entries."""
        diagonal = self.diagonal or (0.0,) * self.stages
        padded = [(*row, *(0.0,) * (self.stages - len(row))) for row in self.a]
        return tuple(
            tuple(entry + d * (i == j) for j, entry in enumerate(row))
            for i, (row, d) in enumerate(zip(padded, diagonal, strict=True))
        )

    @cached_property
    def blocks(self) -> tuple[range, ...]:
        """The stages after the first, those together that are solved together."""
        if self.coupled:
            return (range(1, self.stages),)
        return tuple(range(i, i + 1) for i in range(1, self.stages))

    @cached_property
    def solution_is_last_stage(self) -> bool:
        """Whether y(t + h) is the point at which the last stage is evaluated."""
        return self.c[-1] == 1.0 and self.matrix[-1] == self.b

    @cached_property
    def first_same_as_last(self) -> bool:
        """Whether the last stage of a step is the first stage of the next one."""
        return self.solution_is_last_stage and self.stages > 1
