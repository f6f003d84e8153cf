"""What a step of dopri5 costs outside the vector field, for a state of 32 x 64."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from node_experiments.ode import (
    Backprop,
    Solver,
)

from .contenders import Counts, Ours, TorchDiffEq, TorchOde

__all__ = ["TITLE", "measure_overhead"]

TITLE = "solver overhead per dopri5 step, state 32 x 64"
TOLERANCE = 1e-5
SHORT, LONG = 5.0, 30.0


class Sine(nn.Module):
    """dy/dt = sin y: one operation."""

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.sin(y)


def measure_overhead(repetitions: int, threads: int) -> list[dict[str, Any]]:
    """Median seconds per step, without a graph.

    It is the difference between a long and a short solve, so that the start of a solve does not
    count, less the time of the calls of the field, each with the counter around it.
    """
    y0, field = 2 * torch.rand(32, 64) + 0.1, Sine()
    solves: dict[str, Any] = {
        "ours": Ours(Solver("dopri5", rtol=TOLERANCE, atol=TOLERANCE), Backprop())
    }
    if find_spec("torchdiffeq"):
        options = {"method": "dopri5", "rtol": TOLERANCE, "atol": TOLERANCE}
        solves["torchdiffeq"] = TorchDiffEq("odeint", **options)
    if find_spec("torchode"):
        solves["torchode"] = TorchOde(TOLERANCE)

    def run(solve: Any, end: float) -> None:
        solve.begin()
        with torch.no_grad():
            solve(field, y0, torch.tensor([0.0, end]))
        solve.forward_is_over()

    found: dict[str, list[tuple[float, float]]] = {name: [] for name in solves}
    counts: dict[str, Counts] = {}
    for repetition in range(repetitions + 2):
        seconds, processor_seconds = timed(lambda: evaluate(field, y0))
        for name, solve in solves.items():
            long = timed(lambda solve=solve: run(solve, LONG))
            counts[name] = solve.counts()
            short = timed(lambda solve=solve: run(solve, SHORT))
            calls = counts[name].forward - solve.counts().forward
            per_call = (seconds / 100, processor_seconds / 100)
            if repetition >= 2:
                times = zip(long, short, per_call, strict=True)
                # Six evaluations per step, for the last is the first of the next.
                found[name].append(
                    tuple((a - b - calls * call) / (calls / 6) for a, b, call in times)
                )
    return [
        {
            "name": name,
            "package": name,
            "note": "",
            "forward": counts[name].forward,
            "backward": None,
            "output_error": None,
            "gradient_error": None,
            "warm_up_seconds": None,
            "seconds": statistics.median(wall for wall, _ in pairs),
            "processor_seconds": statistics.median(processor for _, processor in pairs),
        }
        for name, pairs in found.items()
    ]


def evaluate(field: nn.Module, y: Tensor) -> None:
    t = torch.zeros(())
    with torch.no_grad():
        for _ in range(100):
            field(t, y)


def timed(run: Callable[[], None]) -> tuple[float, float]:
    """Seconds by the clock on the wall, and of the processor."""
    start, processor = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - start, time.process_time() - processor
