"""Choice of the best epoch by the validation metric, and early stopping."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["BestEpoch"]


class BestEpoch:
    """The epoch with the best validation metric so far.

    Args:
        metric: Name of the metric.
        higher_is_better: Whether higher values are better.
        patience: Evaluations in a row without a better value after which training ends; None for
            no early stopping.

    Attributes:
        value: The best value, or None.
        chosen_by: The metric by which it was chosen; `loss` where `metric` is undefined.
        improved: Whether the epoch evaluated last is the best.
        waited: Evaluations since the best.
    """

    def __init__(self, metric: str, higher_is_better: bool, patience: int | None = None) -> None:
        self._metric, self._higher_is_better = metric, higher_is_better
        self.patience = patience
        self.value: float | None = None
        self.chosen_by = metric
        self.improved = False
        self.waited = 0

    def update(self, validation: Mapping[str, float]) -> None:
        """Compare the validation metrics of the epoch that was just evaluated with the best."""
        if self._metric not in validation and self.chosen_by != "loss":
            warnings.warn(
                f"{self._metric} is undefined on the validation data, where a class is "
                "missing; the best epoch is chosen by the loss. Raise dataset.validation_size",
                stacklevel=3,
            )
            self.chosen_by = "loss"
        found = validation[self.chosen_by]
        higher = self._higher_is_better and self.chosen_by == self._metric
        sign = 1 if higher else -1
        better = self.value is None or sign * found > sign * self.value
        self.improved = better and not math.isnan(found)
        self.value = found if self.improved else self.value
        self.waited = 0 if self.improved else self.waited + 1

    @property
    def stopped(self) -> bool:
        """Whether the validation metric has not improved for `patience` evaluations."""
        return self.patience is not None and self.waited >= self.patience

    @property
    def tag(self) -> str:
        """TensorBoard tag of the metric by which the best epoch is chosen."""
        return f"{self.chosen_by}/validation"

    def row(self, history: Sequence[dict[str, float]]) -> dict[str, float]:
        """The metrics of the best epoch in the history of all epochs, else those of the last."""
        if self.value is not None:
            for row in history:
                if row.get(self.tag) == self.value:
                    return row
        return history[-1] if history else {}

    def state_dict(self) -> dict[str, Any]:
        """State for a checkpoint."""
        return {
            "best": self.value,
            "chosen_by": self.chosen_by,
            "improved": self.improved,
            "waited": self.waited,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from a checkpoint."""
        self.value = state.get("best", self.value)
        self.chosen_by = state.get("chosen_by", self.chosen_by)
        self.improved = state.get("improved", self.improved)
        self.waited = state.get("waited", self.waited)
