"""The results at a glance: a row for each table and figure of the paper, by the committed runs."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from documents import ROOT
from figure3_growth import by_seed
from hopper_steps import LATENT_ODE, SHARE, best_of, hopper_trainings

from node_experiments.chapters.irregular_series.tables import (
    MODELS,
    OBSERVED_FRACTIONS,
    cell,
    forecasts,
)
from node_experiments.chapters.irregular_series.tables import errors as mean_squared
from node_experiments.cli.report import TABLES, resolve
from node_experiments.reports.rank_test import SIGNIFICANCE_LEVEL, compare, order_verdict
from node_experiments.reports.records import records
from node_experiments.reports.table import ReportTable
from node_experiments.reports.verdicts import claim_verdict
from node_experiments.runs import load_runs

REFERENCE = ROOT / "outputs" / "reference"
RESULTS = "outputs/reference/README.md"

# Sections of the page of results.
TABLE_1 = "results-table-1-of-the-paper"
FIGURES_1_3 = "figures-1-and-3-of-the-paper-and-a-question-of-its-critics"
TABLE_2 = "irregular-time-series-table-2-of-the-paper"
FIGURE_3 = "node-report figure3 --reference"
FLOWS = "continuous-normalizing-flows-figures-4-and-5-of-the-paper"
REAL = "real-irregular-series-rubanova-chen--duvenaud-2019"


def report(name: str, folder: str | None = None) -> ReportTable:
    """A table of `node-report`, of the committed runs."""
    return resolve(TABLES[name])(load_runs(REFERENCE / (folder or name)))


def cells(table: ReportTable) -> dict[str, dict[str, str]]:
    """Texts by row and column; a row's name is its first cell, with the one above for `paper`."""
    columns, found, above = list(table.frame.columns), {}, ""
    for row in table.texts():
        name = f"paper: {above}" if row[0] == "paper" else row[0]
        found[name] = dict(zip(columns, row, strict=True))
        above = row[0]
    return found


class Row(NamedTuple):
    """A line of the results at a glance."""

    item: str
    what: str
    paper: str
    ours: str
    verdict: str
    command: str
    anchor: str


def only(pattern: str, notes: Sequence[str]) -> str:
    """What the first group matches in the one note that has the pattern.

    Raises:
        ValueError: None or several have it, so that the wording has changed.
    """
    (found,) = filter(None, (re.search(pattern, note) for note in notes))
    return found[1]


def mean(cell: str) -> float:
    """The mean in a cell that may have a spread behind it."""
    return float(cell.partition(" ")[0])


def table1_rows() -> Iterator[Row]:
    """Errors and memory of the three networks."""
    one = cells(report("table1"))
    nets = ["ResNet, 6 blocks", "RK-Net, dopri5, backprop", "ODE-Net, dopri5, adjoint"]
    error, memory = "test error, %", "memory"

    def triple(column: str, paper: str = "") -> str:
        return ", ".join(one[f"{paper}{net}"][column] for net in nets)

    gap = max(abs(mean(one[n][error]) - mean(one[f"paper: {n}"][error])) for n in nets)
    seeds = [one[net]["runs"].split()[0] for net in nets]
    counts = seeds[0] if len({*seeds}) == 1 else ", ".join(seeds)
    block = one["ResNet, 1 block"][error]
    # O(1) is the power 0 of the depth, O(L) the power 1.
    claimed = [0.0 if "(1)" in one[f"paper: {net}"][memory] else 1.0 for net in nets]
    powers = [float(one[net][memory].partition("^")[2]) for net in nets]
    close = sum(abs(a - b) < 0.1 for a, b in zip(powers, claimed, strict=True))
    yield Row(
        "Table 1",
        "test error in %: ResNet, RK-Net, ODE-Net",
        triple(error, "paper: "),
        triple(error),
        f"each within {gap:.2f} points of the paper's; {counts} seeds; "
        f"a single residual block: {block}",
        "node-run sweep=table1",
        TABLE_1,
    )
    yield Row(
        "",
        "memory as a power of the depth (L blocks, L̃ evaluations): ResNet, RK-Net, ODE-Net",
        triple(memory, "paper: "),
        triple(memory),
        claim_verdict(close, len(nets)),
        "node-report table1 --reference",
        TABLE_1,
    )


def figure3_rows() -> Iterator[Row]:
    """The four panels; the verdicts are those of the report."""
    notes = report("figure3").notes
    a, b, c, d = (only(r": ([^:]*?)\.\*\*", [note]) for note in notes)
    of_methods = r"(?:dopri5|Adams) ([\d.]+\d) \("
    powers = of_both(re.findall(r"to the power ([\d.]+\d)", notes[0]))
    growth = only(r"went from (.*) between", [by_seed(load_runs(REFERENCE / "table1"))])
    times, ratios = (of_both(re.findall(of_methods, note)) for note in notes[1:3])
    for panel, what, paper, ours, verdict in (
        (
            "a",
            "tolerance controls the error (one network)",
            "yes",
            f"tolerance to the power {powers}",
            a,
        ),
        ("b", "time is proportional to NFE (one network)", "yes", f"NFE to the power {times}", b),
        ("c", "backward NFE over forward NFE (one network)", "0.5", ratios, c),
        ("d", "NFE grow with training (3 seeds)", "yes", growth, d),
    ):
        yield Row(f"Figure 3{panel}", what, paper, ours, verdict, FIGURE_3, FIGURES_1_3)


def of_both(numbers: Sequence[str]) -> str:
    """The numbers of dopri5 and of SciPy's Adams."""
    return ", ".join(
        f"{each} ({name})" for each, name in zip(numbers, ("dopri5", "Adams"), strict=True)
    )


