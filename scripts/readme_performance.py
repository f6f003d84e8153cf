"""Writes the README's section on speed from the results of `benchmark_training.py`.

python scripts/readme_performance.py
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "outputs" / "reference" / "training_speed"
BLOCK = re.compile(r"<!-- performance -->\n.*?<!-- /performance -->", re.DOTALL)

BACKPROP, ADJOINT = "torchdiffeq backprop", "torchdiffeq adjoint"


class Line(NamedTuple):
    """One line of the table.

    Attributes:
        row: Of the results.
        work: What is done.
        ours: The contender that is compared; the fastest of these.
        peers: What it is compared with, each with the factors that are reachable and the goal.
            A peer that is given our layers, which compute the same function faster, has no
            goal: it tells what the solver alone gains.
    """

    row: str
    work: str
    ours: tuple[str, ...]
    peers: dict[str, tuple[float | None, float | None]]


OUR_LAYERS = {f"{BACKPROP}, our layers": (None, None), f"{ADJOINT}, our layers": (None, None)}
EXACT = ("backprop", "discrete", "discrete, graphs kept")
BY_BOTH = {BACKPROP: (1.15, 1.4), ADJOINT: (2.0, 2.5)}
LINES = (
    Line(
        "mnist",
        "MNIST ODE-Net, batch 128, `dopri5`",
        EXACT,
        {**BY_BOTH, **OUR_LAYERS},
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
        {BACKPROP: (None, 1.6), ADJOINT: (None, 2.9)},
    ),
    Line(
        "latent",
        "latent ODE's decoder, batch 1000, 100 outputs",
        (
            *EXACT,
            "backprop, compiled field",
            "discrete, graphs kept, compiled field",
        ),
        {
            BACKPROP: (2.0, 4.0),
            ADJOINT: (25.0, 60.0),
            "diffrax, compiled": (0.8, 1.25),
        },
    ),
    Line(
        "latent",
        "the same by `gradient=adjoint`",
        ("adjoint",),
        {ADJOINT: (3.0, 4.0)},
    ),
    Line(
        "rk4",
        "the same in 99 fixed steps of the 3/8 rule",
        EXACT,
        {BACKPROP: (1.2, 2.4), ADJOINT: (2.0, 4.0)},
    ),
    Line(
        "cnf",
        "planar CNF, 512 points, exact trace",
        EXACT,
        {BACKPROP: (1.5, 3.0), ADJOINT: (1.5, 3.0), **OUR_LAYERS},
    ),
    Line(
        "ode_rnn",
        "ODE-RNN, 100 series with times of their own",
        EXACT,
        {
            f"{BACKPROP}, union of times": (1.5, 3.0),
            f"{ADJOINT}, union of times": (1.5, 3.0),
            f"{BACKPROP}, rescaled gaps": (1.5, 3.0),
            f"{ADJOINT}, rescaled gaps": (1.5, 3.0),
        },
    ),
)
# Microseconds outside the vector field: reachable, goal.
OVERHEAD = (150, 80)


# Seconds until 1 % error: ours, reachable and goal.
OUR_RUN, RUN_FACTORS = "bosh3", (2.0, 4.0)
RUN_NAMES = {
    "bosh3": "ours by `bosh3`, one cycle",
    "dopri5": "ours by `dopri5`, the official schedule",
    BACKPROP: f"{BACKPROP}, the official schedule",
    ADJOINT: f"{ADJOINT}, the official schedule",
}
LEARNING = """

Solver and recipe together: peers train as the official example does (crops, a constant rate of 0.1
for the first 60 epochs), ours with one cycle of two epochs up to 0.1, Nesterov's momentum, weight
decay and no crops. Tested every 100 steps, which is not in the seconds; one seed and one thread a
run, beside other work on the second core. `python scripts/benchmark_training.py --mode accuracy`

