"""Figure 3 of Chen et al. 2018: its claims, and whether they held for a trained ODE-Net here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from ..run_folder import read_json
from .growth import exponent
from .runs import Run, find_runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figure3", "panels", "verdicts"]

FILE = "figure3.json"
LABELS = {
    "dopri5": "dopri5",
    "dopri5, seminorm": "dopri5 with the parameters left out of the error norm",
    "scipy_vode_adams": "SciPy's Adams",
}

Measured = Mapping[str, Any]


def figure3(folder: Path) -> str:
    """Markdown from all runs of mode=figure3 below a folder: verdicts, and the numbers."""
    parts = []
    for run in find_runs(folder):
        if run.config.get("mode") != "figure3":
            continue
        measured = read_json(run.folder / FILE)
        if run.status == "completed" and measured:
            parts.append(section(run, measured))
        else:
            reason = run.reason or ("" if run.status != "completed" else f"no whole {FILE}")
            parts.append(f"{run.name}: {run.status}{f': {reason}' if reason else ''}.\n")
    none = "No run of mode=figure3 is here; node-run mode=figure3 checkpoint=<run> makes one.\n"
    return "\n".join(parts) or none


def section(run: Run, measured: Measured) -> str:
    """What one run found."""
    trained = measured["trained"]
    dataset = run.config.get("dataset.name", "?")
    tolerances = measured["tolerances"]
    clock = f"{measured['clock']} time on {measured['threads']} thread"
    clock += "s" if measured["threads"] != 1 else ""
    return "\n".join(
        [
            f"`{trained['name']}`, seed {trained['seed']}, protocol `{trained['protocol']}`, "
            f"trained with {trained['solver']['method']} at {trained['solver']['rtol']:g}; "
            f"{measured['images']} test images of {dataset}, {measured['precision']}, rtol = atol "
            f"from {tolerances[0]:.0e} to {tolerances[-1]:.0e}. Errors are relative to "
            f"{measured['reference']['method']} at {measured['reference']['tolerance']:.0e}, from "
            f"which another method differs by {measured['reference_error']:.0e}; {clock}, median "
            f"of {measured['repetitions']}.",
            "",
            *(f"- {line}" for line in verdicts(measured)),
            "",
            table(measured),
        ]
    )


def verdicts(measured: Measured) -> list[str]:
    """For each panel, whether the paper's claim held here, and by what numbers."""
    return [
        f"**(a) {verdict_error(measured)}",
        f"**(b) {verdict_time(measured)}",
        f"**(c) {verdict_backward(measured)}",
        f"**(d) {verdict_epochs(measured['epochs'])}",
    ]


def verdict_error(measured: Measured) -> str:
    """Panel a: the error can be controlled, at the cost of evaluations."""
    tolerances, said, exceptions = measured["tolerances"], [], []
    for method, found in measured["forward"].items():
        errors, label = found["error"], LABELS[method]
        solves = zip(tolerances, found["evaluations"], errors, strict=True)
        for (loose, fewer, before), (tight, more, after) in pairwise(solves):
            if more > fewer and after >= before:
                exceptions.append(f"{label} from {loose:.0e} to {tight:.0e}")
        within = zip(tolerances, found["error_in_tolerances"], strict=True)
        beyond = [f"{multiple:.0f} times {at:.0e}" for at, multiple in within if multiple > 1]
        said.append(
            f"{label} from {errors[0]:.0e} with {found['evaluations'][0]} to "
            f"{errors[-1]:.0e} with {found['evaluations'][-1]}"
            + (f" (above its tolerance: up to {beyond[-1]})" if beyond else " (within tolerance)")
        )
    how = f"with exceptions ({', '.join(exceptions)})" if exceptions else "every time"
    return (
        f"The error is controlled: {'holds in part' if exceptions else 'holds'}.** It fell {how} "
        f"as a tenth of the tolerance asked for more evaluations: {'; '.join(said)}."
    )


