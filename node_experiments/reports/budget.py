"""Selection of runs with the same data and training budget, which one table may compare."""

from __future__ import annotations

from collections.abc import Iterable

from .records import Record, most_alike

__all__ = ["with_same_budget"]

# A model may be ahead of the others merely because it trained for longer.
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


def with_same_budget(runs: Iterable[Record], ignore: Iterable[str] = ()) -> list[Record]:
    """The runs with the data and the budget that most of these runs have.

    Args:
        ignore: Settings that distinguish the cells of the table.
    """
    return most_alike(runs, BUDGET, ignore)
