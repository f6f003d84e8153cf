"""The unit in which a reader is told the model's times."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["UNKNOWN", "TimeUnit"]


@dataclass(frozen=True)
class TimeUnit:
    """A unit of the data, and the model's time in it.

    >>> TimeUnit("h", 48.0).text(0.5)
    '24 h'

    Attributes:
        name: As an axis says it, such as `h`; empty when unknown.
        scale: The model's time 1 in this unit.
    """

    name: str = ""
    scale: float = 1.0

    def text(self, time: float) -> str:
        """A time of the model, with its unit."""
        return f"{time * self.scale:.4g} {self.name}".rstrip()


UNKNOWN = TimeUnit()
