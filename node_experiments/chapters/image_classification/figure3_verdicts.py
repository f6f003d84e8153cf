"""Figure 3 of Chen et al. 2018: its four claims, and whether they held for a trained ODE-Net."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from statistics import median
from typing import Any

from ...reports.verdicts import claim_verdict
from .growth import exponent

__all__ = ["DATA_ERRORS", "FILE", "LABELS", "Measured", "evaluate_or_default", "verdicts"]

FILE = "figure3.json"
LABELS = {
    "dopri5": "dopri5",
    "dopri5, seminorm": "dopri5 with a seminorm",
    "scipy_vode_adams": "SciPy's Adams",
}

Measured = Mapping[str, Any]

# Criteria for a claim to hold; choices, printed with the verdicts.
# (a) tolerances; a local tolerance bounds the global error only up to a factor
MAX_ERROR_IN_TOLERANCES = 10.0
POWER_RANGE = (0.85, 1.15)  # (b) range of the power of the evaluations
RATIO_RANGE = (0.35, 0.65)  # (c) range of backward over forward evaluations
MIN_GROWTH = 0.05  # (d) smaller relative changes of the evaluations count as none
ABOVE_REFERENCE = 10.0  # errors below this multiple of the reference's error are left out

UNKNOWN = f"not known.** {FILE} lacks numbers of it, or they are zero, constant or none."
# Errors raised by arithmetic on an incomplete file, or on numbers that are all equal.
DATA_ERRORS = (
    AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError, ZeroDivisionError,
)  # fmt: skip


def evaluate_or_default(
    evaluate: Callable[[Measured], Any], measured: Measured, default: Any
) -> Any:
    """Return `evaluate(measured)`, or `default` if numbers are missing or give no result."""
    try:
        return evaluate(measured)
    except DATA_ERRORS:
        return default


def verdicts(measured: Measured) -> list[str]:
    """State for each panel whether the paper's claim holds here, with the numbers behind it."""
    return [
        f"**({letter}) {claim}: {evaluate_or_default(judge, measured, UNKNOWN)}"
        for letter, (claim, judge) in CLAIMS.items()
    ]


def verdict_error(measured: Measured) -> str:
    """Panel a: the tolerance controls the error."""
    floor = ABOVE_REFERENCE * measured.get("reference_error", 0.0)
    statements, exceptions, left_out, slopes, worst = [], [], [], [], 0.0
    for method, found in measured["forward"].items():
        label = LABELS.get(method, method)
        lists = (found[key] for key in ("evaluations", "error", "error_in_tolerances"))
        solves = list(zip(measured["tolerances"], *lists, strict=True))
        left_out += [f"{label} at {at:.0e}" for at, _, error, _ in solves if error < floor]
        solves = [solve for solve in solves if not solve[2] < floor]
        for (loose, fewer, before, _), (tight, more, after, _) in pairwise(solves):
            if after > before or (after == before and more > fewer):
                cost = "" if more > fewer else " with no more evaluations"
                exceptions.append(f"{label} from {loose:.0e} to {tight:.0e}{cost}")
        tolerances, evaluations, errors, multiples = zip(*solves, strict=True)
        slopes.append(exponent(tolerances, errors))
        multiple, at = max(zip(multiples, tolerances, strict=True))
        if not math.isfinite(sum(errors) + sum(multiples)):
            return UNKNOWN
        worst = max(worst, multiple)
        statements.append(
            f"{label} from {errors[0]:.0e} with {evaluations[0]} evaluations to {errors[-1]:.0e} "
            f"with {evaluations[-1]}, as the tolerance to the power {slopes[-1]:.2f}, at most "
            f"{multiple:.3g} tolerances (at {at:.0e})"
        )
    holds = not exceptions and worst <= MAX_ERROR_IN_TOLERANCES
    verdict = "holds" if holds else "holds in part" if min(slopes) > 0 else "does not hold"
    how = f"with exceptions ({', '.join(exceptions)})" if exceptions else "every time"
    text = (
        f"{verdict}.** It fell {how} as the tolerance did: {'; '.join(statements)}. Criterion: "
        f"the error never rises and is within {MAX_ERROR_IN_TOLERANCES:g} tolerances. In "
        "tolerances, errors are root mean squares of the difference over atol + rtol |y|, as "
        "solvers measure them; the table's are relative to the root mean square of y."
    )
    if left_out:
        text += (
            f" Left out, because the error is below {ABOVE_REFERENCE:g} times the reference's: "
            f"{', '.join(left_out)}."
        )
    return text


def verdict_time(measured: Measured) -> str:
    """Panel b: time is proportional to evaluations."""
    powers, statements = [], []
    for method, found in measured["forward"].items():
        powers.append(exponent(found["evaluations"], found["seconds"]))
        each = 1e3 * median(
            s / n for s, n in zip(found["seconds"], found["evaluations"], strict=True)
        )
        statements.append(
            f"{LABELS.get(method, method)} {powers[-1]:.2f} ({each:.2g} ms per evaluation)"
        )
    low, high = POWER_RANGE
    verdict = "holds" if all(low <= power <= high for power in powers) else "does not hold"
    return (
        f"{verdict}.** Fitted powers of the evaluations: {'; '.join(statements)}. Criterion: "
        f"a power from {low} to {high}."
    )


def verdict_backward(measured: Measured) -> str:
    """Panel c: half as many evaluations backward as forward."""
    statements, holds = [], []
    low, high = RATIO_RANGE
    for gradient, found in measured["backward"].items():
        pairs = zip(found["backward"], found["forward"], strict=True)
        ratios = [backward / forward for backward, forward in pairs]
        middle = median(ratios)
        in_range = low <= middle <= high
        holds.append(in_range)
        statements.append(
            f"{LABELS.get(gradient, gradient)} {middle:.2f} ({min(ratios):.2f} to "
            f"{max(ratios):.2f}){', holds' if in_range else ', does not hold'}"
        )
    verdict = claim_verdict(sum(holds), len(holds))
    return (
        f"{verdict}.** Backward over forward, median and range over the tolerances: "
        f"{'; '.join(statements)}. Criterion: a median from {low} to {high}."
    )


def verdict_epochs(measured: Measured) -> str:
    """Panel d: forward evaluations grow while training."""
    epochs = measured["epochs"]
    if not epochs:
        return "not known.** The run of the checkpoint left no metrics.jsonl."
    first, last = epochs[0], epochs[-1]
    if len(epochs) < 2:
        return "not known.** The checkpoint is of one epoch."
    growth = last["forward"] / first["forward"]
    verdict = "holds" if growth > 1 + MIN_GROWTH else "does not hold"
    if abs(growth - 1) <= MIN_GROWTH:
        verdict = "does not show"
    highest = max(epochs, key=lambda row: row["forward"])
    return (
        f"{verdict}.** {first['forward']:.1f} per solve in epoch {first['epoch']:g}, "
        f"{last['forward']:.1f} in epoch {last['epoch']:g}; most in epoch {highest['epoch']:g} "
        f"({highest['forward']:.1f}). Criterion: growth of more than {MIN_GROWTH:.0%}."
    )


# Panel -> the paper's claim, and the function that judges it.
CLAIMS: dict[str, tuple[str, Callable[[Measured], str]]] = {
    "a": ("The error is controlled", verdict_error),
    "b": ("Time is proportional to evaluations", verdict_time),
    "c": ("Half as many evaluations backward as forward", verdict_backward),
    "d": ("Evaluations grow while the network trains", verdict_epochs),
}
