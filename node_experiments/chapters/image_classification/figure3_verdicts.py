"""Figure 3 of Chen et al. 2018: its four claims, and whether they held for a trained ODE-Net."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from statistics import median
from typing import Any

from ...reports.verdicts import held
from .growth import exponent

__all__ = ["FILE", "LABELS", "SAYS_NOTHING", "Measured", "known", "verdicts"]

FILE = "figure3.json"
LABELS = {
    "dopri5": "dopri5",
    "dopri5, seminorm": "dopri5 with a seminorm",
    "scipy_vode_adams": "SciPy's Adams",
}

Measured = Mapping[str, Any]

# Choices, printed with the verdicts. Where a claim holds:
WITHIN = 10.0  # (a) tolerances; a local tolerance bounds no global error, but for a factor
POWERS = (0.85, 1.15)  # (b) of the evaluations
HALF = (0.35, 0.65)  # (c) evaluations backward over forward
GROWTH = 0.05  # (d) a smaller change of the evaluations is none
ABOVE_REFERENCE = 10.0  # errors below so many of the reference's own are not measured

UNKNOWN = f"not known.** {FILE} lacks numbers of it, or they are zero, constant or none."
# What arithmetic on a file that is not whole, or on numbers that are all alike, ends in.
SAYS_NOTHING = (
    AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError, ZeroDivisionError,
)  # fmt: skip


def known(tell: Callable[[Measured], Any], measured: Measured, otherwise: Any) -> Any:
    """What a file says; otherwise where it lacks numbers, or has some that say nothing."""
    try:
        return tell(measured)
    except SAYS_NOTHING:
        return otherwise


def verdicts(measured: Measured) -> list[str]:
    """For each panel, whether the paper's claim held here, and by what numbers."""
    return [
        f"**({letter}) {claim}: {known(verdict, measured, UNKNOWN)}"
        for letter, (claim, verdict) in CLAIMS.items()
    ]


def verdict_error(measured: Measured) -> str:
    """Panel a: the error can be controlled."""
    floor = ABOVE_REFERENCE * measured.get("reference_error", 0.0)
    said, exceptions, left_out, slopes, worst = [], [], [], [], 0.0
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
        said.append(
            f"{label} from {errors[0]:.0e} with {evaluations[0]} evaluations to {errors[-1]:.0e} "
            f"with {evaluations[-1]}, as the tolerance to the power {slopes[-1]:.2f}, at most "
            f"{multiple:.3g} times its tolerance (at {at:.0e})"
        )
    holds = not exceptions and worst <= WITHIN
    says = "holds" if holds else "holds in part" if min(slopes) > 0 else "does not hold"
    how = f"with exceptions ({', '.join(exceptions)})" if exceptions else "every time"
    text = (
        f"{says}.** It fell {how} as the tolerance did: {'; '.join(said)}. It holds where the "
        f"error never rises and is within {WITHIN:g} tolerances."
    )
    if left_out:
        text += (
            f" Left out, for the error is below {ABOVE_REFERENCE:g} times the reference's own: "
            f"{', '.join(left_out)}."
        )
    return text


def verdict_time(measured: Measured) -> str:
    """Panel b: time is proportional to evaluations."""
    powers, said = [], []
    for method, found in measured["forward"].items():
        powers.append(exponent(found["evaluations"], found["seconds"]))
        each = 1e3 * median(
            s / n for s, n in zip(found["seconds"], found["evaluations"], strict=True)
        )
        said.append(
            f"{LABELS.get(method, method)} {powers[-1]:.2f} ({each:.2g} ms per evaluation)"
        )
    low, high = POWERS
    says = "holds" if all(low <= power <= high for power in powers) else "does not hold"
    return (
        f"{says}.** Fitted powers of the evaluations: {'; '.join(said)}. It holds from {low} to "
        f"{high}."
    )


def verdict_backward(measured: Measured) -> str:
    """Panel c: half as many evaluations backward as forward."""
    said, halves = [], []
    low, high = HALF
    for way, found in measured["backward"].items():
        pairs = zip(found["backward"], found["forward"], strict=True)
        ratios = [backward / forward for backward, forward in pairs]
        middle = median(ratios)
        half = low <= middle <= high
        halves.append(half)
        said.append(
            f"{LABELS.get(way, way)} {middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            f"{', holds' if half else ', does not hold'}"
        )
    says = held(sum(halves), len(halves))
    return (
        f"{says}.** Backward over forward, median and range over the tolerances: "
        f"{'; '.join(said)}. It holds for a median from {low} to {high}."
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
    says = "holds" if growth > 1 + GROWTH else "does not hold"
    if abs(growth - 1) <= GROWTH:
        says = "does not show"
    highest = max(epochs, key=lambda row: row["forward"])
    return (
        f"{says}.** {first['forward']:.1f} per solve in epoch {first['epoch']:g}, "
        f"{last['forward']:.1f} in epoch {last['epoch']:g}; most in epoch {highest['epoch']:g} "
        f"({highest['forward']:.1f}). It holds for a growth of more than {GROWTH:.0%}."
    )


# Of each panel: the paper's claim, and what says whether it held.
CLAIMS: dict[str, tuple[str, Callable[[Measured], str]]] = {
    "a": ("The error is controlled", verdict_error),
    "b": ("Time is proportional to evaluations", verdict_time),
    "c": ("Half as many evaluations backward as forward", verdict_backward),
    "d": ("Evaluations grow while the network trains", verdict_epochs),
}
