"""Butcher tableaus as data.

An explicit Runge-Kutta method with `s` stages is its coefficients alone:

    k_i = f(t + c_i h, y + h sum_{j<i} a_ij k_j),    y(t + h) = y + h sum_i b_i k_i.

`b_error` holds b - b_hat, the weights of the local error estimate, and row j of `dense` the
coefficients of theta, theta^2, ... in the weight that stage j has in y(t + theta h).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

__all__ = ["TABLEAUS", "Tableau"]


@dataclass(frozen=True)
class Tableau:
    """The coefficients of one explicit Runge-Kutta method, and where they were published."""

    name: str
    order: int
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]
    reference: str
    b_error: tuple[float, ...] | None = None
    embedded_order: int | None = None
    dense: tuple[tuple[float, ...], ...] | None = None

    @property
    def stages(self) -> int:
        return len(self.b)

    @property
    def adaptive(self) -> bool:
        return self.b_error is not None

    @cached_property
    def solution_is_last_stage(self) -> bool:
        """Whether y(t + h) is the point at which the last stage is evaluated."""
        return self.c[-1] == 1.0 and self.b[-1] == 0.0 and self.a[-1] == self.b[:-1]

    @cached_property
    def first_same_as_last(self) -> bool:
        """Whether the last stage of a step is the first stage of the next one."""
        return self.solution_is_last_stage


EULER = Tableau(
    name="euler",
    order=1,
    a=((),),
    b=(1.0,),
    c=(0.0,),
    reference="Euler 1768; Hairer, Norsett & Wanner I (1993), section II.1",
)

MIDPOINT = Tableau(
    name="midpoint",
    order=2,
    a=((), (1 / 2,)),
    b=(0.0, 1.0),
    c=(0.0, 1 / 2),
    reference="Runge 1895; Hairer, Norsett & Wanner I (1993), eq. II.1.4",
)

RK4 = Tableau(
    name="rk4",
    order=4,
    a=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
    c=(0.0, 1 / 2, 1 / 2, 1.0),
    reference="Kutta 1901; Hairer, Norsett & Wanner I (1993), table II.1.2",
)

DOPRI5 = Tableau(
    name="dopri5",
    order=5,
    embedded_order=4,
    a=(
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    b=(35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0),
    c=(0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    b_error=(
        35 / 384 - 5179 / 57600,
        0.0,
        500 / 1113 - 7571 / 16695,
        125 / 192 - 393 / 640,
        -2187 / 6784 + 92097 / 339200,
        11 / 84 - 187 / 2100,
        -1 / 40,
    ),
    dense=(
        (
            1.0,
            -8048581381 / 2820520608,
            8663915743 / 2820520608,
            -12715105075 / 11282082432,
        ),
        (0.0, 0.0, 0.0, 0.0),
        (
            0.0,
            131558114200 / 32700410799,
            -68118460800 / 10900136933,
            87487479700 / 32700410799,
        ),
        (
            0.0,
            -1754552775 / 470086768,
            14199869525 / 1410260304,
            -10690763975 / 1880347072,
        ),
        (
            0.0,
            127303824393 / 49829197408,
            -318862633887 / 49829197408,
            701980252875 / 199316789632,
        ),
        (
            0.0,
            -282668133 / 205662961,
            2019193451 / 616988883,
            -1453857185 / 822651844,
        ),
        (0.0, 40617522 / 29380423, -110615467 / 29380423, 69997945 / 29380423),
    ),
    reference="Dormand & Prince 1980; interpolant of order 4: Shampine 1986",
)

TABLEAUS = {tableau.name: tableau for tableau in (EULER, MIDPOINT, RK4, DOPRI5)}
