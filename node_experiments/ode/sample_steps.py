"""Explicit Runge-Kutta steps of a batch whose samples differ in time and step size."""

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

__all__ = ["AcceptedSteps", "OutputsInside", "SampleSteps", "per_sample"]


@dataclass(frozen=True)
class OutputsInside:
    """Outputs inside or at the ends of steps; all shapes are `(output,)`.

    Attributes:
        time_index: Index of the output time.
        step_index: Index of the step among those that were accepted together.
        theta: Position in the step, 0 at its start and 1 at its end.
    """

    time_index: Tensor
    step_index: Tensor
    theta: Tensor


@dataclass(frozen=True)
class AcceptedSteps:
    """Steps that were taken and accepted together, shapes `(step,)`, on the host.

    Attributes:
        samples: Indices of their samples in the initial state.
        active_index: Indices of their samples among those that were active.
        t, h: Start time and size of each step.
        outputs: Outputs that the steps reach, if any.
        keep: Indices of the active samples that have not reached the end after these steps; None
            if all continue.
    """

    samples: Tensor
    active_index: Tensor
    t: Tensor
    h: Tensor
    outputs: OutputsInside | None
    keep: Tensor | None


class SampleSteps(ExplicitRungeKutta[Tensor]):
    """Steps with one time and one size per sample, shape `(sample,)`, on the host.

    The vector field receives times of the shape `(sample, 1, ..., 1)`.

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
            stage_times=self._sample_stage_times,
        )

    def _sample_stage_times(
        self, t: Tensor, h: Tensor, nodes: Sequence[float]
    ) -> tuple[list[Tensor], Tensor]:
        return [per_sample(t + c * h, self._like) for c in nodes], per_sample(h, self._like)

    def outputs(
        self, inside: OutputsInside, t: Tensor, h: Tensor, y: Tensor, y_next: Tensor
    ) -> Tensor:
        """States at outputs in the last steps, from (t, y) to y_next: `(output, *sample)`."""
        step_index, theta = inside.step_index, inside.theta
        on_device = step_index.to(y.device)
        if bool((theta == 1).all()):
            return y_next[on_device]
        weights = output_weights(self.tableau, theta)
        parts, each = list(self.dense_stages(t, h, y)), list(weights.stages)
        if self.tableau.dense is None:
            parts.append(self.derivative_at_end(t, h, y_next))
            each.append(weights.end_derivative)
        values = per_sample(weights.start, y) * y[on_device]
        for weight, part in zip(each, parts, strict=True):
            if isinstance(weight, Tensor):
                values = values + per_sample(weight * h[step_index], y) * part[on_device]
        if self.tableau.dense is None:
            values = values + per_sample(weights.end, y) * y_next[on_device]
        return torch.where(per_sample(theta, y) == 1, y_next[on_device], values)


def per_sample(x: Tensor | float, like: Tensor) -> Tensor:
    """Move one number per sample to the device of `like`, shaped to broadcast against it."""
    numbers = x.to(like) if isinstance(x, Tensor) else like.new_tensor(x)
    return numbers.view(-1, *[1] * (like.dim() - 1))
