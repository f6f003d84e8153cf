"""Whether the vector field of a backward pass is still that of the solve.

Autograd keeps what a function computed; a gradient method that evaluates it again relies on it
being the same function. Tensors that are changed in place are noticed by their version (see
`problem.Constants`). Whatever else may change is noticed by what comes out: the variable of a loop
in a closure, an attribute, training mode, weights that were replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .problem import Problem

__all__ = ["reject_another_field", "reject_change_since"]

ALIKE = 1e-3  # of the largest derivative: far more than rounding differs
OF_RESOLUTION = 20  # likewise, in multiples of the relative precision


def reject_change_since(problem: Problem) -> None:
    """Evaluate the vector field at the start once more, in a backward pass that would not.

    Raises:
        RuntimeError: Its derivative differs by more than rounding.
    """
    if problem.func.first is not None:
        problem.stats.backward.evaluations += 1
        now = problem.func(problem.time(problem.times[0]), problem.y0.detach(), *problem.args)
        reject_another_field(problem.func.first, now.detach(), problem.times[0])


def reject_another_field(before: Tensor, now: Tensor, t: float) -> None:
    """Compare two derivatives at the same time and state.

    Args:
        before: Of the solve.
        now: Of its backward pass.
        t: The time, for the message.

    Raises:
        RuntimeError: They differ by more than rounding.
    """
    resolution = max(torch.finfo(before.dtype).eps, torch.finfo(now.dtype).eps)
    size, apart = before.abs().max(), (now.to(before.dtype) - before).abs().max()
    if bool(apart > max(ALIKE, OF_RESOLUTION * resolution) * size):
        raise RuntimeError(
            f"the vector field is another one in the backward pass than in the solve: at t={t:g} "
            f"its derivative differs by {float(apart / size):.2g} of its size. A variable that it "
            "reads, such as that of a loop, an attribute, training mode or weights changed in "
            "between; call backward() before they do, pass them in args=(...), or take "
            "gradient='backprop'"
        )
