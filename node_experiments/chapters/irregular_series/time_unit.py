"""The unit in which the model's times are shown to a reader."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["UNKNOWN", "TimeUnit"]


@dataclass(frozen=True)
class TimeUnit:
    """A unit of time of the data, and the length of the model's time 1 in it.

    >>> TimeUnit("h", 48.0).text(0.5)
    '24 h'

    Attributes:
        name: Symbol for axis labels, such as `h`; empty if unknown.
        scale: The model's time 1 in this unit.
        since: What times count from, if it is not the start of each series.
    """

    name: str = ""
    scale: float = 1.0
    since: str = ""

    def text(self, time: float) -> str:
        """A time of the model as text in this unit."""
        return " ".join(filter(None, [f"{time * self.scale:.4g}", self.name, self.since]))


UNKNOWN = TimeUnit()