![Test error against seconds of training](outputs/reference/training_speed/accuracy.png)
"""


def section(results: Path = RESULTS) -> str:
    """The block between its markers; empty where nothing was measured yet."""
    one, two, sizes, runs, devices = (
        json.loads((results / name).read_text()) if (results / name).is_file() else None
        for name in (
            "training_speed.json",
            "two_threads/training_speed.json",
            "scaling.json",
            "accuracy.json",
            "devices.json",
        )
    )
    text = performance(one, two) if one else ""
    if runs:
        text += learning(runs)
    if sizes:
        text += scaling(sizes)
    if devices:
        text += data_parallel(devices)
    return f"<!-- performance -->\n{text}<!-- /performance -->"


def performance(report: dict[str, Any], two: dict[str, Any] | None) -> str:
    """Table, conditions and picture."""
    lines = [
        "| forward and backward pass | against | reachable | goal | reached | on 2 threads "
        "| ours by | evaluations | gradient error |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- | ---: | ---: |",
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
        "How many times faster the fastest of our ways to the exact gradient is, by the clock on "
        "the wall: the same function, data, parameters and tolerance (1e-3), taking turns in one "
        "process. Evaluations (forward + backward) and the error of the gradient, relative to a "
        "tight solve in double precision, are given as ours / theirs; backpropagation records its "
        "products with the Jacobian and counts none. On two threads another of our ways may be "
        "the fastest. Peers have the layers of their examples, or "
        "ours, which compute the same function faster. Every contender: "
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


def fastest(line: Line, row: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of ours; and every result by its name."""
    found = {result["name"]: result for result in row["results"]}
    ours = (found[name] for name in line.ours if name in found)
    return min(ours, key=lambda result: result["seconds"]), found


def factor_on_two(line: Line, peer: str, row: dict[str, Any] | None) -> str:
    """Empty where one of them was not measured."""
    names = {result["name"] for result in row["results"]} if row else set()
    if row is None or peer not in names or names.isdisjoint(line.ours):
        return ""
    ours, found = fastest(line, row)
    return times(found[peer]["seconds"] / ours["seconds"])


