"""A table of errors with one setting and with another, over the same training seeds."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from node_experiments.reports.rank_test import SIGNIFICANCE_LEVEL
from node_experiments.reports.seed_tests import describe_comparison, holm, paired_p
from node_experiments.reports.table import Estimate, ReportTable


class Pair(NamedTuple):
    """Errors by training seed, without a change and with it."""

    label: str
    before: Mapping[int, float]
    after: Mapping[int, float]


def paired_table(
    title: str, headings: tuple[str, str], pairs: Sequence[Pair], subject: str, caption: str
) -> ReportTable:
    """A row for each pair, and a test of each.

    Args:
        headings: Of the errors before and after.
        subject: What is better or worse than the first heading.
    """
    rows: list[list[Any]] = []
    notes: list[str] = []
    ps: list[float] = []
    for label, before, after in pairs:
        seeds = sorted(before.keys() & after.keys())
        old, new = ([each[seed] for seed in seeds] for each in (before, after))
        rows.append([label, *(Estimate.of(each).cell(".3f", ".3f", 1) for each in (old, new))])
        notes.append(f"{label}: {subject} is {describe_comparison(new, old, headings[0])}.")
        if (p := paired_p(new, old)) is not None:
            ps.append(p)
    low, left = (sum(p < SIGNIFICANCE_LEVEL for p in each) for each in (ps, holm(ps)))
    return ReportTable.of(
        title,
        ["", *headings],
        rows,
        caption=caption,
        notes=[
            *notes,
            f"p is that of a t-test paired by training seed. Of the {len(ps)} comparisons, {low} "
            f"have p < {SIGNIFICANCE_LEVEL:g}, and {left} after Holm's correction for their "
            "number.",
        ],
    )
