"""Steps of explicit Runge-Kutta methods as functions of tensors, with their gradients.

A step receives its size h and its times as one tensor `size_and_times`: h, then the times of its
stages and of those that only its interpolant needs, shape `(1 + stage,)`; see `nodes_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..methods.butcher_tableau import Tableau, Terms
from ..norms import rms_norm
from .capture import FieldGraph

__all__ = [
    "Derivative",
    "DerivativeGradient",
    "EulerTrial",
    "Start",
    "Step",
    "StepGradient",
    "nodes_of",
]


def nodes_of(tableau: Tableau) -> tuple[float, ...]:
    """Nodes of a step's times: those of the stages, then those of the interpolant."""
    if tableau.dense is None and not tableau.first_same_as_last:
        return (*tableau.every_node, 1.0)
    return tableau.every_node


@dataclass(frozen=True)
class Derivative:
    """dy/dt at a state and the time `size_and_times[1]`."""

    field: FieldGraph

    def __call__(self, y: Tensor, size_and_times: Tensor, *tensors: Tensor) -> list[Tensor]:
        return [self.field(size_and_times[1], y, tensors).contiguous()]


@dataclass(frozen=True)
class Start:
    """The derivative at the start, and the norms of state and derivative, shape `(2,)`.

    Called with the state, `size_and_times`, rtol, atol and the tensors of the vector field.
    """

    field: FieldGraph

    def __call__(
        self, y: Tensor, size_and_times: Tensor, rtol: Tensor, atol: Tensor, *tensors: Tensor
    ) -> list[Tensor]:
        derivative = self.field(size_and_times[1], y, tensors).contiguous()
        scale = y.abs() * rtol + atol
        return [derivative, torch.stack([rms_norm(y / scale), rms_norm(derivative / scale)])]


@dataclass(frozen=True)
class EulerTrial:
    """The norm of the change of the derivative in a step of Euler's method, 0-d.

    Called like `Start`, with the derivative after the state.
    """

    field: FieldGraph

    def __call__(
        self,
        y: Tensor,
        first: Tensor,
        size_and_times: Tensor,
        rtol: Tensor,
        atol: Tensor,
        *tensors: Tensor,
    ) -> list[Tensor]:
        derivative = self.field(size_and_times[1], y + size_and_times[0] * first, tensors)
        return [rms_norm((derivative - first) / (y.abs() * rtol + atol))]


@dataclass(frozen=True)
class Step:
    """One explicit Runge-Kutta step.

    Called with the state, its derivative (if `has_first`), `size_and_times`, the tolerances rtol
    and atol (if the error is measured in them), and the tensors of the vector field. Returns the
    state at the end; the derivative there, if it is the first stage of the next step; the measure
    of the error, if any; and the stages, shape `(stage, n)`, if they are requested.

    Attributes:
        measure: `ratio`, the root mean square of the local error in multiples of the tolerance;
            `error`, the estimate itself; or `nothing`.
        has_first: Whether the derivative at the start is an input.
        with_stages: Whether the stages are returned, including those of the interpolant.
    """

    field: FieldGraph
    tableau: Tableau
    measure: str
    has_first: bool
    with_stages: bool

    def __call__(self, y: Tensor, *inputs: Tensor) -> list[Tensor]:
        rest = list(inputs)
        first = rest.pop(0) if self.has_first else None
        size_and_times = rest.pop(0)
        tolerances = [rest.pop(0), rest.pop(0)] if self.measure == "ratio" else []
        end, stages = self.points(y, first, size_and_times, rest)
        outputs = [end]
        if self.tableau.first_same_as_last:
            outputs.append(stages[self.tableau.stages - 1])
        if self.measure != "nothing":
            assert self.tableau.b_error is not None
            error = size_and_times[0] * weighted(tuple(enumerate(self.tableau.b_error)), stages)
            if tolerances:
                rtol, atol = tolerances
                error = rms_norm(error / (torch.maximum(y.abs(), end.abs()) * rtol + atol))
            outputs.append(error)
        if self.with_stages:
            outputs.append(torch.stack(stages).view(len(stages), -1))
        return [x.contiguous() for x in outputs]

    def points(
        self, y: Tensor, first: Tensor | None, size_and_times: Tensor, tensors: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """The state at the end, and the stages.

        Increments are summed before they are added to the state, which rounds once.
        """
        tableau = self.tableau
        size, *times = size_and_times.unbind()
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
    """The gradient of a step, which is recomputed from its start.

    Called with the state, its derivative (if given), `size_and_times`, the gradients of the step's
    outputs (without its error), the tensors of the vector field, and the sums to which the
    gradients of those that need one are added. Returns the gradients of the state and of its
    derivative (if given), and the sums.
    """

    is_gradient: ClassVar[bool] = True
    step: Step
    needed: tuple[int, ...]

    def __call__(self, y: Tensor, *inputs: Tensor) -> list[Tensor]:
        step, rest = self.step, list(inputs)
        first = [rest.pop(0)] if step.has_first else []
        size_and_times = rest.pop(0)
        arrived = [rest.pop(0) for _ in range(self.outputs)]
        count = len(step.field.positions)
        tensors, sums = rest[:count], rest[count:]

        def outputs(y: Tensor, *moving: Tensor) -> list[Tensor]:
            known = moving[0] if step.has_first else None
            read = replaced(tensors, self.needed, moving[len(first) :])
            end, stages = step.points(y, known, size_and_times, read)
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
    """The gradient of one evaluation, added to the gradients so far.

    Called with the state, `size_and_times`, whose second entry is the time of the evaluation, the
    gradient of the derivative, that of the state so far, the tensors of the vector field and the
    sums; returns the gradient of the state and the sums.
    """

    is_gradient: ClassVar[bool] = True
    field: FieldGraph
    needed: tuple[int, ...]

    def __call__(
        self, y: Tensor, size_and_times: Tensor, arrived: Tensor, grad_y: Tensor, *inputs: Tensor
    ) -> list[Tensor]:
        count = len(self.field.positions)
        tensors, sums = inputs[:count], inputs[count:]

        def derivative(y: Tensor, *moving: Tensor) -> Tensor:
            return self.field(size_and_times[1], y, replaced(tensors, self.needed, moving))

        pull = pullback(derivative, y, *(tensors[i] for i in self.needed))
        moved, *grads = pull(arrived)
        added = [total + grad for total, grad in zip(sums, grads, strict=True)]
        return [x.contiguous() for x in (grad_y + moved, *added)]


def pullback(function: Callable[..., Any], *inputs: Tensor) -> Callable[..., Sequence[Tensor]]:
    """The function that multiplies by the transposed Jacobian at `inputs`."""
    found: Any = torch.func.vjp(function, *inputs)
    pull: Callable[..., Sequence[Tensor]] = found[1]
    return pull


def weighted(terms: Terms, stages: Sequence[Tensor]) -> Tensor:
    """The weighted sum of stages."""
    parts = [stages[j] if weight == 1.0 else stages[j] * weight for j, weight in terms if weight]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def replaced(
    tensors: Sequence[Tensor], positions: Sequence[int], others: Sequence[Tensor]
) -> list[Tensor]:
    """Copy the list of tensors, with others at some positions."""
    result = list(tensors)
    for position, other in zip(positions, others, strict=True):
        result[position] = other
    return result
