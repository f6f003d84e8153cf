"""Cost and error of the solves of a trained ODE block (Figure 3, a to c)."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...nn.swap_solver import temporary_solver
from ...ode import Adjoint, Solver
from .ode_block import ODEBlock

__all__ = ["TOLERANCES", "block_solves"]

log = logging.getLogger(__name__)

TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
# The paper solved with SciPy's Adams, the official code with dopri5.
METHODS = ("dopri5", "scipy_vode_adams")
# Each kink of the field, as from a ReLU, costs a one-step method of any order some accuracy. At
# the same tolerance, Adams with its many small steps is closer to the solution.
REFERENCE = Solver("scipy_vode_adams", rtol=1e-10, atol=1e-10)
SECOND_OPINIONS = (
    Solver("dopri5", rtol=1e-10, atol=1e-10),
    Solver("vern7", rtol=1e-9, atol=1e-9),
)

# At loose tolerances the backward solve need not reproduce the initial state; that is a result
# here, not an error.
PAPER_ADJOINT = Adjoint(seminorm=False, state_tolerance=math.inf)
SEMINORM_ADJOINT = Adjoint(seminorm=True, state_tolerance=math.inf)
GRADIENTS = {
    "dopri5": ("dopri5", PAPER_ADJOINT),
    "dopri5, seminorm": ("dopri5", SEMINORM_ADJOINT),
    "scipy_vode_adams": ("scipy_vode_adams", PAPER_ADJOINT),
}


def block_solves(
    model: nn.Sequential,
    images: Tensor,
    labels: Tensor,
    tolerances: Sequence[float] = TOLERANCES,
    repetitions: int = 3,
) -> dict[str, Any]:
    """Solve the ODE block of a classifier at every tolerance, rtol = atol, in double precision.

    The model is left in double precision: errors of 1e-8 cannot be seen in single precision.

    Args:
        model: Stem, `ODEBlock`, head.
        images: Inputs of the stem, shape `(batch, channel, height, width)`.
        labels: Their classes, shape `(batch,)`.
        repetitions: Number of timings of each solve, interleaved; the median is reported.

    Returns:
        Plain numbers, each list in the order of the tolerances. For each forward method:
        `evaluations`, `seconds` per solve, `error` (root mean square difference from the
        reference, relative to its root mean square) and `error_in_tolerances` (the same for the
        difference over atol + rtol |y|). For each gradient method: `forward` and `backward`
        evaluations for the gradient of the mean cross-entropy. `second_opinions`: the `error` of
        other methods against the reference; `reference_error`: the smallest of them.

    Raises:
        SolveError: A solve did not reach its end.
    """
    stem, block, head = model.double().eval()
    assert isinstance(block, ODEBlock)
    with torch.no_grad():
        y0 = stem(images.double())
        log.info("reference: %s, tolerance %.0e", REFERENCE.method, REFERENCE.rtol)
        reference = solve_block(block, y0, REFERENCE)
        second_opinions = {
            solver.method: relative_rms(solve_block(block, y0, solver) - reference, reference)
            for solver in SECOND_OPINIONS
        }
        forward = {
            method: forward_solves(block, y0, reference, method, tolerances, repetitions)
            for method in METHODS
        }
    return {
        "images": len(images),
        "state": list(y0.shape[1:]),
        "precision": "float64",
        "repetitions": repetitions,
        "reference": {"method": REFERENCE.method, "tolerance": REFERENCE.rtol},
        "second_opinions": second_opinions,
        # Two different methods agree this closely only if both are that close to the solution.
        "reference_error": min(second_opinions.values()),
        "tolerances": list(tolerances),
        "forward": forward,
        "backward": {
            label: backward_solves(block, head, y0, labels, method, gradient, tolerances)
            for label, (method, gradient) in GRADIENTS.items()
        },
    }


def solve_block(block: ODEBlock, y0: Tensor, solver: Solver) -> Tensor:
    """The block's output with another solver."""
    with temporary_solver(block, solver, PAPER_ADJOINT):
        return block(y0)


def forward_solves(
    block: ODEBlock,
    y0: Tensor,
    reference: Tensor,
    method: str,
    tolerances: Sequence[float],
    repetitions: int,
) -> dict[str, list[float]]:
    """Evaluations, error and time of forward solves by one method."""
    result: dict[str, list[float]] = {"evaluations": [], "error": [], "error_in_tolerances": []}
    solvers = [Solver(method, rtol=tolerance, atol=tolerance) for tolerance in tolerances]
    for tolerance, solver in zip(tolerances, solvers, strict=True):
        with temporary_solver(block, solver, PAPER_ADJOINT):
            difference = block(y0) - reference
            result["evaluations"].append(block.stats.forward.evaluations)
        result["error"].append(relative_rms(difference, reference))
        scaled = difference / (tolerance * (1 + reference.abs()))
        result["error_in_tolerances"].append(root_mean_square(scaled))
        log.info(
            "%s, tolerance %.0e: %d evaluations, error %.1e",
            *(method, tolerance, result["evaluations"][-1], result["error"][-1]),
        )
    times = [
        [time_call(y0.device, solve_block, block, y0, solver) for solver in solvers]
        for _ in range(repetitions)
    ]
    return {**result, "seconds": [median(column) for column in zip(*times, strict=True)]}


def backward_solves(
    block: ODEBlock,
    head: nn.Module,
    y0: Tensor,
    labels: Tensor,
    method: str,
    gradient: Adjoint,
    tolerances: Sequence[float],
) -> dict[str, list[int]]:
    """Forward and backward evaluations for the gradient of the loss through block and head."""
    result: dict[str, list[int]] = {"forward": [], "backward": []}
    for tolerance in tolerances:
        with temporary_solver(block, Solver(method, rtol=tolerance, atol=tolerance), gradient):
            loss = F.cross_entropy(head(block(y0.clone().requires_grad_())), labels)
            torch.autograd.grad(loss, list(block.parameters()))
            result["forward"].append(block.stats.forward.evaluations)
            result["backward"].append(block.stats.backward.evaluations)
            log.info(
                "gradient, %s%s, tolerance %.0e: %d evaluations forward, %d backward",
                *(method, ", seminorm" if gradient.seminorm else "", tolerance),
                *(result["forward"][-1], result["backward"][-1]),
            )
    return result


def time_call(device: torch.device, call: Callable[..., Any], *arguments: Any) -> float:
    """Seconds per call: processor time on a CPU, to exclude other work, else wall-clock time."""
    if device.type == "cpu":
        before = time.process_time()
        call(*arguments)
        return time.process_time() - before
    torch.cuda.synchronize(device)
    before = time.perf_counter()
    call(*arguments)
    torch.cuda.synchronize(device)
    return time.perf_counter() - before


def relative_rms(difference: Tensor, reference: Tensor) -> float:
    """Root mean square of the difference over that of the reference."""
    return root_mean_square(difference) / root_mean_square(reference)


def root_mean_square(x: Tensor) -> float:
    """Root mean square over all components."""
    return float(x.square().mean().sqrt())
