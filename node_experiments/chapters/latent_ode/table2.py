"""Table 2 of Chen et al. 2018 and our results: forecasts of spirals beyond the observed range."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pandas import DataFrame

from ...reports.rank_test import SIGNIFICANCE_LEVEL, UNDECIDED, Comparison, compare
from ...reports.records import differences
from ...reports.table import Cell, Estimate, ReportTable
from .table2_runs import ALL, COUNTS, LATENT, MODELS, RECURRENT, Cells, collect, numbers, scored

__all__ = ["PAPER", "cell", "details", "table2"]

PAPER = {
    "rnn": dict(zip(COUNTS, (0.3937, 0.3202, 0.1813), strict=True)),
    "latent_ode": dict(zip(COUNTS, (0.1642, 0.1502, 0.1346), strict=True)),
}
FORECASTS = {
    "rmse_target": "from target to target",
    "rmse_mean_gap": "in steps of the mean gap",
}
LATENT_ODE = ("latent ODE", LATENT, "rmse")
DETAILS = {
    "rmse": "clean",
    "rmse_noisy": "noisy",
    "rmse_median": "median series",
    "rmse_hold_last": "last point repeated",
    "coverage_90": "inside the 90 % band",
}


def table2(runs: DataFrame) -> ReportTable:
    """Table of all completed runs on spirals, with a verdict on the paper's claim.

    Runs with other settings than most are left out; a note says how many.
    """
    found, not_shown = collect(runs)
    cells, chosen_by = scored(found)
    rows = [
        paper_row("paper: RNN", "rnn"),
        *(our_row(*row, cells) for row in RECURRENT),
        paper_row("paper: latent ODE", "latent_ode"),
        our_row(*LATENT_ODE, cells),
    ]
    notes = verdicts(cells) + chosen_by + if_all_counted(found, cells)
    notes += differences(cells.values(), what="Seeds of one cell")
    return ReportTable.of(
        "Table 2",
        ["observations", *(f"{count}/100" for count in COUNTS)],
        rows,
        caption=(
            "RMSE per coordinate on the 100 points beyond the observed range, of forecasts from "
            "the posterior mean, against the curve without noise; mean and standard deviation "
            "over seeds (number of seeds). The checkpoint is the best on the validation series, "
            "that of a latent ODE by this error and that of an RNN by this error in steps of the "
            "mean gap, in the rows from target to target as well. All series are windows of two "
            "curves, and windows of other series cover these points: what is beyond the observed "
            "range is not beyond the training data."
        ),
        notes=notes + not_shown,
        more=comparison_table(cells),
        missing="-",
    )


def details(runs: DataFrame) -> ReportTable:
    """Tables of other metrics of the same runs, and of the latent ODE seed by seed."""
    found, _ = collect(runs)
    cells, chosen_by = scored(found)
    rows = []
    for model, label in MODELS.items():
        for count in COUNTS:
            seeds = cells.get((model, count), [])
            measures = [cell(numbers(seeds, metric), count=None) for metric in DETAILS]
            rows.append([label, count, *measures])
    return ReportTable.of(
        "Table 2, other measures",
        ["model", "observations", *DETAILS.values()],
        rows,
        caption="Other measures of the same runs, the RNNs in steps of the mean gap:",
        notes=chosen_by,
        more=[by_seed(found)],
        missing="-",
    )


def by_seed(cells: Cells) -> ReportTable:
    """Table of the latent ODE's errors seed by seed."""
    found = {
        count: {
            int(run.get("seed", 0)): run["rmse/test"]
            for run in cells[LATENT, count]
            if "rmse/test" in run
        }
        for count in COUNTS
        if (LATENT, count) in cells
    }
    seeds = sorted({seed for each in found.values() for seed in each})
    rows = [
        [f"{count} observations", *(number(found.get(count, {}).get(seed)) for seed in seeds)]
        for count in COUNTS
    ]
    headings = ["latent ODE", *(f"seed {seed}" for seed in seeds)]
    return ReportTable.of("Table 2, seed by seed", headings, rows, missing="-")


def number(value: float | None) -> Cell | None:
    """Cell of a number with three decimals; None if there is none."""
    return None if value is None else Cell.number(value, ".3f")


def comparisons(cells: Cells, last: str = "") -> dict[tuple[str, int], Comparison]:
    """Compare the latent ODE's errors with those of each RNN, by its label and the observations.

    Args:
        last: `last/` for the weights of the last epoch instead of the best.
    """
    found = {}
    for label, model, metric in RECURRENT:
        for count in COUNTS:
            ours = numbers(cells.get((LATENT, count), []), f"{last}rmse")
            theirs = numbers(cells.get((model, count), []), f"{last}{metric}")
            if ours and theirs:
                found[label, count] = compare(ours, theirs)
    return found


