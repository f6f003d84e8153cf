"""What a step of dopri5 and a whole solve of one step cost, for a state of 32 x 64."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from node_experiments.ode import Backprop, Solver

from .contenders import Counts, Ours, TorchDiffEq, TorchOde

__all__ = ["measure_overhead", "measure_start"]

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
        without_graph(solve, field, y0, torch.tensor([0.0, end]))

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
    return results(found, counts)


def measure_start(repetitions: int, threads: int) -> list[dict[str, Any]]:
    """Median seconds of a solve of one step of Euler's method, without a graph."""
    y0, t, field = 2 * torch.rand(32, 64) + 0.1, torch.tensor([0.0, 1.0]), Sine()
    solves: dict[str, Any] = {"ours": Ours(Solver("euler", num_steps=1), Backprop())}
    if find_spec("torchdiffeq"):
        solves["torchdiffeq"] = TorchDiffEq("odeint", method="euler")
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in solves}
    for _ in range(100 * repetitions):
        for name, solve in solves.items():
            run = partial(without_graph, solve, field, y0, t)
            found[name].append(timed(run))
    return results(found, {name: solve.counts() for name, solve in solves.items()})


def without_graph(solve: Any, field: nn.Module, y0: Tensor, t: Tensor) -> None:
    solve.begin()
    with torch.no_grad():
        solve(field, y0, t)
    solve.forward_is_over()


def results(
    found: dict[str, list[tuple[float, float]]], counts: dict[str, Counts]
) -> list[dict[str, Any]]:
    """One result for each who was timed, of pairs of seconds by the clock and of the processor."""
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
