"""Explicit Runge-Kutta steps of samples, which differ in time and size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .methods.explicit_runge_kutta import ExplicitRungeKutta
from .methods.interpolation import output_weights
from .problem import Problem
from .solution import StepCounts

__all__ = ["AcceptedSteps", "OutputsInside", "SampleSteps", "spread"]


@dataclass(frozen=True)
class OutputsInside:
    """Outputs inside or at the ends of steps; all shapes are `(output,)`.

    Attributes:
        place: Which output time.
        rows: The step, by its number among those that were accepted together.
        theta: Position in the step, 0 at its start and 1 at its end.
    """

    place: Tensor
    rows: Tensor
    theta: Tensor


@dataclass(frozen=True)
class AcceptedSteps:
    """Steps that were made and accepted together, shapes `(step,)`, on the host.

    Attributes:
        samples: Which samples of the initial state they belong to.
        rows: Which of the samples then under way.
        t, h: Where each step starts, and its size.
        outputs: Those that the steps reach, if any.
        keep: Which of the samples under way have not reached the end after these steps; None
            where all continue.
    """

    samples: Tensor
    rows: Tensor
    t: Tensor
    h: Tensor
    outputs: OutputsInside | None
    keep: Tensor | None


class SampleSteps(ExplicitRungeKutta[Tensor]):
    """Steps whose times and sizes are those of samples, shape `(sample,)`, on the host.

    The vector field is given times of the shape `(sample, 1, ..., 1)`.

    Args:
        counts: Where evaluations are counted.
        args: Arguments of the vector field.
        adaptive: Whether errors are estimated.
    """

    def __init__(self, problem: Problem, counts: StepCounts, args: Sequence[Any], adaptive: bool):
        self._like = problem.y0
        super().__init__(
            problem.tableau,
            problem.func,
            problem.y0,
            counts,
            args=args,
            adaptive=adaptive,
            records=True,
            clock=self._moments,
        )

    def _moments(
        self, t: Tensor, h: Tensor, nodes: Sequence[float]
    ) -> tuple[list[Tensor], Tensor]:
        return [spread(t + c * h, self._like) for c in nodes], spread(h, self._like)

    def outputs(
        self, inside: OutputsInside, t: Tensor, h: Tensor, y: Tensor, y_next: Tensor
    ) -> Tensor:
        """States at outputs of the steps made last, from (t, y) to y_next: `(output, *sample)`."""
        rows, theta = inside.rows, inside.theta
        on_device = rows.to(y.device)
        if bool((theta == 1).all()):
            return y_next[on_device]
        weights = output_weights(self.tableau, theta)
        parts, each = list(self.dense_stages(t, h, y)), list(weights.stages)
        if self.tableau.dense is None:
            parts.append(self.derivative_at_end(t, h, y_next))
            each.append(weights.end_derivative)
        values = spread(weights.start, y) * y[on_device]
        for weight, part in zip(each, parts, strict=True):
            if isinstance(weight, Tensor):
                values = values + spread(weight * h[rows], y) * part[on_device]
        if self.tableau.dense is None:
            values = values + spread(weights.end, y) * y_next[on_device]
        return torch.where(spread(theta, y) == 1, y_next[on_device], values)


def spread(x: Tensor | float, like: Tensor) -> Tensor:
    """Numbers of samples on their device, such that they broadcast against states like `like`."""
    numbers = x.to(like) if isinstance(x, Tensor) else like.new_tensor(x)
    return numbers.view(-1, *[1] * (like.dim() - 1))
