"""Milliseconds of every row, by contender: the table, and what was measured how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = [
    "ADJOINT",
    "BACKPROP",
    "TRAINING",
    "conditions",
    "fastest_methods",
    "performance",
    "table",
    "times",
]

BACKPROP, ADJOINT = "torchdiffeq backprop", "torchdiffeq adjoint"
COMPILED = "backprop, compiled"
# Our exact gradient methods, and how they are chosen.
EXACT = {
    "backprop": "`gradient=backprop`",
    "discrete": "`gradient=discrete`",
    "discrete, graphs kept": "`gradient=discrete gradient.retain_graphs=true`",
}
EACH = ", steps of each sample"


class Line(NamedTuple):
    """One line of a table.

    Attributes:
        row: Of the results.
        work: What is done.
        peers: What the names of torchdiffeq's contenders end in.
        ours: What the names of ours end in, where it is another method or precision.
    """

    row: str
    work: str
    peers: str = ""
    ours: str = ""


FLOWS = (
    Line("small_cnf", "CNF 2-64-2, exact trace, 512 points, tolerance 1e-5"),
    Line("cnf", "planar CNF of Figure 4, 512 points"),
    Line("cnf", "the same; torchdiffeq with our layers", ", our layers"),
)
SERIES = (
    Line("latent", "latent ODE's decoder, batch 1000, 100 outputs"),
    Line("latent", "the same; torchdiffeq with our layers", ", our layers"),
    Line("rk4", "the same in 99 steps of the 3/8 rule"),
    Line("ode_rnn", "ODE-RNN, 100 series with individual times", ", rescaled gaps"),
)
STEPS = (
    Line("euler", "MLP 2-64-64-2, 64 points, 100 steps of `euler`"),
    Line("midpoint", "MLP 2-128-128-2, 1000 points, 20 steps of `midpoint`"),
)
SAMPLES = (
    Line("oscillators", "64 oscillators, stiffness x 100, tolerance 1e-4; shared step sizes"),
    Line("oscillators", "the same; per-sample step sizes (torchode, too)", ours=EACH),
)
IMAGES = (
    Line("mnist", "MNIST ODE-Net, batch 128"),
    Line("mnist", "the same; torchdiffeq with our layers", ", our layers"),
    Line("mnist_bosh3", "the same, ours by `bosh3`", ours=", bosh3"),
    Line("mnist_bf16", "the same, ours in bfloat16", ours=", bf16, dopri5"),
)
UNION = Line("ode_rnn", "the same; torchdiffeq over the union of times", ", union of times")
TRAINING = (*IMAGES, *SERIES, UNION, *FLOWS, *STEPS, *SAMPLES)
FORWARD = tuple(line._replace(row=f"{line.row}_forward") for line in (*SERIES, *FLOWS, *STEPS))

HEADS = ("ours", "ours, compiled", BACKPROP, ADJOINT, "torchode", "diffrax, compiled")


def milliseconds(line: Line, report: dict[str, Any]) -> list[float | None]:
    """Of ours, plain and compiled, and of every peer that can do it."""
    seconds = {one["name"]: one["seconds"] for one in report["rows"][line.row]["results"]}
    plain = [seconds[name + line.ours] for name in EXACT if name + line.ours in seconds]
    found = [
        min(plain),
        seconds.get(COMPILED + line.ours),
        seconds.get(BACKPROP + line.peers),
        seconds.get(ADJOINT + line.peers),
        seconds.get("torchode backprop"),
        seconds.get("diffrax, compiled"),
    ]
    return [None if value is None else 1e3 * value for value in found]


def fastest_methods(report: dict[str, Any], lines: Sequence[Line]) -> str:
    """Which of our exact gradient methods is the fastest of each line, in a sentence."""
    others: dict[str, list[str]] = {}
    first_of_row = {line.row: line for line in reversed(lines) if line.row in report["rows"]}
    for line in first_of_row.values():
        seconds = {one["name"]: one["seconds"] for one in report["rows"][line.row]["results"]}
        found = {name: seconds[name + line.ours] for name in EXACT if name + line.ours in seconds}
        fastest = min(found, key=found.__getitem__)
        if fastest != "backprop" and "backprop" in found:
            plain = number(1e3 * found["backprop"])
            others.setdefault(fastest, []).append(f"{line.work} ({plain} ms by `backprop`)")
    exceptions = "".join(
        f"; {EXACT[method]} for {', '.join(works)}" for method, works in others.items()
    )
    return f"*Ours* is the fastest of our exact gradient methods: {EXACT['backprop']}{exceptions}"


def number(value: float | None) -> str:
    """Three digits, none after the point from 100 on."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def times(factor: float) -> str:
    """Two digits."""
    return f"{factor:.2g}x" if factor < 9.95 else f"{factor:.0f}x"


