"""What the solves of a training step add to its loss."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from ..nn.regularizers import Penalty
from ..nn.swap_solver import solving_modules

__all__ = ["take_penalties"]


def take_penalties(model: nn.Module) -> Iterator[tuple[str, Penalty]]:
    """The penalties of all solves since they were last taken, by the name of the integral."""
    for module in solving_modules(model):
        penalties, module.penalties = module.penalties, {}
        yield from penalties.items()
