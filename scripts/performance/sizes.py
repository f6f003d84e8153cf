"""How time grows with sizes, and with devices."""

from __future__ import annotations

from typing import Any

__all__ = ["data_parallel", "scaling"]


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
        "| evaluations per solve, mean (slowest) |",
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
        "8 devices, not a measurement: a step is that of one device with its part of the images, "
        f"and what 2 x 128 takes more than 1 x 128 ({1e3 * (pair - alone):.0f} ms: exchange of "
        f"{megabytes:.1f} MB of gradients, waiting for the slower, the memory both share) "
        "times 1.75, as a ring of 8 sends so much more than one of 2. With 128 images on each, "
        f"8 devices do {8 * alone / (alone + beyond):.1f} times the images of one in the same "
        f"time; with a batch of 128 shared by all, the step is {alone / (share + beyond):.1f} "
        "times as fast, for 16 images take more than an eighth of the time of 128. It is a rough "
        "one: runs of one case differ by up to a fifth. The exchange is small and overlaps the "
        "backward pass; what grows with devices is the wait for the one whose batch takes most "
        "evaluations (`nfe/forward_max`), here none, since the weights were not trained. "
        f"Medians of {report['machine']['repetitions']} runs of 20 steps "
        "(`python scripts/benchmark_training.py --mode devices --repetitions 2`).\n"
    )
