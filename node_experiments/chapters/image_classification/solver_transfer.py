"""Networks trained with one solver and tested with others: discretisations, or ODEs?

Ott et al. 2021 ("ResNet after all?"): a network that was trained with too coarse a solver has
learned the solver's steps. A finer solver, although it is closer to the solution of the ODE, then
changes the network's predictions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pandas import DataFrame

from ...reports.paired import paired_error, unpaired_error
from ...reports.records import Record, differences, has, records, settings, show, varying
from ...reports.table import Cell, Estimate, ReportTable
from ...runs.directory import read_json

__all__ = ["solver_transfer"]

SOLVER = ("method", "num_steps", "step_size", "rtol", "atol")
PUBLISHED_TEST_IMAGES = 10_000  # of MNIST, Fashion-MNIST and CIFAR-10

# Settings of an evaluation that identify the trained network and the test images.
TRAINED = ("protocol", "dataset", "model", "gradient", "regularizer", "optimizer", "scheduler")
BUDGET = ("trainer.epochs", "trainer.limit_batches", "trainer.overfit")

# Without these, a run does not say which network was tested with which solver.
ORIGIN = ("trained.config_hash", "trained.solver.method", "config.solver.method")

INTRO = (
    "Test error in % of networks (columns, by the solver that each was trained with) under other "
    "solvers (rows); in bold the solver of the training. Each network is compared with itself "
    "under the finest solver tested, which has at least the same order and steps no larger, or a "
    "smaller tolerance if the network's solver is adaptive. It is called a discretisation if this "
    "changes its error by more than two standard errors of sampling the test images (paired, "
    "image by image, unless marked)."
)


@dataclass
class SolverResolution:
    """The resolution of a solver.

    Attributes:
        order: Order of the method; 0 if the run does not record it.
        steps: Fixed steps over the block's time from 0 to 1; None for an adaptive solver.
        tolerance: The larger of rtol and atol.
        evaluations: Evaluations per forward solve, averaged over runs.
    """

    order: int
    steps: int | None
    tolerance: float
    evaluations: float

    def finer_than(self, other: SolverResolution) -> bool:
        """Whether this solver is expected to be closer to the solution of the ODE."""
        if other.steps is None:
            return self.steps is None and self.tolerance < other.tolerance
        if self.order < other.order or not self.evaluations > other.evaluations:
            return False
        return self.steps is None or self.steps >= other.steps

    @property
    def scale(self) -> float:
        """The expected error up to a factor: the tolerance, or step size to the power of order."""
        return self.tolerance if self.steps is None else float(self.steps) ** -self.order


@dataclass
class SolverResult:
    """Results of the networks of one column under one solver.

    Attributes:
        errors: Fraction of misclassified test images, by network.
        wrong: Indices of these images, by network; missing for older runs.
        images: Number of test images.
        failures: Reasons why runs did not complete, or have no finite result.
    """

    resolution: SolverResolution
    errors: dict[str, float]
    wrong: dict[str, set[int]]
    images: int
    failures: list[str]


# Label of the solver used in the test -> results.
SolverResults = dict[str, SolverResult]


def solver_transfer(runs: DataFrame) -> ReportTable:
    """Build the table of all runs of mode=eval of classifiers, one column per network."""
    found = records(runs)
    tested = [
        run
        for run in found
        if run.get("config.mode") == "eval" and run.get("metric", "accuracy") == "accuracy"
    ]
    counted = [run for run in tested if exclusion_reason(run) is None]
    lost = [
        exclusion_note(Path(run["directory"]).name, why)
        for run in tested
        if (why := exclusion_reason(run)) is not None
    ]
    lost += [
        exclusion_note(run["overrides"], describe_status(run))
        for run in found
        if "checkpoint=" in run.get("overrides", "")
    ]  # fmt: skip
    if not counted:
        none = "No run of mode=eval of a network that solves an ODE is here."
        return ReportTable.of("Solver transfer", ["tested with"], [], caption=none, notes=lost)
    networks = group_networks(counted)
    results = {label: results_by_solver(members) for label, members in networks.items()}
    own = {label: training_solver(members[0]) for label, members in networks.items()}
    verdicts = [f"{label}: {verdict(results[label], own[label])}." for label in results]
    tested_with = [f"solver.{key}" for key in SOLVER]
    setting_notes = differences(
        networks.values(), [*tested_with, "checkpoint"], "Networks of one column"
    )
    return build_table(results, own, [*verdicts, *setting_notes, *lost])


def exclusion_reason(run: Record) -> str | None:
    """The reason why a run is no test of a network that solves an ODE, or None."""
    if not has(run, texts=ORIGIN):
        if run["status"] == "completed":
            return "made before runs recorded what they were trained with; run it again"
        return describe_status(run)
    if run["status"] == "completed" and not has(run, ["nfe/forward"]):
        return "its network solves no ODE"
    return None


def describe_status(run: Record) -> str:
    """Status and reason of a run that did not complete, in one line."""
    reason = " ".join((run.get("reason") or "").split())
    return f"{run['status']}: {reason}" if reason else run["status"]


def exclusion_note(what: str, why: str) -> str:
    """A sentence about a run that is not counted."""
    return f"Not counted: {what}, {why}.".replace("|", "/")


def group_networks(runs: Sequence[Record]) -> dict[str, list[Record]]:
    """Group runs whose networks differ only in their seed, labelled by what distinguishes them."""
    networks_by_key: dict[tuple[str, ...], list[Record]] = {}
    for run in runs:
        key = tuple(f"{name}={show(value)}" for name, value in network_settings(run).items())
        networks_by_key.setdefault((network_label(run, runs), *key), []).append(run)
    networks_by_label: dict[str, list[list[Record]]] = {}
    for (label, *_), members in networks_by_key.items():
        networks_by_label.setdefault(label, []).append(members)
    found = {}
    for label, groups in networks_by_label.items():
        settings = [network_settings(members[0]) for members in groups]
        names = varying(settings)
        for each, members in zip(settings, groups, strict=True):
            distinguishing = [f"{name}={show(each.get(name))}" for name in names]
            found[", ".join([label, *distinguishing])] = members
    return found


def network_settings(run: Record) -> dict[str, Any]:
    """Settings of the trained network and the test images, without the seed and the solver."""
    found = {
        name: value
        for name, value in sorted(settings(run).items())
        if name.partition(".")[0] in TRAINED or name in BUDGET
    }
    return found | {"name": run.get("trained.name")}


def network_label(run: Record, runs: Sequence[Record]) -> str:
    """The solver that a network was trained with, after its name if there are several names."""
    label = training_solver(run)
    names = {each.get("trained.name") for each in runs}
    return label if len(names) == 1 else f"{run.get('trained.name')}, {label}"


def solver_label(solver: Mapping[str, Any]) -> str:
    """Label of a solver: its method with its steps or its tolerance."""
    steps, size = solver.get("num_steps"), solver.get("step_size")
    if steps is not None:
        return f"{solver['method']}, {steps} step{'s' if steps != 1 else ''}"
    if size is not None:
        return f"{solver['method']}, steps of {show(size)}"
    rtol, atol = solver.get("rtol"), solver.get("atol")
    tolerance = show(rtol) if rtol == atol else f"{show(rtol)} / {show(atol)}"
    return f"{solver['method']}, tolerance {tolerance}"


def training_solver(run: Record) -> str:
    """The solver that a network was trained with."""
    return solver_label({key: run.get(f"trained.solver.{key}") for key in SOLVER})


def results_by_solver(runs: Sequence[Record]) -> SolverResults:
    """Results of one network over its seeds, by solver; the last of each seed."""
    by_solver: dict[str, dict[str, Record]] = {}
    for run in runs:
        solver = solver_label({key: run.get(f"config.solver.{key}") for key in SOLVER})
        by_solver.setdefault(solver, {})[run.get("trained.seed", run["trained.config_hash"])] = run
    return {solver: combine_runs(members) for solver, members in by_solver.items()}


def combine_runs(runs: Mapping[str, Record]) -> SolverResult:
    """Results of the runs with one solver, by network."""
    failures = {network: why for network, run in runs.items() if (why := failure_reason(run))}
    done = {network: run for network, run in runs.items() if network not in failures}
    first = next(iter(runs.values()))
    evaluations = [run["nfe/forward"] for run in done.values()]
    steps, size = first.get("config.solver.num_steps"), first.get("config.solver.step_size")
    if steps is None and size is not None:
        steps = math.ceil(1 / size)
    resolution = SolverResolution(
        int(max((run.get("solver_order", 0) for run in done.values()), default=0)),
        steps,
        max(first.get("config.solver.rtol") or 0.0, first.get("config.solver.atol") or 0.0),
        sum(evaluations) / len(evaluations) if evaluations else math.nan,
    )
    files = {
        network: read_json(Path(run["directory"]) / "wrong.json") for network, run in done.items()
    }
    kept = {network: file for network, file in files.items() if {"images", "wrong"} <= file.keys()}
    counts = [file["images"] for file in kept.values()]
    published = first.get("config.dataset.test_size") or PUBLISHED_TEST_IMAGES
    return SolverResult(
        resolution,
        {network: 1 - run["accuracy/test"] for network, run in done.items()},
        {network: set(file["wrong"]) for network, file in kept.items()},
        counts[0] if counts else published,
        list(failures.values()),
    )


def failure_reason(run: Record) -> str | None:
    """The reason why a run has no test error, or None."""
    if run["status"] != "completed":
        return run.get("reason") or run["status"]
    not_finite = run.get("not_finite", "").split(", ")
    nan = [tag for tag in ("accuracy/test", "loss/test") if tag in not_finite]
    if "accuracy/test" not in run:
        nan.append("accuracy/test")
    return f"its {nan[0]} is not a number" if nan else None


def build_table(
    networks: Mapping[str, SolverResults], own: Mapping[str, str], notes: Sequence[str]
) -> ReportTable:
    """Lay out a row for each solver, by order and evaluations, and a column for each network."""
    cost: dict[str, tuple[float, float]] = {}
    for results in networks.values():
        for solver, result in results.items():
            evaluations = result.resolution.evaluations if result.errors else math.inf
            cost[solver] = min(
                cost.get(solver, (math.inf, math.inf)),
                (result.resolution.order or 99, evaluations),
            )
    rows = []
    for solver in sorted(cost, key=lambda name: cost[name]):
        tested = [results.get(solver) for results in networks.values()]
        counts = [result.resolution.evaluations for result in tested if result and result.errors]
        cells = [
            cell(result, bold=own[label] == solver)
            for label, result in zip(networks, tested, strict=True)
        ]
        rows.append([solver, span(counts), *cells])
    headings = ["tested with", "evaluations", *networks]
    return ReportTable.of(
        "Solver transfer", headings, rows, caption=INTRO, notes=notes, missing="-"
    )


def span(counts: Sequence[float]) -> Cell | None:
    """A cell with the smallest and the largest number of evaluations."""
    if not counts:
        return None
    low, high = min(counts), max(counts)
    text = f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"
    return Cell(text, {"at least": low, "at most": high})


def cell(result: SolverResult | None, bold: bool) -> Cell | None:
    """A cell with the test error, or the reasons why there is none."""
    if result is None:
        return None
    found = Estimate.of(result.errors.values(), 100)
    shown = None if found is None else found.cell(".2f", ".2f")
    failed = [f"failed: {' '.join(reason.split())}" for reason in result.failures]
    text = "; ".join([*([str(shown)] if shown else []), *failed]).replace("|", "/")
    return Cell(text, shown.values if shown else {}, bold and shown is not None)


def verdict(results: SolverResults, own: str) -> str:
    """State whether the finest solver changes a network's error, with the numbers behind it."""
    if own not in results or not results[own].errors:
        return "not known, for it was not tested with its own solver"
    own_result = results[own]
    finer = {
        solver: result
        for solver, result in results.items()
        if result.errors.keys() & own_result.errors.keys()
        and result.resolution.finer_than(own_result.resolution)
    }
    if not finer:
        return "not known, for it was tested with no finer solver"
    finest = min(finer, key=lambda solver: finer[solver].resolution.scale)
    both = [network for network in own_result.errors if network in finer[finest].errors]
    before = [own_result.errors[network] for network in both]
    after = [finer[finest].errors[network] for network in both]
    changes = [100 * (b - a) for a, b in zip(before, after, strict=True)]
    change = sum(changes) / len(changes)
    error, remark = change_error(own_result, finer[finest], both)
    within = f"two standard errors{remark}"
    if len(both) > 1:
        within += f"; the {len(both)} networks {min(changes):+.2f} to {max(changes):+.2f}"
    if abs(change) > 2 * error:
        return (
            f"a discretisation; its error is {100 * sum(before) / len(both):.2f} % with its own "
            f"solver and {100 * sum(after) / len(both):.2f} % with {finest}: {change:+.2f} ± "
            f"{2 * error:.2f} points ({within})"
        )
    return (
        f"no change seen of its error of {100 * sum(before) / len(both):.2f} % with {finest}, to "
        f"within ±{abs(change) + 2 * error:.2f} points ({change:+.2f} ± {2 * error:.2f}, {within})"
    )


def change_error(
    own_result: SolverResult, other: SolverResult, networks: Sequence[str]
) -> tuple[float, str]:
    """The standard error of the mean change in points, and a remark if images are not paired."""
    if all(network in own_result.wrong and network in other.wrong for network in networks):
        pairs = [(own_result.wrong[network], other.wrong[network]) for network in networks]
        return 100 * paired_error(pairs, own_result.images), ""
    before, after = (
        sum(result.errors[network] for network in networks) / len(networks)
        for result in (own_result, other)
    )
    return 100 * unpaired_error(before, after, own_result.images), ", not paired: no wrong.json"
