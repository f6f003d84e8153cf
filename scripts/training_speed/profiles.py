"""Operator tables: where the time of a row's work goes, in torchdiffeq and in ours."""

from __future__ import annotations

import statistics
import time
from typing import Any

from torch.profiler import ProfilerActivity, profile

from .contenders import Contender
from .rows import ROWS

__all__ = ["measure_profiles", "profile_tables"]

# Of each row: what users of torchdiffeq begin with, and our fastest way to the exact gradient.
BEFORE_AND_AFTER = {
    "mnist": ("torchdiffeq backprop", "backprop"),
    "latent": ("torchdiffeq backprop", "backprop", "backprop, compiled"),
    "rk4": ("torchdiffeq backprop", "backprop", "backprop, compiled"),
    "cnf": ("torchdiffeq backprop", "backprop", "backprop, compiled"),
    "ode_rnn": ("torchdiffeq backprop, rescaled gaps", "backprop", "backprop, compiled"),
}
OPERATORS = 12
REPETITIONS = 3


def measure_profiles(threads: int) -> dict[str, Any]:
    """For every row the operators that take most of each contender's time."""
    found: dict[str, Any] = {}
    for name, wanted in BEFORE_AND_AFTER.items():
        row = ROWS[name]
        contenders = [each for each in row.contenders(row, threads) if each.name in wanted]
        found[name] = {"title": row.title, "contenders": [operators(each) for each in contenders]}
    return found


def operators(contender: Contender) -> dict[str, Any]:
    """Milliseconds and calls of one step, by operator; the step is timed without the profiler."""
    contender.step()
    seconds = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        contender.step()
        seconds.append(time.perf_counter() - start)
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        for _ in range(REPETITIONS):
            contender.step()
    events = sorted(recorded.key_averages(), key=lambda event: -event.self_cpu_time_total)
    return {
        "name": contender.name,
        "seconds": statistics.median(seconds),
        "profiled_seconds": sum(e.self_cpu_time_total for e in events) / REPETITIONS / 1e6,
        "operators": [
            {
                "name": readable(event.key),
                "seconds": event.self_cpu_time_total / REPETITIONS / 1e6,
                "calls": event.count / REPETITIONS,
            }
            for event in events[:OPERATORS]
        ],
    }


def readable(key: str) -> str:
    """The name of an operator; that of a compiled graph without its hash."""
    return "loops of a compiled graph" if "CompiledFxGraph" in key else key


def profile_tables(report: dict[str, Any]) -> str:
    """The profiles as Markdown, two contenders side by side."""
    lines = [
        "# Where the time of a step goes",
        "",
        "Operators by the time that they spend in themselves, in milliseconds of one forward and "
        "backward pass (calls in brackets), with the profiler's own time in it; the titles tell "
        "the time without it. `python scripts/benchmark_training.py --mode profile`, "
        f"{report['machine']['processor']}, {report['machine']['threads']} thread(s), torch "
        f"{report['machine']['versions']['torch']}, load average "
        f"{report['machine']['load_average']:.1f} on {report['machine']['cores']} cores.",
    ]
    for row in report["profile"].values():
        contenders = row["contenders"]
        titles = [f"{each['name']}: {1e3 * each['seconds']:.3g} ms" for each in contenders]
        lines += ["", f"## {row['title']}", "", "| " + " | ".join(titles) + " |"]
        lines.append("| " + " | ".join("---" for _ in contenders) + " |")
        for operators in zip(*(each["operators"] for each in contenders), strict=True):
            cells = [
                f"`{each['name']}` {1e3 * each['seconds']:.3g} ({each['calls']:.0f})"
                for each in operators
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
