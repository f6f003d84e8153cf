"""Steps of explicit Runge-Kutta methods as functions of tensors, with their gradients.

The times of a step arrive as one tensor `numbers`: its size h, then the times of its stages and of
those that only its interpolant needs, shape `(1 + stage,)`; see `nodes_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..methods.butcher_tableau import Tableau, Terms
from .capture import FieldGraph

__all__ = [
    "Derivative",
    "DerivativeGradient",
    "Start",
    "Step",
    "StepGradient",
    "Trial",
    "nodes_of",
]


def nodes_of(tableau: Tableau) -> tuple[float, ...]:
    """Fractions of a step at which `numbers` has times: its stages, those of its interpolant."""
    if tableau.dense is None and not tableau.first_same_as_last:
        return (*tableau.every_node, 1.0)
    return tableau.every_node


@dataclass(frozen=True)
class Derivative:
    """dy/dt at a state and the time `numbers[1]`."""

    field: FieldGraph

    def __call__(self, y: Tensor, numbers: Tensor, *tensors: Tensor) -> list[Tensor]:
        return [self.field(numbers[1], y, tensors).contiguous()]


@dataclass(frozen=True)
class Start:
    """The derivative at the start, and the norms of it and of the state, shape `(2,)`.

    Called with the state, `numbers`, rtol, atol and the tensors of the vector field.
    """

    field: FieldGraph

    def __call__(
        self, y: Tensor, numbers: Tensor, rtol: Tensor, atol: Tensor, *tensors: Tensor
    ) -> list[Tensor]:
        derivative = self.field(numbers[1], y, tensors).contiguous()
        scale = y.abs() * rtol + atol
        return [derivative, torch.stack([rms(y / scale), rms(derivative / scale)])]


@dataclass(frozen=True)
class Trial:
    """The norm of the change of the derivative along a step of Euler's method, 0-d.

    Called like `Start`, with the derivative after the state.
    """

    field: FieldGraph

    def __call__(
        self,
        y: Tensor,
        first: Tensor,
        numbers: Tensor,
        rtol: Tensor,
        atol: Tensor,
        *tensors: Tensor,
    ) -> list[Tensor]:
        derivative = self.field(numbers[1], y + numbers[0] * first, tensors)
        return [rms((derivative - first) / (y.abs() * rtol + atol))]


@dataclass(frozen=True)
class Step:
    """One step.

    Called with the state, its derivative (if it is given), `numbers`, the tolerances rtol and atol
    (if the error is measured in them), and the tensors of the vector field. Returns the state at
    the end; the derivative there, where it is the first stage of the next step; what is measured
    of the error; and the stages, shape `(stage, n)`, if they are wanted.

    Attributes:
        measure: `ratio`, the root mean square of the local error in multiples of the tolerance;
            `error`, the estimate itself; or `nothing`.
        given: Whether the derivative at the start is known.
        with_stages: Whether the stages are returned, those of the interpolant among them.
    """

    field: FieldGraph
    tableau: Tableau
    measure: str
    given: bool
    with_stages: bool

    def __call__(self, y: Tensor, *inputs: Tensor) -> list[Tensor]:
        rest = list(inputs)
        first = rest.pop(0) if self.given else None
        numbers = rest.pop(0)
        tolerances = [rest.pop(0), rest.pop(0)] if self.measure == "ratio" else []
        end, stages = self.points(y, first, numbers, rest)
        outputs = [end]
        if self.tableau.first_same_as_last:
            outputs.append(stages[self.tableau.stages - 1])
        if self.measure != "nothing":
            assert self.tableau.b_error is not None
            error = numbers[0] * weighted(tuple(enumerate(self.tableau.b_error)), stages)
            if tolerances:
                rtol, atol = tolerances
                error = rms(error / (torch.maximum(y.abs(), end.abs()) * rtol + atol))
            outputs.append(error)
        if self.with_stages:
            outputs.append(torch.stack(stages).view(len(stages), -1))
        return [x.contiguous() for x in outputs]

    def points(
        self, y: Tensor, first: Tensor | None, numbers: Tensor, tensors: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """The state at the end, and the stages.

        Increments are summed before they are added to the state, which rounds once.
        """
        tableau = self.tableau
        size, *times = numbers.unbind()
        stages = [] if first is None else [first]
        count = len(tableau.rows) - 1 if self.with_stages else tableau.stages
        end = point = y
        for i in range(len(stages), count):
            terms = tableau.rows[i]
            point = y + size * weighted(terms, stages) if terms else y
            if i == tableau.last_row:
                end = point
            stages.append(self.field(times[i], point, tensors))
        if not tableau.solution_is_last_stage:
            end = y + size * weighted(tableau.rows[-1], stages)
        if self.with_stages and len(stages) < len(times):
            stages.append(self.field(times[-1], end, tensors))
        return end, stages


@dataclass(frozen=True)
class StepGradient:
    """The gradient of a step, which is made again from its start.

    Called with the state, its derivative (if given), `numbers`, the gradients that arrive at what
    the step returned (without its error), the tensors of the vector field, and the sums to which
    the gradients of those that need one are added. Returns the gradients of the state and of its
    derivative (if given), and the sums.
    """

    is_gradient: ClassVar[bool] = True
    step: Step
    needed: tuple[int, ...]

    def __call__(self, y: Tensor, *inputs: Tensor) -> list[Tensor]:
        step, rest = self.step, list(inputs)
        first = [rest.pop(0)] if step.given else []
        numbers = rest.pop(0)
        arrived = [rest.pop(0) for _ in range(self.outputs)]
        count = len(step.field.places)
        tensors, sums = rest[:count], rest[count:]

        def outputs(y: Tensor, *moving: Tensor) -> list[Tensor]:
            known = moving[0] if step.given else None
            read = replaced(tensors, self.needed, moving[len(first) :])
            end, stages = step.points(y, known, numbers, read)
            results = [end]
            if step.tableau.first_same_as_last:
                results.append(stages[step.tableau.stages - 1])
            if step.with_stages:
                results.append(torch.stack(stages).view(len(stages), -1))
            return results

        moving = [tensors[i] for i in self.needed]
        pull = pullback(outputs, y, *first, *moving)
        grads = list(pull(arrived))
        own = 1 + len(first)
        added = [total + grad for total, grad in zip(sums, grads[own:], strict=True)]
        return [x.contiguous() for x in (*grads[:own], *added)]

    @property
    def outputs(self) -> int:
        return 1 + self.step.tableau.first_same_as_last + self.step.with_stages


@dataclass(frozen=True)
class DerivativeGradient:
    """The gradient of one evaluation at the time `numbers[1]`, added to what there is.

    Called with the state, `numbers`, the gradient of the derivative, that of the state so far, the
    tensors of the vector field and the sums; returns the gradient of the state and the sums.
    """

    is_gradient: ClassVar[bool] = True
    field: FieldGraph
    needed: tuple[int, ...]

    def __call__(
        self, y: Tensor, numbers: Tensor, arrived: Tensor, grad_y: Tensor, *inputs: Tensor
    ) -> list[Tensor]:
        count = len(self.field.places)
        tensors, sums = inputs[:count], inputs[count:]

        def derivative(y: Tensor, *moving: Tensor) -> Tensor:
            return self.field(numbers[1], y, replaced(tensors, self.needed, moving))

        pull = pullback(derivative, y, *(tensors[i] for i in self.needed))
        moved, *grads = pull(arrived)
        added = [total + grad for total, grad in zip(sums, grads, strict=True)]
        return [x.contiguous() for x in (grad_y + moved, *added)]


def pullback(function: Callable[..., Any], *inputs: Tensor) -> Callable[..., Sequence[Tensor]]:
    """The product with the transposed Jacobian at `inputs`."""
    found: Any = torch.func.vjp(function, *inputs)
    pull: Callable[..., Sequence[Tensor]] = found[1]
    return pull


def weighted(terms: Terms, stages: Sequence[Tensor]) -> Tensor:
    """A sum of stages by their weights."""
    parts = [stages[j] if weight == 1.0 else stages[j] * weight for j, weight in terms if weight]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def rms(x: Tensor) -> Tensor:
    """Root mean square, 0-d."""
    return torch.linalg.vector_norm(x) / x.numel() ** 0.5


def replaced(
    tensors: Sequence[Tensor], places: Sequence[int], others: Sequence[Tensor]
) -> list[Tensor]:
    """The tensors with others at some places."""
    result = list(tensors)
    for place, other in zip(places, others, strict=True):
        result[place] = other
    return result
