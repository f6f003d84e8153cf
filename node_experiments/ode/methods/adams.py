"""The Adams method of variable step and order.

It predicts, evaluates, corrects and evaluates again (PECE), in Krogh's formulation with modified
divided differences (Hairer, Norsett & Wanner I, section III.5):

    p_{n+1} = y_n + h sum_{j<k} g_j phi*_j(n),
    y_{n+1} = p_{n+1} + h g_k phi_k(n+1),    phi_k(n+1) = f(p_{n+1}) - sum_{j<k} phi*_j(n).

It starts with order 1 and small steps, and chooses the order whose error is the smallest (Shampine
& Gordon 1975, chapter 7). This is the family of the solver that Chen et al. 2018 used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from ..flat_field import FlatField
from ..norms import rms_norm
from .base import Interpolant, OrderSelection, Stepper

__all__ = ["VariableAdams", "times_linear"]

HIGHEST_ORDER = 12


class VariableAdams(Stepper):
    """Steps of the variable-step, variable-order predictor-corrector, without a graph.

    Args:
        field: The vector field on `(n + q,)`.
        n: Size of the state.
        rtol, atol: Tolerances, numbers or one per component; the errors of neighbouring orders are
            compared in their units.
        max_order: Highest order of the predictor; 12 when None.
        quadrature: Where integrals along the solution are accumulated, shape `(q,)`, or None.

    Attributes:
        order: Order k of the predictor that the next step uses.
    """

    needs_accept = True
    chooses_order = True

    def __init__(
        self,
        field: FlatField,
        n: int,
        rtol: float | Tensor,
        atol: float | Tensor,
        max_order: int | None = None,
        quadrature: Tensor | None = None,
    ):
        self._field, self._n = field, n
        self._rtol, self._atol = rtol, atol
        self._max_order = max_order or HIGHEST_ORDER
        self._quadrature = quadrature
        self.reset()

    def reset(self) -> None:
        """Start again with order 1."""
        self.order = 1
        self._times: list[float] = []
        self._phi = torch.empty(0)
        self._starting = True
        self._failures = 0
        self._steps_of_order = 0
        self._end: Tensor | None = None
        self._sizes: list[float] = []

    def order_selection(self) -> OrderSelection:
        return self

    def derivative(self, t: float, y: Tensor) -> Tensor:
        if not self._times:
            self._phi = self._field(t, y).unsqueeze(0)
            self._times = [t]
        return self._phi[0, : self._n]

    def evaluate(self, t: float, y: Tensor) -> Tensor:
        return self._field(t, y)[: self._n]

    def step(self, t: float, h: float, y: Tensor) -> Tensor:
        self.derivative(t, y)
        k, n = self.order, self._n
        self._used = k
        self._g, beta = self._coefficients(t + h)
        # One row more than the order uses, if there is one, estimates the error of the next order.
        starred = self._phi[: k + 1] * self._phi.new_tensor(beta).unsqueeze(1)
        self._sums = starred.cumsum(0)
        predicted = self._phi.new_tensor(self._g[:k]) @ starred[:k] * h
        y_predicted = y + predicted[:n]
        self._differences = self._field(t + h, y_predicted) - self._sums
        correction = self._differences[k - 1] * (h * self._g[k])
        self._increment = predicted[n:] + correction[n:]
        self._t_next, self._y, self._end = t + h, y, None
        self._y_next = y_predicted + correction[:n]
        # The error of order k; the corrected solution is one order better.
        self.error = self._error_of(k, h)[:n]
        return self._y_next

    def quadrature_increment(self, h: float) -> Tensor:
        return self._increment

    def quadrature_error(self, h: float) -> Tensor:
        return self._error_of(self.order, h)[self._n :]

    def read(self, ratio: Tensor, h: float) -> float:
        sizes = self._error_sizes(h)
        together = torch.cat([ratio.reshape(1).to(sizes.dtype), sizes])
        number, *self._sizes = together.double().cpu().tolist()
        return number

    def choose(self, h: float, ratio: float) -> float:
        """Choose the order of the next step, after one whose error is `ratio` times the tolerance.

        Returns:
            The factor by which to change the step.
        """
        k = self.order
        errors = self._relative_errors(h)
        lower = max((errors[j] for j in (k - 1, k - 2) if j in errors), default=math.inf)
        if ratio > 1 or math.isnan(ratio):
            return self._after_failure(ratio, lower)
        self._failures = 0
        self._steps_of_order += 1
        if k > 1 and lower <= 1:
            self._starting = False
            self._change_order(k - 1)
        elif self._starting and k < self._max_order and ratio * 2 ** (k + 1) <= 0.5:
            self._change_order(k + 1)
            return 2.0
        else:
            self._starting = False
            higher = errors.get(k + 1, math.inf)
            if (
                k < self._max_order
                and self._steps_of_order > k
                and higher < (0.5 if k == 1 else 1)
            ):
                self._change_order(k + 1)
        k = self.order
        ratio *= errors.get(k, 1.0)
        if ratio * 2 ** (k + 1) <= 0.5:
            return 2.0
        if ratio <= 0.5:
            return 1.0
        return min(max((0.5 / ratio) ** (1 / (k + 1)), 0.5), 0.9)

    def accept(self, h: float) -> None:
        """Accept the last step: evaluate at its end, and extend the history."""
        if self._quadrature is not None:
            self._quadrature.add_(self._increment)
        self._phi = self._phi_at_end()[: self._max_order + 2]
        self._times = [self._t_next, *self._times[: self._max_order + 1]]

    def interpolant(self, t: float, h: float, y0: Tensor, y1: Tensor) -> Interpolant:
        """The integral of the polynomial through the derivatives that the step used."""
        phi = self._phi_at_end()[: self._used + 1, : self._n]
        nodes = [self._t_next, *self._times][: len(phi)]
        return partial(newton_integral, y1, phi, [(x - t) / h for x in nodes], h)

    def _phi_at_end(self) -> Tensor:
        """Modified divided differences at the end of the last step, shape `(rows, n + q)`."""
        if self._end is None:
            end = self._field(self._t_next, self._y_next)
            self._end = torch.cat([end.unsqueeze(0), end - self._sums])
        return self._end

    def _coefficients(self, t_next: float) -> tuple[list[float], list[float]]:
        """Coefficients g_0, ..., g_{k+1} and beta_0, ..., beta_k, as far as the history goes."""
        k, x = self.order, self._times
        h = t_next - x[0]
        count = min(k + 1, len(x), len(self._phi))
        beta = [1.0]
        for j in range(1, count):
            beta.append(beta[-1] * (t_next - x[j - 1]) / (x[0] - x[j]))
        c = [1 / q for q in range(1, count + 2)]
        g = [c[0]]
        for j in range(1, count + 1):
            ratio = h / (t_next - x[j - 1])
            c = [a - b * ratio for a, b in pairwise(c)]
            g.append(c[0])
        return g, beta

    def _error_of(self, order: int, h: float) -> Tensor:
        return self._differences[order - 1] * (h * (self._g[order] - self._g[order - 1]))

    def _relative_errors(self, h: float) -> dict[int, float]:
        """Errors of the neighbouring orders in multiples of that of order k."""
        k = self.order
        sizes = self._sizes or self._error_sizes(h).tolist()
        self._sizes = []
        values = dict(zip(self._neighbours(), sizes, strict=True))
        own = values.pop(k)
        if not own > 0 or not math.isfinite(own):
            return {}
        return {j: value / own for j, value in values.items()}

    def _neighbours(self) -> list[int]:
        return [
            j for j in range(max(1, self.order - 2), self.order + 2) if j <= len(self._differences)
        ]

    def _error_sizes(self, h: float) -> Tensor:
        """Errors of order k and of its neighbours in multiples of the tolerance."""
        scale = self._y.abs().mul_(self._rtol).add_(self._atol)
        errors = [self._error_of(j, h)[: self._n] / scale for j in self._neighbours()]
        return rms_norm(torch.stack(errors), dim=1)

    def _after_failure(self, ratio: float, lower: float) -> float:
        self._starting = False
        self._failures += 1
        if self._failures >= 3:
            self._change_order(1)
            return 0.25
        if self.order > 1 and lower <= 1:
            self._change_order(self.order - 1)
        return 0.5 if math.isfinite(ratio) else 0.1

    def _change_order(self, order: int) -> None:
        self.order = order
        self._steps_of_order = 0


def times_linear(polynomial: list[float], root: float, scale: float) -> list[float]:
    """Coefficients of polynomial(u) (u - root) / scale, lowest power first."""
    low = [-root * c / scale for c in polynomial] + [0.0]
    high = [0.0] + [c / scale for c in polynomial]
    return [a + b for a, b in zip(low, high, strict=True)]


def newton_integral(
    y1: Tensor, phi: Tensor, nodes: list[float], h: float, thetas: Sequence[float]
) -> Tensor:
    """y1 plus the integral from 1 to theta of the polynomial with these divided differences.

    Args:
        phi: Modified divided differences at the first node, shape `(differences, n)`.
        nodes: Nodes of the differences, in units of the step, from 1 downwards.
    """
    # In powers of v = u - 1, which stays within [-1, 0].
    polynomial, integrals = [1.0], []
    for j in range(len(phi)):
        if j:
            polynomial = times_linear(polynomial, nodes[j - 1] - 1, 1 - nodes[j])
        integrals.append([c / (p + 1) for p, c in enumerate(polynomial)])
    weights = [
        [h * sum(c * (theta - 1) ** (p + 1) for p, c in enumerate(row)) for row in integrals]
        for theta in thetas
    ]
    return torch.addmm(y1, phi.new_tensor(weights), phi)
