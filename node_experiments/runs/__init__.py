"""Files of runs, and `load_runs`, which reads them into one table; imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .result import RunResult

if TYPE_CHECKING:
    from .frame import load_runs

__all__ = ["RunResult", "load_runs"]


def __getattr__(name: str) -> Any:
    if name != "load_runs":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .frame import load_runs  # pandas, which a run does not need

    return load_runs