def table(report: dict[str, Any], lines: Sequence[Line], what: str) -> list[str]:
    """A line for each that was measured; columns that nobody fills are left out."""
    rows = [
        (line.work, milliseconds(line, report)) for line in lines if line.row in report["rows"]
    ]
    used = [i for i in range(len(HEADS)) if any(found[i] is not None for _, found in rows)]
    heads = " | ".join(HEADS[i] for i in used)
    text = [
        f"| {what} | {heads} | times as fast as the best peer |",
        f"| --- |{' ---: |' * (len(used) + 1)}",
    ]
    for work, found in rows:
        ours, peers = (
            min(value for value in part if value is not None) for part in (found[:2], found[2:])
        )
        cells = " | ".join(number(found[i]) for i in used)
        text.append(f"| {work} | {cells} | {times(peers / ours)} |")
    return text


def errors(report: dict[str, Any]) -> list[str]:
    """Evaluations and errors of the gradient, of ours and of who computes it exactly elsewhere."""
    names = ("backprop", BACKPROP, ADJOINT, "diffrax, compiled")
    text = [
        "| evaluations; error of the gradient | ours | torchdiffeq backprop | torchdiffeq adjoint "
        "| diffrax |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    seen = set()
    for line in TRAINING:
        if line.row in seen or line.row not in report["rows"] or line.ours:
            continue
        seen.add(line.row)
        found = {one["name"]: one for one in report["rows"][line.row]["results"]}
        cells = [
            evaluations_and_error(found.get(name + (line.peers if "torchdiffeq" in name else "")))
            for name in names
        ]
        text.append(f"| {line.work} | {' | '.join(cells)} |")
    return text


def evaluations_and_error(result: dict[str, Any] | None) -> str:
    if result is None:
        return "-"
    backward = f" + {result['backward']}" if result["backward"] else ""
    return f"{result['forward']}{backward}; {result['gradient_error']:.0e}"


def conditions(report: dict[str, Any]) -> str:
    """Machine, versions and commit of the numbers."""
    machine = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    threads = "one thread" if machine["threads"] == 1 else f"{machine['threads']} threads"
    commits = sorted({row["commit"][-12:] for row in report["rows"].values()})
    which = "commit" if len(commits) == 1 else "each row at one of the commits"
    return (
        f"{machine['processor']} ({machine['instructions']}), {threads}, medians of "
        f"{machine['repetitions']} interleaved repetitions in one process; {versions}; "
        f"{which} {', '.join(commits)}"
    )


def performance(report: dict[str, Any]) -> str:
    """Tables, conditions and picture."""
    forward = any(line.row in report["rows"] for line in FORWARD)
    lines = [
        *table(report, TRAINING, "ms, forward and backward"),
        "",
        *([*table(report, FORWARD, "ms, forward only"), ""] if forward else []),
        f"{conditions(report)}. Load average {report['machine']['load_average']:.1f}. The method "
        "is `dopri5` at tolerance 1e-3 unless stated otherwise; all contenders of a row compute "
        f"the same function with the same parameters. {fastest_methods(report, TRAINING)}; "
        "*ours, compiled* is `gradient=backprop trainer.compile=true`"
        f"{warm_up(report)}. Peers have the layers of their examples; *with our layers* shows "
        "what the solver alone gains. A dash means that a contender cannot do it (torchode has no "
        "fixed steps) or has no such layers here. All contenders: "
        "[outputs/reference/training_speed](outputs/reference/training_speed/training_speed.json)"
        " (`python scripts/benchmark_training.py`).",
        "",
        *errors(report),
        "",
        "Errors are relative to a tight solve in double precision. Backpropagation replays "
        "recorded operations in its backward pass, so no evaluations are counted there. "
        "Repetitions are interleaved, so that slow minutes of the machine slow all contenders; "
        "still, factors beside torchdiffeq in a second measurement, the profile below, differ "
        "from these by up to 1.7 times, so do not take a factor of 0.9 for different from 1.",
    ]
    alone = [report["rows"][name] for name in ("overhead", "start") if name in report["rows"]]
    if alone:
        lines += ["", *map(microseconds, alone)]
    lines += [
        "",
        "![Milliseconds of a training step, by contender]"
        "(outputs/reference/training_speed/training_speed.png)",
    ]
    return "\n".join(lines) + "\n"


def warm_up(report: dict[str, Any]) -> str:
    """How long the first compiled step took, where steps are short."""
    seconds = [
        result["warm_up_seconds"]
        for row in report["rows"].values()
        for result in row["results"]
        if result["name"] == COMPILED and result["seconds"] < 0.1
    ]
    if not seconds:
        return ""
    return f", whose first step takes {min(seconds):.0f} to {max(seconds):.0f} seconds"


def microseconds(row: dict[str, Any]) -> str:
    """A sentence about a row of solvers alone."""
    found = ", ".join(f"{one['name']} {1e6 * one['seconds']:.0f} µs" for one in row["results"])
    return f"{row['title'][0].upper()}{row['title'][1:]}: {found}."