def factors(line: Line, row: dict[str, Any], again: dict[str, Any] | None) -> list[str]:
    """A line of the table for every peer that was measured.

    Args:
        again: The same on two threads.
    """
    ours, found = fastest(line, row)
    lines = []
    for peer, goals in line.peers.items():
        if peer not in found:
            continue
        cells = [
            line.work,
            peer,
            *("" if value is None else f"{value:g}x" for value in goals),
            f"**{times(found[peer]['seconds'] / ours['seconds'])}**",
            factor_on_two(line, peer, again),
            ours["name"],
            f"{evaluations(ours)} / {evaluations(found[peer])}",
            f"{ours['gradient_error']:.0e} / {found[peer]['gradient_error']:.0e}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def times(factor: float) -> str:
    """Two digits."""
    return f"{factor:.2g}x" if factor < 9.95 else f"{factor:.0f}x"


def learning(report: dict[str, Any]) -> str:
    """The runs to 1 % error, and how many times sooner ours gets there."""
    runs = report["runs"]
    ended = {name: run["history"][-1]["seconds"] for name, run in runs.items() if run["reached"]}
    reachable, goal = RUN_FACTORS
    lines = [
        "",
        "| training until 1 % test error on MNIST, batch 128 | seconds of training | steps "
        "| reachable | goal | ours is sooner by |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, run in runs.items():
        end = run["history"][-1]
        best = min(point["error"] for point in run["history"])
        seconds = f"{end['seconds']:,.0f}"
        cells = [
            RUN_NAMES[name],
            seconds if run["reached"] else f"not in {seconds}: {100 * best:.2f} %",
            f"{end['steps']:,}",
        ]
        if name in (BACKPROP, ADJOINT):
            sooner = ended[name] / ended[OUR_RUN] if {name, OUR_RUN} <= ended.keys() else None
            cells += [f"{reachable:g}x", f"{goal:g}x", f"**{times(sooner)}**" if sooner else "-"]
        else:
            cells += ["", "", ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + LEARNING


def evaluations(result: dict[str, Any]) -> str:
    forward, backward = result["forward"], result["backward"]
    return f"{forward} + {backward}" if backward else f"{forward}"


def overhead(results: Sequence[dict[str, Any]]) -> list[str]:
    """A line in microseconds for every peer."""
    found = {result["name"]: 1e6 * result["seconds"] for result in results}
    reachable, goal = OVERHEAD
    return [
        "| outside the vector field, a `dopri5` step of a state of 32 x 64 "
        f"| {peer}: {value:.0f} µs | {reachable} µs | {goal} µs | **{found['ours']:.0f} µs** "
        "| | no gradient | | |"
        for peer, value in found.items()
        if peer != "ours"
    ]


def scaling(report: dict[str, Any]) -> str:
    """How time grows, from the fitted slopes."""
    slopes = ", ".join(
        f"{found['label']} {found['slopes']['discrete']:.2f}"
        for found in report["scaling"].values()
    )
    return (
        "\nTime of `gradient=discrete` against sizes, as the power with which it grows over the "
        f"larger half of the sizes (1 is linear): {slopes}. Outputs cost one matrix product for "
        "all that lie inside a step, and no steps; below some size the time is that of calling "
        "operations, which does not grow with it. Medians of "
        f"{report['machine']['repetitions']} repetitions.\n\n"
        "![Milliseconds against batch, state, steps, outputs and parameters]"
        "(outputs/reference/training_speed/scaling.png)\n"
    )


def data_parallel(report: dict[str, Any]) -> str:
    """One process and two, and from them an estimate for eight."""
    cases = report["devices"]
    lines = [
        "",
        "| data parallel, MNIST ODE-Net by backpropagation | ms a step | images a second "
        "| evaluations a solve, mean (slowest) |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, case in cases.items():
        images = case["processes"] * case["images_a_process"] / case["seconds"]
        solves = f"{case['forward']:.1f}"
        if case["processes"] > 1:
            solves += f" ({case['forward_of_slowest']:.1f})"
        lines.append(f"| {name} images | {1e3 * case['seconds']:.0f} | {images:.0f} | {solves} |")
    alone, pair, share = (cases[name]["seconds"] for name in ("1 x 128", "2 x 128", "1 x 16"))
    # Of a vector of n bytes, a ring of p processes sends 2 n (p - 1) / p from each.
    beyond = (7 / 8) / (1 / 2) * max(pair - alone, 0)
    megabytes = 4 * cases["1 x 128"]["parameters"] / 1e6
    return "\n".join(lines) + (
        "\n\nProcesses of one thread on a core each, gradients averaged by gloo. An estimate for "
        "8 devices, not a measurement: a step is that of one device with its share of the images, "
        f"and what 2 x 128 takes more than 1 x 128 ({1e3 * (pair - alone):.0f} ms: exchange of "
        f"{megabytes:.1f} MB of gradients, waiting for the slower, the memory both share) "
        "times 1.75, as a ring of 8 sends so much more than one of 2. With 128 images on each, "
        f"8 devices do {8 * alone / (alone + beyond):.1f} times the images of one in the same "
        f"time; with a batch of 128 shared by all, the step is {alone / (share + beyond):.1f} "
        "times as short, for 16 images take more than an eighth of the time of 128. It is a rough "
        "one: runs of one case differ by up to a fifth. The exchange is small and overlaps the "
        "way back; what grows with devices is the wait for the one whose batch takes most "
        "evaluations (`nfe/forward_max`), here none, for the network was held still. "
        f"Medians of {report['machine']['repetitions']} runs of 20 steps "
        "(`python scripts/benchmark_training.py --mode devices --repetitions 2`).\n"
    )


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(BLOCK.sub(lambda match: section(), readme.read_text()))
