"""The names under which numbers are logged: groups that dashboards show together, and units."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["logged", "reported_tags"]

# Groups of their own; all else, but the task's metric, is a diagnostic.
GROUPS = ("Result", "loss", "nfe", "solver", "memory", "time", "lr", "epoch")


def logged(values: Mapping[str, float], metric: str) -> dict[str, float]:
    """Numbers by the tag that is logged, memory in MB.

    >>> logged({"memory/peak_bytes": 2e6, "kl/train": 0.1, "loss/test": 0.5}, "rmse")
    {'memory/peak_mb': 2.0, 'diagnostics/kl/train': 0.1, 'loss/test': 0.5}
    """
    found = {}
    for tag, value in values.items():
        if tag.partition("/")[0] not in (metric, *GROUPS):
            tag = f"diagnostics/{tag}"
        elif tag.startswith("memory/") and "_bytes" in tag:
            tag, value = tag.replace("_bytes", "_mb"), value / 1e6
        found[tag] = value
    return found


def reported_tags(reported: Mapping[str, float], metric: str) -> dict[str, float]:
    """The numbers that stand for a run so far, which tables of runs show.

    They are those of the best validation epoch, else of the last, as everywhere else. The capital
    puts them first among the metrics of TensorBoard's HParams, which shows five.
    """
    tags = {
        f"Result/{metric}": f"{metric}/test",
        "Result/loss": "loss/test",
        "Result/epoch": "epoch",
        "Result/nfe_forward": "nfe/forward",
        "Result/step_seconds": "time/step_seconds",
    }
    return {new: reported[tag] for new, tag in tags.items() if tag in reported}