def verdict_time(measured: Measured) -> str:
    """Panel b: time is proportional to evaluations."""
    powers, said = [], []
    for method, found in measured["forward"].items():
        powers.append(exponent(found["evaluations"], found["seconds"]))
        each = 1e3 * median(
            s / n for s, n in zip(found["seconds"], found["evaluations"], strict=True)
        )
        said.append(f"{LABELS[method]} {powers[-1]:.2f} ({each:.2g} ms an evaluation)")
    holds = all(abs(power - 1) <= 0.15 for power in powers)
    return (
        f"Time is proportional to evaluations: {'holds' if holds else 'does not hold'}.** "
        f"Fitted powers of the evaluations: {'; '.join(said)}."
    )


def verdict_backward(measured: Measured) -> str:
    """Panel c: half as many evaluations backward as forward."""
    said, held = [], []
    for way, found in measured["backward"].items():
        pairs = zip(found["backward"], found["forward"], strict=True)
        ratios = [backward / forward for backward, forward in pairs]
        middle = median(ratios)
        half = 0.35 <= middle <= 0.65
        held.append(half)
        said.append(
            f"{LABELS[way]} {middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            f"{', holds' if half else ', does not hold'}"
        )
    says = "holds" if all(held) else "holds in part" if any(held) else "does not hold"
    return (
        f"Half as many evaluations backward as forward: {says}.** Backward over forward, median "
        f"and range over the tolerances: {'; '.join(said)}. The tolerance atol is one for "
        "the state and for the loss's gradient, so this depends on the scale of the loss."
    )


def verdict_epochs(epochs: Sequence[Mapping[str, float]]) -> str:
    """Panel d: forward evaluations grow while training."""
    claim = "Evaluations grow while the network trains"
    if not epochs:
        return f"{claim}: not known.** The run of the checkpoint left no metrics.jsonl."
    first, last = epochs[0], epochs[-1]
    if len(epochs) < 2:
        return f"{claim}: not known.** The checkpoint is of one epoch."
    growth = last["forward"] / first["forward"]
    says = "holds" if growth > 1.05 else "does not hold" if growth < 0.95 else "does not show"
    highest = max(epochs, key=lambda row: row["forward"])
    return (
        f"{claim}: {says}.** {first['forward']:.1f} a solve in epoch {first['epoch']:g}, "
        f"{last['forward']:.1f} in epoch {last['epoch']:g}; most in epoch {highest['epoch']:g} "
        f"({highest['forward']:.1f})."
    )


def table(measured: Measured) -> str:
    """The numbers of panels a to c, a row for each tolerance."""
    forward, backward = measured["forward"], measured["backward"]
    headings = ["rtol = atol"]
    for method in forward:
        headings += [f"{LABELS[method]}: evaluations", "error", "ms"]
    headings += [f"backward, {LABELS[way]}" for way in backward]
    lines = ["| " + " | ".join(headings) + " |", "|" + " --: |" * len(headings)]
    for i, tolerance in enumerate(measured["tolerances"]):
        cells = [f"{tolerance:.0e}"]
        for found in forward.values():
            cells += [
                str(found["evaluations"][i]),
                f"{found['error'][i]:.1e}",
                f"{1e3 * found['seconds'][i]:.0f}",
            ]
        cells += [str(found["backward"][i]) for found in backward.values()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def panels(runs: Sequence[Run], title: str) -> Figure:
    """node-report figure figure3: the four panels, from the numbers that a run left.

    Raises:
        ValueError: No run of mode=figure3 is among the runs.
    """
    from ..figures.block_solves import block_solves_figure

    for run in runs:
        measured = read_json(run.folder / FILE)
        if run.status == "completed" and measured:
            return block_solves_figure(measured, str(measured["trained"]["name"]))
    raise ValueError(
        "no completed run of mode=figure3 is among them; make one with "
        "node-run mode=figure3 checkpoint=<run>"
    )
