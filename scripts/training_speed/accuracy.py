"""Time until a model trained from scratch has 1 % error on the test images of MNIST."""

from __future__ import annotations

from typing import Any

__all__ = ["measure_accuracy"]


def measure_accuracy() -> dict[str, Any]:
    raise NotImplementedError
