"""Training time until a model has 1 % error."""

from __future__ import annotations

from typing import Any

from .milliseconds import ADJOINT, BACKPROP, times

__all__ = ["learning"]

OUR_RUN = "bosh3"
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


def learning(report: dict[str, Any]) -> str:
    """The runs to 1 % error, and how many times as fast ours is."""
    runs = report["runs"]
    ended = {name: run["history"][-1]["seconds"] for name, run in runs.items() if run["reached"]}
    lines = [
        "",
        "| training until 1 % test error on MNIST, batch 128 | seconds of training | steps "
        "| ours is faster by |",
        "| --- | ---: | ---: | ---: |",
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
            cells.append(f"**{times(sooner)}**" if sooner else "-")
        else:
            cells.append("")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + LEARNING
