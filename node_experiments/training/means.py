"""Running means of what each step of the training measures."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

__all__ = ["Means"]


@dataclass
class Means:
    """Running means of 0-d tensors, read only when asked for, so that no step waits for one."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    count: int = 0

    def add(self, metrics: dict[str, Tensor]) -> None:
        """Take in the metrics of one step."""
        for name, value in metrics.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.count += 1

    def read(self) -> dict[str, float]:
        """The means, as host floats."""
        return {name: float(total) / self.count for name, total in self.sums.items()}
