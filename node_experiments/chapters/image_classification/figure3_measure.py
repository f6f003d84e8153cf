"""What the solves of a trained ODE block cost, and how far they are off (Figure 3 a to c)."""

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

from ...nn.swap_solver import solving_with
from ...ode import (
    Adjoint,
    Solver,
)
from .ode_block import ODEBlock

__all__ = ["TOLERANCES", "block_solves"]

log = logging.getLogger(__name__)

TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
# The paper solved with SciPy's Adams, the official code with dopri5.
METHODS = ("dopri5", "scipy_vode_adams")
# Each kink of a field, as ReLU makes, costs a one-step method of any order some accuracy. At the
# same tolerance the many small steps of Adams are closer to the solution.
REFERENCE = Solver("scipy_vode_adams", rtol=1e-10, atol=1e-10)
SECOND_OPINIONS = (
    Solver("dopri5", rtol=1e-10, atol=1e-10),
    Solver("vern7", rtol=1e-9, atol=1e-9),
)

# Where tolerances are loose, a state that is not found again backwards is a finding, no mistake.
PAPER = Adjoint(seminorm=False, state_tolerance=math.inf)
SEMINORM = Adjoint(seminorm=True, state_tolerance=math.inf)
WAYS = {
    "dopri5": ("dopri5", PAPER),
    "dopri5, seminorm": ("dopri5", SEMINORM),
    "scipy_vode_adams": ("scipy_vode_adams", PAPER),
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
        repetitions: Of each timed solve, in turns; the median counts.

    Returns:
        Plain numbers, each list in the order of the tolerances. Of each method forward:
        `evaluations`, `seconds` of a solve, `error` (root mean square difference from the
        reference, relative to its root mean square) and `error_in_tolerances` (the same of the
        difference over atol + rtol |y|). Of each gradient method: `forward` and `backward`
        evaluations of the mean cross-entropy's gradient. `second_opinions`: how far other
        methods are from the reference, as `error`; `reference_error`: the least of them.

    Raises:
        SolveError: A solve that did not reach its end.
    """
    stem, block, head = model.double().eval()
    assert isinstance(block, ODEBlock)
    with torch.no_grad():
        y0 = stem(images.double())
        log.info("reference: %s, tolerance %.0e", REFERENCE.method, REFERENCE.rtol)
        reference = solved(block, y0, REFERENCE)
        opinions = {
            solver.method: relative(solved(block, y0, solver) - reference, reference)
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
        "second_opinions": opinions,
        # Two methods are as close to each other only if both are as close to the solution.
        "reference_error": min(opinions.values()),
        "tolerances": list(tolerances),
        "forward": forward,
        "backward": {
            label: backward_solves(block, head, y0, labels, method, way, tolerances)
            for label, (method, way) in WAYS.items()
        },
    }


def solved(block: ODEBlock, y0: Tensor, solver: Solver) -> Tensor:
    """The block's output by another solver."""
    with solving_with(block, solver, PAPER):
        return block(y0)


def forward_solves(
    block: ODEBlock,
    y0: Tensor,
    reference: Tensor,
    method: str,
    tolerances: Sequence[float],
    repetitions: int,
) -> dict[str, list[float]]:
    """Evaluations, error and time of one method."""
    found: dict[str, list[float]] = {"evaluations": [], "error": [], "error_in_tolerances": []}
    solvers = [Solver(method, rtol=tolerance, atol=tolerance) for tolerance in tolerances]
    for tolerance, solver in zip(tolerances, solvers, strict=True):
        with solving_with(block, solver, PAPER):
            difference = block(y0) - reference
            found["evaluations"].append(block.stats.forward.evaluations)
        found["error"].append(relative(difference, reference))
        scaled = difference / (tolerance * (1 + reference.abs()))
        found["error_in_tolerances"].append(root_mean_square(scaled))
        log.info(
            "%s, tolerance %.0e: %d evaluations, error %.1e",
            *(method, tolerance, found["evaluations"][-1], found["error"][-1]),
        )
    times = [
        [seconds(y0.device, solved, block, y0, solver) for solver in solvers]
        for _ in range(repetitions)
    ]
    return {**found, "seconds": [median(column) for column in zip(*times, strict=True)]}


def backward_solves(
    block: ODEBlock,
    head: nn.Module,
    y0: Tensor,
    labels: Tensor,
    method: str,
    way: Adjoint,
    tolerances: Sequence[float],
) -> dict[str, list[int]]:
    """Evaluations forward and backward of the gradient of the loss, the head's own included."""
    found: dict[str, list[int]] = {"forward": [], "backward": []}
    for tolerance in tolerances:
        with solving_with(block, Solver(method, rtol=tolerance, atol=tolerance), way):
            loss = F.cross_entropy(head(block(y0.clone().requires_grad_())), labels)
            torch.autograd.grad(loss, list(block.parameters()))
            found["forward"].append(block.stats.forward.evaluations)
            found["backward"].append(block.stats.backward.evaluations)
            log.info(
                "gradient, %s%s, tolerance %.0e: %d evaluations forward, %d backward",
                *(method, ", seminorm" if way.seminorm else "", tolerance),
                *(found["forward"][-1], found["backward"][-1]),
            )
    return found


def seconds(device: torch.device, call: Callable[..., Any], *arguments: Any) -> float:
    """Of processor time on a CPU, so that other work does not count; else of wall-clock time."""
    if device.type == "cpu":
        before = time.process_time()
        call(*arguments)
        return time.process_time() - before
    torch.cuda.synchronize(device)
    before = time.perf_counter()
    call(*arguments)
    torch.cuda.synchronize(device)
    return time.perf_counter() - before


def relative(difference: Tensor, reference: Tensor) -> float:
    """Root mean square of the difference over that of the reference."""
    return root_mean_square(difference) / root_mean_square(reference)


def root_mean_square(x: Tensor) -> float:
    """Over all components."""
    return float(x.square().mean().sqrt())
