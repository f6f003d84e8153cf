"""How many times faster: the table of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["ADJOINT", "BACKPROP", "performance", "times"]

BACKPROP, ADJOINT = "torchdiffeq backprop", "torchdiffeq adjoint"


class Line(NamedTuple):
    """One line of the table.

    Attributes:
        row: Of the results.
        work: What is done.
        ours: The contender that is compared; the fastest of these. `COMPILED`, which takes a
            while to make ready, has its own column.
        peers: What it is compared with, wherever it was measured. One that is given our layers,
            which compute the same function faster, tells what the solver alone gains.
    """

    row: str
    work: str
    ours: tuple[str, ...]
    peers: tuple[str, ...]


BY_BOTH = (BACKPROP, ADJOINT)
OUR_LAYERS = tuple(f"{name}, our layers" for name in BY_BOTH)
OTHERS = ("torchode backprop", "diffrax, compiled")
COMPILED = "backprop, compiled"
EXACT = ("backprop", "discrete", "discrete, graphs kept")
LINES = (
    Line(
        "mnist",
        "MNIST ODE-Net, batch 128, `dopri5`",
        EXACT,
        (*BY_BOTH, *OTHERS, *OUR_LAYERS),
    ),
    Line(
        "mnist_bosh3",
        "the same by `bosh3`, another method",
        ("backprop, bosh3", "discrete, graphs kept, bosh3"),
        BY_BOTH,
    ),
    Line(
        "mnist_bf16",
        "the same by `dopri5` with `precision=bf16`",
        ("backprop, bf16, dopri5", "discrete, graphs kept, bf16, dopri5"),
        BY_BOTH,
    ),
    Line(
        "latent",
        "latent ODE's decoder, batch 1000, 100 outputs",
        EXACT,
        (*BY_BOTH, *OTHERS, *OUR_LAYERS),
    ),
    Line(
        "latent",
        "the same by `gradient=adjoint`",
        ("adjoint",),
        (ADJOINT,),
    ),
    Line(
        "rk4",
        "the same in 99 fixed steps of the 3/8 rule",
        EXACT,
        (*BY_BOTH, *OTHERS, *OUR_LAYERS),
    ),
    Line(
        "cnf",
        "planar CNF, 512 points, exact trace",
        EXACT,
        (*BY_BOTH, *OTHERS, *OUR_LAYERS),
    ),
    Line(
        "ode_rnn",
        "ODE-RNN, 100 series with individual times",
        EXACT,
        tuple(f"{name}, {how}" for how in ("union of times", "rescaled gaps") for name in BY_BOTH),
    ),
)


def performance(report: dict[str, Any], two: dict[str, Any] | None) -> str:
    """Table, conditions and picture."""
    lines = [
        "| forward and backward pass | against | faster by | compiled "
        "| on 2 threads | ours by | evaluations | gradient error |",
        "| --- | --- | ---: | ---: | ---: | --- | ---: | ---: |",
    ]
    for line in LINES:
        if line.row in report["rows"]:
            again = two["rows"].get(line.row) if two else None
            lines += factors(line, report["rows"][line.row], again)
    if "overhead" in report["rows"]:
        lines += overhead(report["rows"]["overhead"]["results"])
    machine = report["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    lines += [
        "",
        "How many times faster the fastest of our exact gradient methods is, by the clock on "
        "the wall, and with whole steps compiled (`gradient=backprop trainer.compile=true`)"
        + (f", which lets a first step {warm_up(report)}" if warm_up(report) else "")
        + ": the same function, data, parameters and tolerance (1e-3), taking turns in one "
        "process. Evaluations (forward + backward) and the error of the gradient, relative to a "
        "tight solve in double precision, are given as ours / theirs; backpropagation records its "
        "products with the Jacobian and counts none. On two threads (plain / compiled) "
        "another of our ways may be the fastest. Peers have the layers of their examples, or "
        "ours, which compute the same function faster. Where diffrax has no line it was not "
        "measured; on a small CNF, in a separate benchmark, it is well ahead of ours: "
        "[gradients](outputs/reference/gradients/gradients.md). Every contender: "
        "[outputs/reference/training_speed](outputs/reference/training_speed/training_speed.json)"
        " (`python scripts/benchmark_training.py`).",
        "",
        f"{machine['processor']}, {machine['cores']} cores, one thread, load average "
        f"{machine['load_average']:.1f}"
        + (f" ({two['machine']['load_average']:.1f} in the run on two)" if two else "")
        + f"; medians of {machine['repetitions']} repetitions; "
        f"Python {machine['python']}, {versions}.",
        "",
        "![Milliseconds of a training step, by contender]"
        "(outputs/reference/training_speed/training_speed.png)",
    ]
    return "\n".join(lines) + "\n"


def warm_up(report: dict[str, Any]) -> str:
    """Between which numbers of seconds the first compiled step took."""
    seconds = [
        result["warm_up_seconds"]
        for name in (line.row for line in LINES)
        for result in report["rows"].get(name, {"results": []})["results"]
        if result["name"] == COMPILED and result["seconds"] < 0.1
    ]
    return f"take {min(seconds):.0f} to {max(seconds):.0f} seconds" if seconds else ""


def fastest(line: Line, row: dict[str, Any]) -> dict[str, Any]:
    """Of ours."""
    ours = [result for result in row["results"] if result["name"] in line.ours]
    return min(ours, key=lambda result: result["seconds"])


def factors(line: Line, row: dict[str, Any], again: dict[str, Any] | None) -> list[str]:
    """A line of the table for every peer that was measured.

    Args:
        again: The same on two threads.
    """
    ours = fastest(line, row)
    found = {result["name"]: result for result in row["results"]}
    lines = []
    for peer in line.peers:
        if peer not in found:
            continue
        plain, compiled = reached(line, peer, row)
        on_two = [cell for cell in reached(line, peer, again) if cell]
        cells = [
            line.work,
            peer,
            f"**{plain}**",
            f"**{compiled}**" if compiled else "",
            " / ".join(on_two),
            ours["name"],
            f"{evaluations(ours)} / {evaluations(found[peer])}",
            f"{ours['gradient_error']:.0e} / {found[peer]['gradient_error']:.0e}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def reached(line: Line, peer: str, row: dict[str, Any] | None) -> tuple[str, str]:
    """How many times the peer takes, of our fastest way and of the compiled one.

    Empty where one of them was not measured, or is not meant.
    """
    seconds = {result["name"]: result["seconds"] for result in row["results"]} if row else {}
    if row is None or peer not in seconds or seconds.keys().isdisjoint(line.ours):
        return "", ""
    compiled = ""
    if COMPILED in seconds and line.ours is EXACT:
        compiled = times(seconds[peer] / seconds[COMPILED])
    return times(seconds[peer] / fastest(line, row)["seconds"]), compiled


def times(factor: float) -> str:
    """Two digits."""
    return f"{factor:.2g}x" if factor < 9.95 else f"{factor:.0f}x"


def evaluations(result: dict[str, Any]) -> str:
    forward, backward = result["forward"], result["backward"]
    return f"{forward} + {backward}" if backward else f"{forward}"


def overhead(results: Sequence[dict[str, Any]]) -> list[str]:
    """A line in microseconds for every peer."""
    found = {result["name"]: 1e6 * result["seconds"] for result in results}
    return [
        "| outside the vector field, a `dopri5` step of a state of 32 x 64 "
        f"| {peer}: {value:.0f} µs | **{found['ours']:.0f} µs** "
        "| | | no gradient | | |"
        for peer, value in found.items()
        if peer != "ours"
    ]
