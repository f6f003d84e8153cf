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
        "\nThe time of `gradient=discrete` grows with each size as a power, fitted over the "
        f"larger half of the sizes (1 is linear): {slopes}. All outputs inside a step cost "
        "one product and no further steps. Below some size, the overhead of calling operations "
        "dominates, which is constant. Medians of "
        f"{report['machine']['repetitions']} repetitions.\n\n"
        "![Milliseconds against batch, state, steps, outputs and parameters]"
        "(outputs/reference/training_speed/scaling.png)\n"
    )


def data_parallel(report: dict[str, Any]) -> str:
    """One process and two, and from them an estimate for eight."""
    cases = report["devices"]
    lines = [
        "",
        "| data parallel, MNIST ODE-Net by backpropagation | ms per step | images per second "
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
        "\n\nEach process has one thread on its own core; gradients are averaged by gloo. Medians "
        f"of {report['machine']['repetitions']} runs of 20 steps "
        "(`python scripts/benchmark_training.py --mode devices --repetitions 2`).\n\n"
        "An estimate for 8 devices, not a measurement: a step takes the time of one device with "
        "its fraction of the images, plus 1.75 times the difference between 2 x 128 and 1 x 128 "
        f"({1e3 * (pair - alone):.0f} ms: exchange of {megabytes:.1f} MB of gradients, waiting "
        "for the slower process, shared memory), because a ring of 8 sends 1.75 times as much as "
        "a ring of 2.\n\n"
        f"- With 128 images on each, 8 devices process {8 * alone / (alone + beyond):.1f} times "
        "as many images as one in the same time.\n"
        "- With a batch of 128 divided among them, a step is "
        f"{alone / (share + beyond):.1f} times as fast, because 16 images take more than an "
        "eighth of the time of 128.\n\n"
        "The estimate is rough: runs of one case differ by up to a fifth. The exchange is small "
        "and overlaps the backward pass. What grows with the number of devices is the wait for "
        "the one whose batch needs the most evaluations (`nfe/forward_max`); here there is none, "
        "because the weights were not trained.\n"
    )
