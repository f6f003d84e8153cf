"""Runs that learned from the same data for as long, which alone may stand in one table."""

from __future__ import annotations

from collections.abc import Iterable

from .records import Record, most_alike

__all__ = ["of_one_budget"]

# A model that trained for longer than the others may be ahead by that alone.
BUDGET = (
    "dataset.",
    "optimizer.",
    "scheduler.",
    "protocol",
    "trainer.epochs",
    "trainer.limit_batches",
    "trainer.clip_norm",
    "trainer.precision",
)


def of_one_budget(runs: Iterable[Record], but: Iterable[str] = ()) -> list[Record]:
    """Those of the data and the budget that most of these runs have.

    Args:
        but: Settings that tell the cells of the table apart.
    """
    return most_alike(runs, BUDGET, but)
