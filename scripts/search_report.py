"""What the search for a better latent ODE found (`search_table2.py`), from its log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pandas import DataFrame, isna, read_csv
from scipy.stats import spearmanr
from search_table2 import FIRST, FOURTH, KEPT, OBSERVATIONS, SECOND, SPACE, THIRD, settings

from node_experiments.chapters.latent_ode.table2 import cell
from node_experiments.chapters.latent_ode.table2_runs import (
    COUNTS,
    RECURRENT,
    Cells,
    collect,
    scored,
)
from node_experiments.reports.rank_test import UNDECIDED, Comparison, compare
from node_experiments.reports.table import ReportTable

__all__ = ["report"]


def report(out: Path, table: DataFrame) -> ReportTable:
    """What the search found.

    Args:
        out: The log.
        table: The runs of Table 2, for its recurrent networks.
    """
    log = read_csv(out)
    first, second, third, fourth = (
        log[log["round"] == which] for which in ("first", "second", "third", "fourth")
    )
    rows = [
        search_row(number, first, second)
        for number in dict.fromkeys([0, *by_elbo(second), *by_elbo(first)[:KEPT]])
    ]
    cells, _ = scored(collect(table)[0])
    found = beside_recurrent(third, cells, "rmse_test")
    at_best = beside_recurrent(third, cells, "rmse_test_best_epoch")
    drawn = first[first["status"] == "completed"]
    lost = first.loc[first["status"] != "completed", "setting"]
    failed = f" and {len(lost)} failed (setting {', '.join(map(str, lost))})" if len(lost) else ""
    chosen = int(third["setting"].iloc[0])
    by_forecasts = drawn.loc[drawn["rmse_validation"].idxmin()]
    counts = sorted({count for _, count in found})
    notes = [
        f"Chosen by its ELBO is setting {chosen}, run in the table's cells with "
        f"{', '.join(map(str, counts))} observations. Against RNNs that forecast in steps of the "
        f"mean gap {standing(found)} by the weights of the last epoch, and {standing(at_best)} by "
        f"those of the epoch that the table takes: {conclusion(found)}.",
        elbo_and_forecast(drawn),
        "The forecasts of the validation series, which chose nothing in this search, would have "
        f"chosen setting {by_forecasts['setting']} in the first round, with an RMSE of "
        f"{by_forecasts['rmse_test']:.3f} on the test series; that of the table's setting is "
        f"{rmse_of(0, first):.3f}. (Rank correlation of the RMSE on validation and test series: "
        f"{spearmanr(drawn['rmse_validation'], drawn['rmse_test']).statistic:.2f}.)"
        + by_its_forecasts(fourth, cells),
    ]
    return ReportTable.of(
        "Table 2, a search for a better latent ODE",
        ["setting", "what differs from the table's", "ELBO", "RMSE", "ELBO, again", "RMSE, again"],
        rows,
        caption=(
            f"A random search over {len(SPACE)} choices: {len(first)} settings, of which setting "
            f"0 is the table's{failed}, with {OBSERVATIONS} observations and {FIRST[0]:,} steps "
            f"of one seed; then the {KEPT} with the highest ELBO again with {SECOND[0]:,} steps "
            "of two. ELBO in nats per validation series and RMSE on the test series, both of the "
            "last epoch. No forecast chose anything, and no seed of these two rounds is one of "
            "the table's; the third round, below, has those of the table. Shown are the settings "
            "that were run again and the table's; all "
            f"{len(log)} runs of all rounds are in search.csv."
        ),
        notes=notes,
        more=[final_table(third, fourth, cells)],
        missing="-",
    )


def elbo_and_forecast(drawn: DataFrame) -> str:
    """Whether settings with a higher ELBO forecast better, over all and by kind of noise."""
    everywhere = spearmanr(drawn["negative_elbo"], drawn["rmse_test"]).statistic
    parts = []
    noise_of = drawn["model.noise_std"].map(lambda std: "learned" if isna(std) else f"{std:g}")
    for noise, runs in drawn.groupby(noise_of):
        found = spearmanr(runs["negative_elbo"], runs["rmse_test"])
        parts.append(
            f"{noise}: {found.statistic:.2f} (p = {found.pvalue:.2g}, {len(runs)} settings, "
            f"median ELBO {-runs['negative_elbo'].median():.0f})"
        )
    return (
        f"Over the {len(drawn)} settings that completed in the first round, the rank correlation "
        f"of -ELBO and RMSE is {everywhere:.2f} (Spearman). But ELBOs of different observation "
        "noise differ by that noise above all. By the standard deviation of the noise, the "
        f"correlations are: {'; '.join(parts)}."
    )


def by_its_forecasts(fourth: DataFrame, cells: Cells) -> str:
    """How the setting that validation forecasts chose compares; empty if it was not run."""
    found = beside_recurrent(fourth, cells, "rmse_test")
    if not found:
        return ""
    at_best = beside_recurrent(fourth, cells, "rmse_test_best_epoch")
    return (
        f" Run again in the table's cells, with {FOURTH[0]:,} steps: {standing(found)} by the "
        f"weights of the last epoch, and {standing(at_best)} by those of the epoch that the table "
        f"takes: {conclusion(found)}."
    )


def by_elbo(runs: DataFrame) -> list[int]:
    """Settings from the highest ELBO to the lowest."""
    order = runs.groupby("setting")["negative_elbo"].mean().sort_values()
    return [int(number) for number in order.index]


def rmse_of(number: int, runs: DataFrame) -> float:
    """The mean test error of a setting in a round."""
    return float(runs.loc[runs["setting"] == number, "rmse_test"].mean())


def search_row(number: int, first: DataFrame, second: DataFrame) -> list[Any]:
    """A setting, and what both rounds found."""
    drawn = settings()
    changed = [
        f"{name.removesuffix('.name').split('.')[-1]}={value}"
        for name, value in drawn[number].items()
        if value != drawn[0][name]
    ]
    found: list[Any] = [number, ", ".join(changed) or "nothing"]
    for runs in (first, second):
        of_setting = runs[runs["setting"] == number]
        elbo = cell((-of_setting["negative_elbo"]).tolist(), ".1f", None)
        found += [elbo, cell(of_setting["rmse_test"].tolist(), count=None)]
    return found


def beside_recurrent(
    chosen: DataFrame, cells: Cells, metric: str
) -> dict[tuple[str, int], Comparison]:
    """A chosen setting's errors beside those of the RNNs in steps of the mean gap.

    Args:
        chosen: The runs of a last round.
    """
    last = "last/" if metric == "rmse_test" else ""
    return {
        (label, count): compare(
            chosen.loc[chosen["observations"] == count, metric].tolist(),
            [run[f"{last}{theirs}/test"] for run in cells[model, count]],
        )
        for label, model, theirs in RECURRENT
        if theirs == "rmse_mean_gap"
        for count in COUNTS
        if (chosen["observations"] == count).sum() == len(THIRD[1])
    }


def standing(found: dict[tuple[str, int], Comparison]) -> str:
    """How often its error is lower, higher or not told apart, in words."""
    verdicts = [each.verdict for each in found.values()]
    counts = {verdict: verdicts.count(verdict) for verdict in ("lower", "higher", UNDECIDED)}
    parts = [f"{verdict} in {count}" for verdict, count in counts.items() if count]
    return f"its error is {', '.join(parts)} of {len(found)} comparisons"


def conclusion(found: dict[tuple[str, int], Comparison]) -> str:
    """Whether the chosen setting has the lower error everywhere, and where it was not run."""
    verdicts = {each.verdict for each in found.values()}
    others = [count for count in COUNTS if count not in {count for _, count in found}]
    says = "it is not shown to have"
    if "higher" in verdicts:
        says = "it does not have"
    elif verdicts == {"lower"} and not others:
        says = "it has"
    says += " the lower error in all three columns"
    if not others:
        return says
    return f"{says} (it was not run with {' and '.join(map(str, others))} observations)"


def comparison_text(found: Comparison | None) -> str | None:
    """A verdict with its p."""
    return None if found is None else str(found)


def final_table(third: DataFrame, fourth: DataFrame, cells: Cells) -> ReportTable:
    """The chosen settings in the cells of the table, by the weights of the last epoch."""
    rows: list[list[Any]] = []
    for label, model, metric in RECURRENT:
        if metric == "rmse_mean_gap":
            errors = [
                cell([run[f"last/{metric}/test"] for run in cells[model, count]])
                for count in COUNTS
            ]
            rows.append([label, *errors])
    rows.append(
        ["latent ODE of the table", *(
            cell([run["last/rmse/test"] for run in cells["latent_ode", count]])
            for count in COUNTS
        )]
    )  # fmt: skip
    for name, chosen in (("its ELBO", third), ("its forecasts", fourth)):
        if chosen.empty:
            continue
        errors = [
            cell(chosen.loc[chosen["observations"] == count, "rmse_test"].tolist())
            for count in COUNTS
        ]
        rows.append([f"latent ODE, chosen by {name}", *errors])
        found = beside_recurrent(chosen, cells, "rmse_test")
        rows += [
            [
                f"beside the {label}",
                *(comparison_text(found.get((label, count))) for count in COUNTS),
            ]
            for label in dict.fromkeys(label for label, _ in found)
        ]
    return ReportTable.of(
        "Table 2, the settings that the search chose",
        ["observations", *(f"{count}/100" for count in COUNTS)],
        rows,
        caption=(
            "The setting with the highest ELBO of the second round"
            + ("" if fourth.empty else ", and that with the best forecasts of the first")
            + f", {THIRD[0]:,} steps, beside the table's runs, all by the weights of the last "
            "epoch:"
        ),
        missing="-",
    )
