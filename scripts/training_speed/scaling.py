"""Time of a training step by the discrete gradient, against sizes of the problem."""

from __future__ import annotations

import math
import statistics
import time
from typing import Any, NamedTuple

import torch

from node_experiments.ode import Discrete, Gradient, Solver

from .contenders import Ours, contender
from .problems import Latent

__all__ = ["measure_scaling"]


class Axis(NamedTuple):
    """A size that grows while all others stay.

    Attributes:
        label: For the picture.
        sizes: From the smallest to the largest.
        argument: Of `Latent`; None for the number of steps.
    """

    label: str
    sizes: tuple[int, ...]
    argument: str | None


AXES = {
    "batch": Axis("batch", (250, 500, 1000, 2000, 4000, 8000, 16000), "batch"),
    "state": Axis("state dimension", (4, 8, 16, 32, 64, 128, 256), "size"),
    "steps": Axis("steps", (5, 10, 20, 40, 80, 160), None),
    "outputs": Axis("output times", (2, 5, 10, 20, 50, 100, 200), "outputs"),
    "parameters": Axis("hidden units", (8, 16, 32, 64, 128, 256), "hidden"),
}
BASE = {"batch": 250, "outputs": 2}
STEPS = 10
WAYS: dict[str, Gradient] = {
    "discrete": Discrete(),
    "discrete, graphs kept": Discrete(retain_graphs=True),
}


def measure_scaling(repetitions: int) -> dict[str, Any]:
    """For every axis the sizes, median processor seconds of each way, and the fitted slopes.

    The slope is that of the logarithms over the larger half of the sizes, where what does not
    grow weighs less: 1 is linear.
    """
    results = {}
    for name, axis in AXES.items():
        seconds = {way: [0.0] * len(axis.sizes) for way in WAYS}
        sizes = list(axis.sizes)
        for i, size in enumerate(axis.sizes):
            given = BASE if axis.argument is None else {**BASE, axis.argument: size}
            steps = size if axis.argument is None else STEPS
            parts = []
            for gradient in WAYS.values():
                torch.manual_seed(0)
                solver = Ours(Solver("dopri5", num_steps=steps), gradient)
                work = Latent(**given, end=1.0)
                parts.append(contender("", work, solver))
            if name == "parameters":
                sizes[i] = sum(p.numel() for p in work.parameters())
            times: list[list[float]] = [[] for _ in parts]
            for repetition in range(repetitions + 1):
                for part, found in zip(parts, times, strict=True):
                    start = time.process_time()
                    part.step()
                    if repetition:
                        found.append(time.process_time() - start)
            for way, found in zip(WAYS, times, strict=True):
                seconds[way][i] = statistics.median(found)
        label = "parameters" if name == "parameters" else axis.label
        slopes = {way: slope(sizes, values) for way, values in seconds.items()}
        results[name] = {"label": label, "sizes": sizes, "seconds": seconds, "slopes": slopes}
        print(f"{label}: " + ", ".join(f"{k} {v:.2f}" for k, v in slopes.items()), flush=True)
    return results


def slope(sizes: list[int], seconds: list[float]) -> float:
    """Power with which the time grows over the larger half of the sizes."""
    half = len(sizes) // 2
    logs = [(math.log(a), math.log(b)) for a, b in zip(sizes, seconds, strict=True)][half:]
    return statistics.linear_regression(*zip(*logs, strict=True)).slope
