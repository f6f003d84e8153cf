"""Butcher tableaus of implicit methods: diagonally implicit ones, Gauss and Radau IIA.

All of their nodes lie inside the step with one exception: the third stage of `kvaerno5` is at
t + 1.23 h, so that it evaluates the vector field beyond the end of a step, and in the last step
beyond the end of the interval. If the field is not defined there, use `kvaerno3`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .butcher_tableau import Tableau

__all__ = ["IMPLICIT_TABLEAUS"]

IMPLICIT_EULER = Tableau(
    name="implicit_euler",
    order=1,
    # The derivative at the start has no weight: Newton's method starts from it.
    a=((), (0.0,)),
    diagonal=(0.0, 1.0),
    b=(0.0, 1.0),
    c=(0.0, 1.0),
    reference="Cauchy 1824; Hairer & Wanner II (1996), section IV.3; L-stable",
)

TRAPEZOID = Tableau(
    name="trapezoid",
    order=2,
    a=((), (1 / 2,)),
    diagonal=(0.0, 1 / 2),
    b=(1 / 2, 1 / 2),
    c=(0.0, 1.0),
    reference="Crank & Nicolson 1947; Dahlquist 1963; A-stable, but does not damp stiff modes",
)


IMPLICIT_MIDPOINT = Tableau(
    name="implicit_midpoint",
    order=2,
    a=((), (0.0,)),
    diagonal=(0.0, 1 / 2),
    b=(0.0, 1.0),
    c=(0.0, 1 / 2),
    reference="Gauss method of one stage: Hairer & Wanner II (1996), section IV.5; A-stable, "
    "symplectic",
)


def _sdirk2() -> Tableau:
    d = 1 - math.sqrt(1 / 2)
    return Tableau(
        name="sdirk2",
        order=2,
        a=((), (0.0,), (0.0, 1 - d)),
        diagonal=(0.0, d, d),
        b=(0.0, 1 - d, d),
        c=(0.0, d, 1.0),
        reference="Alexander 1977; L-stable",
    )


def _coupled(
    name: str,
    order: int,
    a: Sequence[Sequence[float]],
    b: Sequence[float],
    c: Sequence[float],
    reference: str,
) -> Tableau:
    """A method with coupled stages, which follow the derivative at the start with weight 0."""
    return Tableau(
        name=name,
        order=order,
        a=((), *((0.0, *row) for row in a)),
        b=(0.0, *b),
        c=(0.0, *c),
        reference=reference,
    )


def _radau3() -> Tableau:
    a = ((5 / 12, -1 / 12), (3 / 4, 1 / 4))
    reference = "Radau IIA of two stages: Hairer & Wanner II (1996), section IV.5; L-stable"
    return _coupled("radauIIA3", 3, a, a[-1], (1 / 3, 1.0), reference)


def _radau5() -> Tableau:
    r = math.sqrt(6)
    a = (
        ((88 - 7 * r) / 360, (296 - 169 * r) / 1800, (-2 + 3 * r) / 225),
        ((296 + 169 * r) / 1800, (88 + 7 * r) / 360, (-2 - 3 * r) / 225),
        ((16 - r) / 36, (16 + r) / 36, 1 / 9),
    )
    reference = "Radau IIA of three stages: Hairer & Wanner II (1996), section IV.5; L-stable"
    return _coupled("radauIIA5", 5, a, a[-1], ((4 - r) / 10, (4 + r) / 10, 1.0), reference)


def _gauss4() -> Tableau:
    r = math.sqrt(3)
    a = ((1 / 4, 1 / 4 - r / 6), (1 / 4 + r / 6, 1 / 4))
    reference = "Gauss-Legendre of two stages: Kuntzmann 1961, Butcher 1964; A-stable, symplectic"
    return _coupled("gl4", 4, a, (1 / 2, 1 / 2), (1 / 2 - r / 6, 1 / 2 + r / 6), reference)


def _gauss6() -> Tableau:
    r = math.sqrt(15)
    a = (
        (5 / 36, 2 / 9 - r / 15, 5 / 36 - r / 30),
        (5 / 36 + r / 24, 2 / 9, 5 / 36 - r / 24),
        (5 / 36 + r / 30, 2 / 9 + r / 15, 5 / 36),
    )
    c = (1 / 2 - r / 10, 1 / 2, 1 / 2 + r / 10)
    reference = (
        "Gauss-Legendre of three stages: Kuntzmann 1961, Butcher 1964; A-stable, symplectic"
    )
    return _coupled("gl6", 6, a, (5 / 18, 4 / 9, 5 / 18), c, reference)


def _trbdf2() -> Tableau:
    gamma = 2 - math.sqrt(2)
    d, w = gamma / 2, math.sqrt(2) / 4
    # The embedded solution has order 3 and is used only for the error.
    b_hat = ((1 - w) / 3, (3 * w + 1) / 3, d / 3)
    return Tableau(
        name="trbdf2",
        order=2,
        embedded_order=3,
        a=((), (d,), (w, w)),
        diagonal=(0.0, d, d),
        b=(w, w, d),
        c=(0.0, gamma, 1.0),
        b_error=(w - b_hat[0], w - b_hat[1], d - b_hat[2]),
        reference="Bank et al. 1985, error estimate of Hosea & Shampine 1996; L-stable",
    )


def _kvaerno3() -> Tableau:
    g = 0.4358665215084592  # the middle root of g^3 - 3 g^2 + 3/2 g - 1/6: L-stable
    a3 = ((-4 * g**2 + 6 * g - 1) / (4 * g), (-2 * g + 1) / (4 * g))
    a4 = ((6 * g - 1) / (12 * g), -1 / ((24 * g - 12) * g), (-6 * g**2 + 6 * g - 1) / (6 * g - 3))
    return Tableau(
        name="kvaerno3",
        order=3,
        embedded_order=2,
        a=((), (g,), a3, a4),
        diagonal=(0.0, g, g, g),
        b=(*a4, g),
        c=(0.0, 2 * g, 1.0, 1.0),
        b_error=(a4[0] - a3[0], a4[1] - a3[1], a4[2] - g, g),
        reference="Kvaerno 2004, ESDIRK 3(2) with both solutions stiffly accurate; L-stable",
    )


def _kvaerno5() -> Tableau:
    g = 0.26
    a6 = (0.13855640231268224, 0.0, -0.04245337201752043, 0.02446657898003141, 0.61943039072480676)
    a7 = (
        0.13659751177640291,
        0.0,
        -0.05496908796538376,
        -0.04118626728321046,
        0.62993304899016403,
        0.06962479448202728,
    )
    b_hat = (*a6, g, 0.0)
    b = (*a7, g)
    return Tableau(
        name="kvaerno5",
        order=5,
        embedded_order=4,
        a=(
            (),
            (g,),
            (0.13, 0.84033320996790809),
            (0.22371961478320505, 0.47675532319799699, -0.06470895363112615),
            (0.16648564323248321, 0.10450018841591720, 0.03631482272098715, -0.13090704451073998),
            a6,
            a7,
        ),
        diagonal=(0.0, g, g, g, g, g, g),
        b=b,
        c=(0.0, 0.52, 1.23033320996790809, 0.89576598435007593, 0.43639360985864756, 1.0, 1.0),
        b_error=tuple(x - y for x, y in zip(b, b_hat, strict=True)),
        reference="Kvaerno 2004, ESDIRK 5(4) with both solutions stiffly accurate; L-stable",
    )


IMPLICIT_TABLEAUS = {
    tableau.name: tableau
    for tableau in (
        IMPLICIT_EULER,
        IMPLICIT_MIDPOINT,
        TRAPEZOID,
        _sdirk2(),
        _trbdf2(),
        _kvaerno3(),
        _kvaerno5(),
        _radau3(),
        _radau5(),
        _gauss4(),
        _gauss6(),
    )
}
