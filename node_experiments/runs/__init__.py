"""What runs leave on disk, and `load_runs`, which reads it into one table; imports no torch."""

from .frame import load_runs
from .result import RunResult

__all__ = ["RunResult", "load_runs"]