def table2_rows() -> Iterator[Row]:
    """Forecasts of spirals."""
    table = report("table2")
    two, latent, rnn = cells(table), "latent ODE", "RNN with time gaps, in steps of the mean gap"
    outcomes = re.findall(r"this (holds in part|holds|does not hold)", table.notes[0])

    def across(name: str) -> str:
        return ", ".join(list(two[name].values())[1:])

    yield Row(
        "Table 2",
        "latent ODE, RMSE at 30, 50, 100 points",
        across(f"paper: {latent}"),
        across(latent),
        f"a lower error than that of RNNs {outcomes[0]} if these forecast from target to target, "
        f"and {outcomes[1]} if they forecast in steps of the mean gap (single tests)",
        "node-run sweep=table2",
        TABLE_2,
    )
    yield Row(
        "",
        "RNN (ours: with time gaps), RMSE",
        across("paper: RNN"),
        across(rnn),
        "forecasts in steps of the mean gap; the paper does not say how its RNN forecasts",
        "node-report table2 --reference",
        TABLE_2,
    )


def flow_rows() -> Iterator[Row]:
    """Density matching and maximum likelihood."""
    four, five = report("figure4").notes, report("figure5")
    lower = only(r"lower loss in (\d+ of \d+) cells", four)
    undecided = only(r"in (\d+) not told apart", four)
    below, above = only(r"below the NF's in (\d+)", four), only(r"and above it in (\d+)", four)
    moons = {row[1]: row[5] for row in five.texts() if row[0] == "two_moons"}
    yield Row(
        "Figure 4",
        "CNF has a lower loss than NF",
        "generally",
        f"in {lower} cells; {undecided} are undecided (medians: lower in {below}, higher in "
        f"{above})",
        only(r"Here it ([^:]+):", four),
        "node-run sweep=figure4",
        FLOWS,
    )
    yield Row(
        "Figure 5",
        "two moons, log-likelihood (± standard error): CNF, NF",
        "NF struggles",
        f"{moons['CNF']}, {moons['NF']}",
        only(r"two_moons: .*; this ([^:]+):", five.notes),
        "node-run sweep=figure5",
        FLOWS,
    )


def poisson_row() -> Row:
    """What the inferred rate gains of what the true one would."""
    (events,) = records(load_runs(REFERENCE / "poisson"))
    nats = {key: -events[f"held_out_nll{key}/test"] for key in ("", "_true", "_constant")}
    gained = (nats[""] - nats["_constant"]) / (nats["_true"] - nats["_constant"])
    return Row(
        "Figure 7",
        "Poisson process: nats inferred, true, constant rate",
        "picture",
        ", ".join(f"{value:.2f}" for value in nats.values()),
        f"{gained:.0%} of the difference between constant and true rate",
        "node-run experiment=poisson_latent_ode",
        TABLE_2,
    )


def hopper_row() -> Row:
    """Latent ODE and ODE-RNN; their order by the rank test over seeds."""
    table = cells(report("table3", "hopper_interpolation"))
    runs = load_runs(REFERENCE / "hopper_interpolation")
    counted = forecasts(runs, "hopper", "interpolation").cells
    errors = {
        MODELS[model]: mean_squared(counted, model, 0.1)
        for model in ("irregular_latent_ode", "ode_rnn")
    }
    known = {name: table[f"published: {name}"]["10%"] for name in errors}
    ours = ", ".join(table[name]["10%"] for name in errors)
    best = best_of(hopper_trainings(REFERENCE), SHARE)
    lowest = cell(mean_squared(best.cells, LATENT_ODE, SHARE))
    assert lowest is not None
    published = sorted(known, key=lambda name: float(known[name]))
    pair = compare(*(errors[name] for name in published))
    single = f" (a single test, p = {pair.p:.2g})" if pair.p < SIGNIFICANCE_LEVEL else ""
    others = {
        share: [mean_squared(counted, model, share) for model in (LATENT_ODE, "ode_rnn")]
        for share in OBSERVED_FRACTIONS
    }
    reversed_at = [
        f"{share:.0%}"
        for share, pairs in others.items()
        if all(pairs) and compare(*pairs).verdict == "higher"
    ]
    elsewhere = f"; it is reversed with {', '.join(reversed_at)} observed" if reversed_at else ""
    return Row(
        "Rubanova et al., Table 3",
        "Hopper, MSE x 100, 10 % observed: latent ODE, ODE-RNN",
        ", ".join(known.values()),
        f"{ours}; latent ODE after {best.steps:,} steps: {lowest.text}",
        f"order {order_verdict(errors, published)}{single}{elsewhere}",
        "node-run sweep=hopper_interpolation",
        REAL,
    )


def glance() -> str:
    """One row for each table and figure of the paper."""
    figure1, pictures = (
        Row(item, what, paper, ours, "", f"node-run experiment={name}", anchor)
        for item, what, paper, ours, name, anchor in (
            ("Figure 1", "residual network beside ODE network", "drawing", "drawn from a run",
             "figure1", FIGURES_1_3),
            ("Figures 6, 8, 9, 10", "latent trajectories, extrapolation", "pictures", "pictures",
             "spirals_latent_ode", TABLE_2),
        )
    )  # fmt: skip
    lines = [
        "| item | what | paper | ours | verdict | command |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in (*table1_rows(), figure1, *figure3_rows(), *table2_rows(), *flow_rows(), pictures,
                poisson_row(), hopper_row()):  # fmt: skip
        link = f"[{row.item}]({RESULTS}#{row.anchor})" if row.item else ""
        lines.append(f"| {link} | {' | '.join(row[1:5])} | `{row.command}` |")
    return "\n".join(lines)