def distinct(found: Mapping[tuple[str, int], Comparison]) -> dict[tuple[str, int], Comparison]:
    """Comparisons without duplicates: with all observations both kinds of rollout are the same."""
    again = {(label, ALL) for label, _, metric in RECURRENT if metric == "rmse_mean_gap"}
    return {key: each for key, each in found.items() if key not in again}


def comparison_table(cells: Cells) -> list[ReportTable]:
    """Table of which error is lower by a test over seeds; none if nothing can be compared."""
    found = comparisons(cells)
    if not found:
        return []
    rows = [
        [label, *(verdict_cell(found.get((label, count))) for count in COUNTS)]
        for label, _, _ in RECURRENT
    ]
    return [
        ReportTable.of(
            "Table 2, the latent ODE beside each RNN",
            ["the latent ODE's error beside that of", *(f"{count}/100" for count in COUNTS)],
            rows,
            caption=(
                f"Lower or higher at p < {SIGNIFICANCE_LEVEL:g} by an exact rank test over seeds "
                "(Mann & Whitney 1947, two-sided), with the medians of the latent ODE and of "
                "the RNN:"
            ),
            missing="-",
        )
    ]


def verdict_cell(found: Comparison | None) -> Cell | None:
    """Cell with a verdict and the medians that were compared."""
    if found is None:
        return None
    return Cell(f"{found}: {found.ours:.3f} and {found.theirs:.3f}", {"p": found.p})


def verdicts(cells: Cells) -> list[str]:
    """Notes on whether the paper's order holds, by tests of the latent ODE against each RNN."""
    found = distinct(comparisons(cells))
    if not found:
        return []
    metrics = {label: metric for label, _, metric in RECURRENT}
    said = []
    for metric, how in FORECASTS.items():
        of_metric = [
            each.verdict for (label, _), each in found.items() if metrics[label] == metric
        ]
        if of_metric:
            said.append(f"Against RNNs that forecast {how}, this {verdict_text(of_metric)}.")
    notes = [f"The paper: the latent ODE has the lower error. {' '.join(said)}"]
    if any(count == ALL for _, count in found):
        notes.append(
            f"With {ALL} observations, both ways to forecast are the same; they are counted once, "
            "as from target to target."
        )
    at_the_end = distinct(comparisons(cells, last="last/"))
    if at_the_end.keys() == found.keys():
        tally = Counter(each.verdict for each in at_the_end.values())
        notes.append(
            "With the weights of the last epoch, which no forecast selected, the latent ODE has "
            f"the lower error in {tally['lower']} and the higher in {tally['higher']} of "
            f"{len(found)} comparisons; not decided: {tally[UNDECIDED]}."
        )
    return [
        *notes,
        "The paper's values are not compared, because it does not state the units, the curve "
        "(with or without noise) or the series of its RMSE.",
    ]


def if_all_counted(every: Cells, cells: Cells) -> list[str]:
    """Note on what changes if the runs that are left out are counted as well.

    Args:
        every: All runs, with those that `cells` leaves out.
    """
    more = [key for key in every if len(every[key]) > len(cells[key])]
    if not more:
        return []
    errors = [
        f"{MODELS[model]} with {count} observations {cell(numbers(every[model, count], 'rmse'))}"
        for model, count in more
    ]
    before, after = comparisons(cells), comparisons(every)
    changed = [key for key, each in after.items() if each.verdict != before[key].verdict]
    verdict = (
        f"{len(changed)} of {len(after)} verdicts change" if changed else "no verdict changes"
    )
    return [f"If it is counted, {verdict}: {'; '.join(errors)}."]


def verdict_text(found: Sequence[str]) -> str:
    """Text that says whether the claim holds in these comparisons.

    >>> verdict_text(["higher", "higher", "not decided by these seeds"])
    'does not hold: the latent ODE has the higher error in 2 of 3 cases, and 1 is not decided'
    """
    lower, higher = found.count("lower"), found.count("higher")
    undecided = len(found) - lower - higher
    if not lower and not higher:
        return f"is {UNDECIDED}"
    parts = [
        f"the {word} error in {count} of {len(found)} cases"
        for word, count in (("lower", lower), ("higher", higher))
        if count
    ]
    if undecided:
        parts.append(f"{undecided} {'is' if undecided == 1 else 'are'} not decided")
    holds = (
        "holds" if not higher and not undecided else "holds in part" if lower else "does not hold"
    )
    return f"{holds}: the latent ODE has {', and '.join(parts)}"


def paper_row(label: str, model: str) -> list[Any]:
    """Table row with the published values."""
    return [label, *(Cell.number(PAPER[model][count], ".4f") for count in COUNTS)]


def our_row(label: str, model: str, metric: str, cells: Cells) -> list[Any]:
    """Table row with our results."""
    return [label, *(cell(numbers(cells.get((model, count), []), metric)) for count in COUNTS)]


def cell(values: Iterable[float], form: str = ".3f", count: int | None = 1) -> Cell | None:
    """Cell with the mean, standard deviation and number of values."""
    found = Estimate.of(values)
    return None if found is None else found.cell(form, form, count)
