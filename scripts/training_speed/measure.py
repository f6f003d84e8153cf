"""Interleaved repetitions, and errors against a tight solve in double precision."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch
from torch import Tensor, nn

from node_experiments.ode import Discrete, Solver

from .contenders import Ours
from .problems import Work
from .rows import Row

__all__ = ["measure", "measure_field"]


def reference(row: Row) -> tuple[Tensor, Tensor]:
    """Solution and gradient of the continuous problem, near enough."""
    work, tolerance = row.work().precise(), row.reference_tolerance
    output, loss = work(Ours(Solver("dopri5", rtol=tolerance, atol=tolerance), Discrete()))
    loss.backward()
    return output.detach(), work.gradient()


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found.double().cpu() - expected).norm() / expected.norm())


def clock(device: str) -> float:
    """Seconds, when the device has done all that it was given."""
    if device != "cpu":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def measure(row: Row, repetitions: int, threads: int, device: str = "cpu") -> list[dict[str, Any]]:
    """One result for every contender; the times are medians.

    The first step is not counted among them: it compiles, where that is asked for.
    """
    output, gradient = reference(row)
    contenders = list(row.contenders(row, threads))
    for contender in contenders:
        contender.work.to(device)
    results = []
    for contender in contenders:
        torch.manual_seed(0)
        start = clock(device)
        found = contender.step()
        warm_up = clock(device) - start
        counts = contender.counts()
        results.append(
            {
                "name": contender.name,
                "package": contender.package,
                "note": contender.note,
                "forward": counts.forward,
                "backward": counts.backward,
                "output_error": relative_error(found, output),
                "gradient_error": relative_error(contender.gradient(), gradient)
                if row.backward
                else None,
                "warm_up_seconds": warm_up,
            }
        )
        # What was compiled for the first step may be compiled again for the second.
        contender.step()
    wall: list[list[float]] = [[] for _ in contenders]
    processor: list[list[float]] = [[] for _ in contenders]
    for _ in range(repetitions):
        for i, contender in enumerate(contenders):
            start, start_processor = clock(device), time.process_time()
            contender.step()
            wall[i].append(clock(device) - start)
            processor[i].append(time.process_time() - start_processor)
    for result, times, processor_times in zip(results, wall, processor, strict=True):
        result["seconds"] = statistics.median(times)
        result["processor_seconds"] = statistics.median(processor_times)
    return results


def measure_field(work: Work, repetitions: int, device: str = "cpu") -> float:
    """Seconds of one evaluation of the vector field and its backward pass, with no solver around.

    Times the evaluations of a solve this is what no solver can do without.
    """
    work.to(device)
    asked: list[tuple[Tensor, ...]] = []

    def remember(field: nn.Module, y0: Tensor, t: Tensor, *args: Tensor) -> Tensor:
        asked.append((t[0], y0, *args))
        return y0.expand(len(t), *y0.shape)

    with torch.no_grad():
        work(remember)
    t, y0, *args = asked[0]
    y0 = y0.detach().requires_grad_()
    wanted = [y0, *(p for p in work.field.parameters() if p.requires_grad)]
    seconds = []
    for _ in range(10 * repetitions):
        start = clock(device)
        dy = work.field(t, y0, *args)
        torch.autograd.grad(dy, wanted, torch.ones_like(dy))
        seconds.append(clock(device) - start)
    return statistics.median(seconds)
