"""Butcher tableaus of the explicit methods; their coefficients are explained in `Tableau`."""

from __future__ import annotations

from .butcher_tableau import Tableau, hermite_weights
from .explicit_tableaus_high_order import DOPRI8, VERN7
from .implicit_tableaus import IMPLICIT_TABLEAUS

__all__ = ["EXPLICIT_TABLEAUS", "TABLEAUS", "Tableau"]

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

HEUN = Tableau(
    name="heun",
    order=2,
    a=((), (1.0,)),
    b=(1 / 2, 1 / 2),
    c=(0.0, 1.0),
    reference="Heun 1900; Hairer, Norsett & Wanner I (1993), section II.1",
)

RALSTON = Tableau(
    name="ralston",
    order=2,
    a=((), (2 / 3,)),
    b=(1 / 4, 3 / 4),
    c=(0.0, 2 / 3),
    reference="Ralston 1962: the second-order method with the smallest error bound",
)

HEUN3 = Tableau(
    name="heun3",
    order=3,
    a=((), (1 / 3,), (0.0, 2 / 3)),
    b=(1 / 4, 0.0, 3 / 4),
    c=(0.0, 1 / 3, 2 / 3),
    reference="Heun 1900; Hairer, Norsett & Wanner I (1993), table II.1.1",
)

RK4 = Tableau(
    name="rk4",
    order=4,
    a=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
    c=(0.0, 1 / 2, 1 / 2, 1.0),
    reference="Kutta 1901; Hairer, Norsett & Wanner I (1993), table II.1.2",
)

RK38 = Tableau(
    name="rk38",
    order=4,
    a=((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)),
    b=(1 / 8, 3 / 8, 3 / 8, 1 / 8),
    c=(0.0, 1 / 3, 2 / 3, 1.0),
    reference="Kutta 1901, the 3/8 rule; Hairer, Norsett & Wanner I (1993), table II.1.2",
)

# The next two methods are predictor-corrector pairs in PEC mode (Lambert 1991, section 4.4), as in
# torchdiffeq: a step begins with f_n = f(t_n, p_n) at the prediction p_n that the step before made
# for its end, and saves the evaluation f(t_n, y_n). With p_{n+1} = y_n + h f_n and
# y_{n+1} = y_n + h (f_n + f_{n+1}) / 2 the prediction has an error of O(h^2), because the error of
# f_n is multiplied by h; f_{n+1} has the same, and the correction, again multiplied by h, has an
# error of O(h^3) in one step. So order 2 is kept. For equal steps
# p_{n+1} - p_n = h (3 f_n - f_{n-1}) / 2, which is the method of Adams and Bashforth. On
# y' = z y / h the characteristic polynomial is that of this method,
# mu^2 - (1 + 3 z / 2) mu + z / 2, which is stable on the real axis down to z = -1 with one
# evaluation per step, while two evaluations at the corrected states are stable down to -2: no
# stability is lost at equal cost, and the error constant of J y'' doubles. The prediction of
# `fehlberg2` is within h^2 y'' / 512 of its end, and its constants stay the same within 1 %.
ADAPTIVE_HEUN = Tableau(
    name="adaptive_heun",
    order=2,
    embedded_order=1,
    a=((), (1.0,)),
    b=(1 / 2, 1 / 2),
    c=(0.0, 1.0),
    b_error=(-1 / 2, 1 / 2),
    is_pec=True,
    reference="Heun 1900, with Euler's method as the embedded one, in PEC mode",
)

FEHLBERG2 = Tableau(
    name="fehlberg2",
    order=2,
    embedded_order=1,
    a=((), (1 / 2,), (1 / 256, 255 / 256)),
    b=(1 / 512, 255 / 256, 1 / 512),
    c=(0.0, 1 / 2, 1.0),
    b_error=(1 / 512 - 1 / 256, 0.0, 1 / 512),
    is_pec=True,
    reference="Fehlberg 1969, RKF1(2), advanced with the second-order solution, in PEC mode",
)

