"""The Butcher tableau of a Runge-Kutta method.

A method with `s` stages is defined by its coefficients alone:

    k_i = f(t + c_i h, y + h sum_j a_ij k_j),    y(t + h) = y + h sum_i b_i k_i.

Explicit methods have a_ij = 0 for j >= i; diagonally implicit ones have a diagonal; in fully
implicit ones the stages after the first are coupled. The first stage of every method is the
derivative at the start of the step, with weight 0 if an implicit method does not use it:
Newton's method and the interpolant start from it. `b_error` holds b - b_hat, the weights of the
local error estimate, and row j of `dense` the coefficients of theta, theta^2, ... in the weight
that stage j has in y(t + theta h). An interpolant may need further stages, which are evaluated
only when an output is inside a step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

__all__ = ["Tableau", "hermite_weights"]

Rows = tuple[tuple[float, ...], ...]
Terms = tuple[tuple[int, float], ...]


@dataclass(frozen=True, eq=False, repr=False)
class Tableau:
    """The coefficients of one Runge-Kutta method, and where they were published.

    `Solver(tableau)` solves with it, with all options and gradient methods of its kind.

    Attributes:
        order, embedded_order, dense_order: Orders of the method, of its embedded solution, and of
            its interpolant (cubic Hermite, order 3, without `dense`).
        a: Rows of the coefficients below the diagonal; row i has i entries. In a method whose
            stages are coupled, all rows except the first, which is empty, are complete.
        diagonal: The diagonal of a diagonally implicit method, or None. All entries except a
            leading 0 are equal, so that one factorisation serves all stages.
        dense_a, dense_c: Rows and nodes of the stages that only the interpolant needs.
        is_pec: Whether the last stage, at a prediction of the end of the step, is also the first
            stage of the next step: a predictor-corrector pair in PEC mode.

    Raises:
        ValueError: Rows and weights do not fit together.

    Example:
        >>> import torch
        >>> from node_experiments.ode import Solver, Tableau, solve
        >>> ssp = Tableau(
        ...     "ssp_rk3", 3, a=((), (1.0,), (0.25, 0.25)), b=(1 / 6, 1 / 6, 2 / 3),
        ...     c=(0.0, 1.0, 0.5), reference="Shu & Osher 1988, equation 2.18",
        ... )
        >>> solver = Solver(ssp, num_steps=10)
        >>> round(solve(lambda t, y: -y, torch.ones(1), [0.0, 1.0], solver).ys[-1].item(), 4)
        0.3679
    """

    name: str
    order: int
    a: Rows
    b: tuple[float, ...]
    c: tuple[float, ...]
    reference: str = ""
    b_error: tuple[float, ...] | None = None
    embedded_order: int | None = None
    diagonal: tuple[float, ...] | None = None
    dense: Rows | None = None
    dense_order: int = 3
    dense_a: Rows = ()
    dense_c: tuple[float, ...] = ()
    is_pec: bool = False

    def __post_init__(self) -> None:
        self._check_sizes()
        # Computed here, because a solve that is traced to a graph cannot cache anything.
        for name, derived in vars(type(self)).items():
            if isinstance(derived, cached_property):
                getattr(self, name)

    def __repr__(self) -> str:
        return f"Tableau({self.name!r})"

    def _check_sizes(self) -> None:
        stages, lengths = len(self.b), [len(row) for row in self.a]
        below, coupled = list(range(stages)), [0, *[stages] * (stages - 1)]
        if stages == 0 or lengths not in (below, coupled):
            raise ValueError(
                f"the tableau {self.name!r} has {stages} weights in b, and rows of {lengths} "
                "coefficients in a; row i of an explicit or diagonally implicit method has i "
                f"coefficients: {below}"
            )
        for name in ("c", "b_error", "diagonal"):
            entries = getattr(self, name)
            if entries is not None and len(entries) != stages:
                raise ValueError(
                    f"the tableau {self.name!r} has {stages} weights in b and {len(entries)} "
                    f"entries in {name}"
                )

    @cached_property
    def stages(self) -> int:
        return len(self.b)

    @cached_property
    def explicit(self) -> bool:
        return self.diagonal is None and not self.coupled

    @cached_property
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
        """The stages after the first, grouped into those that are solved together."""
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
        return self.is_pec or (self.solution_is_last_stage and self.stages > 1)

    @cached_property
    def rows(self) -> tuple[Terms, ...]:
        """The weighted sums of stages in an explicit step, as (stage, weight) pairs.

        Row i gives the point of stage i, those of the interpolant after the others; the last row
        gives the solution at the end.
        """
        every = (*self.a, *self.dense_a, self.b)
        return tuple(
            tuple((j, weight) for j, weight in enumerate(row) if weight != 0.0) for row in every
        )

    @cached_property
    def every_node(self) -> tuple[float, ...]:
        """The nodes of the stages and of those that only the interpolant needs."""
        return (*self.c, *self.dense_c)

    @cached_property
    def last_row(self) -> int:
        """Index of the row that gives the solution at the end."""
        return self.stages - 1 if self.solution_is_last_stage else len(self.rows) - 1

    @cached_property
    def step_rows(self) -> tuple[int, ...]:
        """Indices of a step's rows: its stages, and its end unless that is a stage's point."""
        stages = range(self.stages)
        return (*stages,) if self.solution_is_last_stage else (*stages, len(self.rows) - 1)

    @cached_property
    def prefers_products(self) -> bool:
        """Whether sums of stages take fewer operations as matrix-vector products."""
        rows = [
            *self.rows[1 : self.stages],
            *([] if self.solution_is_last_stage else [self.rows[-1]]),
        ]
        chains = sum(1 if len(row) == 1 else len(row) + 1 for row in rows)
        return chains > self.stages + len(rows) + 1

    @cached_property
    def without_unweighted_stage(self) -> Tableau:
        """The same method without a last stage of weight 0, and without an error estimate."""
        if self.b[-1] != 0.0:
            return self
        return replace(self, a=self.a[:-1], b=self.b[:-1], c=self.c[:-1], b_error=None, dense=None)


def hermite_weights(theta: Any) -> tuple[Any, Any, Any, Any]:
    """Weights of y0, h f0, y1 and h f1 in the cubic Hermite interpolant at y(t + theta h)."""
    return (
        (1 + 2 * theta) * (1 - theta) ** 2,
        theta * (1 - theta) ** 2,
        theta**2 * (3 - 2 * theta),
        theta**2 * (theta - 1),
    )
