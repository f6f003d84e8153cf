"""Tests of models against simple rules over training seeds, as notes under a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ....reports.rank_test import SIGNIFICANCE_LEVEL
from ....reports.records import has
from ....reports.seed_tests import comparison, describe_comparison, holm, paired_p
from ..counted_runs import Record

__all__ = ["Comparisons", "paired_errors", "values"]


class Comparisons:
    """Tests of one table, as notes.

    Args:
        samples: Plural noun for the test samples.
        labels: Names of the models in the notes.
    """

    def __init__(self, samples: str, labels: Mapping[str, str]) -> None:
        self.samples, self.labels = samples, labels
        self._notes: list[str] = []
        self._ps: list[float] = []

    def add_rules(
        self,
        found: Mapping[str, Sequence[Record]],
        metric: str,
        rules: Mapping[str, str],
        suffix: str,
        where: str,
    ) -> None:
        """Compare all models with each rule, in a sentence for each rule."""
        for rule, label in rules.items():
            sentences = []
            for name, runs in found.items():
                ours, theirs = paired_errors(runs, f"{metric}_{suffix}", f"{rule}_{suffix}")
                if ours:
                    verdict, evidence = self._tested(ours, theirs)
                    sentences.append(f"{self.labels[name]} {verdict} ({evidence})")
            if sentences:
                self._notes.append(f"{where}, beside {label}: {'; '.join(sentences)}.")

    def add(self, subject: str, ours: Sequence[float], theirs: Sequence[float], what: str) -> None:
        """Compare one model with `what`."""
        self._tested(ours, theirs)
        self._notes.append(f"{subject}: {describe_comparison(ours, theirs, what)}.")

    def _tested(self, ours: Sequence[float], theirs: Sequence[float]) -> tuple[str, str]:
        p = paired_p(ours, theirs)
        if p is not None:
            self._ps.append(p)
        return comparison(ours, theirs)

    @property
    def notes(self) -> list[str]:
        """All comparisons, and what their p-values mean."""
        if not self._ps:
            return self._notes
        low, left = (
            sum(p < SIGNIFICANCE_LEVEL for p in each) for each in (self._ps, holm(self._ps))
        )
        return [
            *self._notes,
            "p is that of a t-test paired by training seed; it does not reflect the choice of "
            f"test {self.samples}. Of {len(self._ps)} comparisons, {low} have p < "
            f"{SIGNIFICANCE_LEVEL:g}, and {left} after Holm's correction for their number.",
        ]


def paired_errors(
    runs: Sequence[Record], metric: str, simple: str
) -> tuple[list[float], list[float]]:
    """Errors of a model and of a rule, of the seeds that have both."""
    both = [run for run in runs if has(run, [f"{metric}/test", f"{simple}/test"])]
    return values(both, metric), values(both, simple)


def values(runs: Sequence[Record], metric: str, scale: float = 1.0) -> list[float]:
    """A test metric of each run that has it."""
    return [scale * run[f"{metric}/test"] for run in runs if has(run, [f"{metric}/test"])]