BOSH3 = Tableau(
    name="bosh3",
    order=3,
    embedded_order=2,
    a=((), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
    b=(2 / 9, 1 / 3, 4 / 9, 0.0),
    c=(0.0, 1 / 2, 3 / 4, 1.0),
    b_error=(2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8),
    reference="Bogacki & Shampine 1989",
)

# The third-order solution of `bosh3`, with an error estimate that needs no derivative at the end
# of the step: one evaluation less if the next step cannot begin with that derivative.
RALSTON3 = Tableau(
    name="ralston3",
    order=3,
    embedded_order=2,
    a=((), (1 / 2,), (0.0, 3 / 4)),
    b=(2 / 9, 1 / 3, 4 / 9),
    c=(0.0, 1 / 2, 3 / 4),
    b_error=(2 / 9, 1 / 3 - 1, 4 / 9),
    reference="Ralston 1962, with the midpoint method as the embedded one",
)


def _fehlberg45() -> Tableau:
    b = (16 / 135, 0.0, 6656 / 12825, 28561 / 56430, -9 / 50, 2 / 55)
    # The pair was published without an interpolant. The derivatives at the end and at the point
    # `node` of the cubic Hermite interpolant give one of order 4 (Hairer I, section II.6,
    # bootstrapping).
    node = 1 / 4
    _, start_slope, ends, end_slope = hermite_weights(node)
    # y' is the parabola through the three derivatives plus a multiple of `bump`, which vanishes at
    # all three; the multiple makes y meet the solution at the end.
    at_start = (1.0, -1 - 1 / node, 1 / node)
    at_end = (0.0, -node / (1 - node), 1 / (1 - node))
    at_node = (0.0, 1 / (node * (1 - node)), -1 / (node * (1 - node)))
    bump = (0.0, -node, 1 + node, -1.0)
    area = sum(c / (p + 1) for p, c in enumerate(bump))

    def primitive(slope: tuple[float, ...], weight: float) -> tuple[float, ...]:
        missing = (weight - sum(c / (p + 1) for p, c in enumerate(slope))) / area
        padded = (*slope, *[0.0] * (4 - len(slope)))
        return tuple(
            (c + missing * d) / (p + 1) for p, (c, d) in enumerate(zip(padded, bump, strict=True))
        )

    return Tableau(
        name="fehlberg45",
        order=5,
        embedded_order=4,
        dense_order=4,
        a=(
            (),
            (1 / 4,),
            (3 / 32, 9 / 32),
            (1932 / 2197, -7200 / 2197, 7296 / 2197),
            (439 / 216, -8.0, 3680 / 513, -845 / 4104),
            (-8 / 27, 2.0, -3544 / 2565, 1859 / 4104, -11 / 40),
        ),
        b=b,
        c=(0.0, 1 / 4, 3 / 8, 12 / 13, 1.0, 1 / 2),
        b_error=(
            16 / 135 - 25 / 216,
            0.0,
            6656 / 12825 - 1408 / 2565,
            28561 / 56430 - 2197 / 4104,
            -9 / 50 + 1 / 5,
            2 / 55,
        ),
        dense_a=(b, (ends * b[0] + start_slope, *(ends * w for w in b[1:]), end_slope)),
        dense_c=(1.0, node),
        dense=(
            primitive(at_start, b[0]),
            *(primitive((), weight) for weight in b[1:]),
            primitive(at_end, 0.0),
            primitive(at_node, 0.0),
        ),
        reference="Fehlberg 1969, RKF4(5), advanced with the fifth-order solution",
    )


# fmt: off
DOPRI5 = Tableau(
    name="dopri5",
    order=5,
    embedded_order=4,
    dense_order=4,
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
        35 / 384 - 5179 / 57600, 0.0, 500 / 1113 - 7571 / 16695, 125 / 192 - 393 / 640,
        -2187 / 6784 + 92097 / 339200, 11 / 84 - 187 / 2100, -1 / 40,
    ),
    dense=(
        (
            1.0, -8048581381 / 2820520608, 8663915743 / 2820520608, -12715105075 / 11282082432,
        ),
        (0.0, 0.0, 0.0, 0.0),
        (
            0.0, 131558114200 / 32700410799, -68118460800 / 10900136933,
            87487479700 / 32700410799,
        ),
        (
            0.0, -1754552775 / 470086768, 14199869525 / 1410260304, -10690763975 / 1880347072,
        ),
        (
            0.0, 127303824393 / 49829197408, -318862633887 / 49829197408,
            701980252875 / 199316789632,
        ),
        (0.0, -282668133 / 205662961, 2019193451 / 616988883, -1453857185 / 822651844),
        (0.0, 40617522 / 29380423, -110615467 / 29380423, 69997945 / 29380423),
    ),
    reference="Dormand & Prince 1980; interpolant of order 4: Shampine 1986",
)

TSIT5 = Tableau(
    name="tsit5",
    order=5,
    embedded_order=4,
    dense_order=4,
    a=(
        (),
        (161 / 1000,),
        (-0.008480655492356989, 0.335480655492357),
        (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
        (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
        (
            5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401,
            -0.028269050394068383,
        ),
        (
        0.09646076681806523, 1 / 100, 0.4798896504144996, 1.379008574103742, -3.290069515436081,
        2.324710524099774, ),
    ),
    b=(
        0.09646076681806523, 1 / 100, 0.4798896504144996, 1.379008574103742, -3.290069515436081,
        2.324710524099774, 0.0,
    ),
    c=(0.0, 161 / 1000, 327 / 1000, 9 / 10, 0.9800255409045097, 1.0, 1.0),
    b_error=(
        0.0017800110522257773, 0.0008164344596567463, -0.007880878010261994, 0.1447110071732629,
        -0.5823571654525552, 0.45808210592918686, -1 / 66,
    ),
    dense=(
        (1.0, -2.763706197274826, 2.9132554618219126, -1.0530884977290216),
        (0.0, 0.1317, -0.2234, 0.1017),
        (0.0, 3.930296236894751, -5.941033872131505, 2.490627285651253),
        (0.0, -12.411077166933676, 30.338188630282318, -16.548102889244902),
        (0.0, 37.50931341651104, -88.1789048947664, 47.37952196281928),
        (0.0, -27.896526289197286, 65.09189467479368, -34.87065786149661),
        (0.0, 1.5, -4.0, 2.5),
    ),
    reference="Tsitouras 2011, with its interpolant of order 4",
)
# fmt: on

EXPLICIT_TABLEAUS = {
    tableau.name: tableau
    for tableau in (
        EULER,
        MIDPOINT,
        HEUN,
        RALSTON,
        HEUN3,
        RK4,
        RK38,
        ADAPTIVE_HEUN,
        FEHLBERG2,
        BOSH3,
        RALSTON3,
        _fehlberg45(),
        DOPRI5,
        TSIT5,
        VERN7,
        DOPRI8,
    )
}

TABLEAUS = EXPLICIT_TABLEAUS | IMPLICIT_TABLEAUS
