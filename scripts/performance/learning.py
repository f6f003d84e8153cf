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

The rows compare solver and recipe together. The peer trains as the official example does (crops, a
constant rate of 0.1 for the first 60 epochs); ours trains with one cycle of two epochs up to 0.1,
Nesterov's momentum, weight decay and no crops. The model is tested every 100 steps, which does not
count towards the seconds. One seed and one thread per run; training stops when the error on the
test images is first at most 1 %. Seconds are wall-clock time on two cores with other work, of
which there was more or less ({loads}), so the factor is rough{by}.
`python scripts/benchmark_training.py --mode accuracy`

![Test error against seconds of training](outputs/reference/training_speed/accuracy.png)
"""
NO_ADJOINT = "torchdiffeq's adjoint, which is slower per step (first table), was not run."


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
    machines = [run["machine"] for run in runs.values() if "machine" in run]
    by = "".join(f"; {one['processor']}, commit {one['commit'][:12]}" for one in machines[:1])
    if ADJOINT not in runs:
        lines += ["", NO_ADJOINT]
    loads = ", ".join(f"{one['load_average']:.1f}" for one in machines)
    return "\n".join(lines) + LEARNING.format(by=by, loads=f"load averages of {loads}")
