"""Trained with one solver, tested with others: is the network a discretisation, or an ODE?

Ott et al. 2021 ("ResNet after all?"): a network that was trained with too coarse a solver has
learned the solver's steps. A finer solver, which only comes closer to the solution of the ODE,
then changes what it predicts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pandas import DataFrame

from ...reports.paired import (
    paired_error,
    unpaired_error,
)
from ...reports.records import differences, has, records, settings, show, varying
from ...reports.table import Cell, Estimate, ReportTable
from ...runs.directory import read_json

__all__ = ["solver_transfer"]

SOLVER = ("method", "num_steps", "step_size", "rtol", "atol")
PUBLISHED_TEST_IMAGES = 10_000  # of MNIST, Fashion-MNIST and CIFAR-10

# Of an evaluation's settings, those that say what was trained, and on which images it is tested.
TRAINED = ("protocol", "dataset", "model", "gradient", "regularizer", "optimizer", "scheduler")
BUDGET = ("trainer.epochs", "trainer.limit_batches", "trainer.overfit")

# Without these it is not known what was tested, and with what.
ORIGIN = ("trained.config_hash", "trained.solver.method", "config.solver.method")

INTRO = (
    "Test error in % of networks (columns, by the solver that each was trained with) under other "
    "solvers (rows); in bold the solver of the training. Each network is compared with itself "
    "under the finest solver tested: of at least the order, with steps no larger, or of a smaller"
    " tolerance where its own is adaptive. It is called a discretisation where that changes its "
    "error by more than two standard errors, of the choice of the test images; they are paired, "
    "image by image, unless marked."
)


@dataclass
class Solves:
    """How fine a solver is.

    Attributes:
        order: Of its method; 0 where the run does not say.
        steps: Of fixed size over the block's time from 0 to 1; None of an adaptive solver.
        tolerance: The larger of rtol and atol.
        evaluations: Of a forward solve, in the mean over runs.
    """

    order: int
    steps: int | None
    tolerance: float
    evaluations: float

    def finer_than(self, other: Solves) -> bool:
        """Whether it only comes closer to the solution of the ODE."""
        if other.steps is None:
            return self.steps is None and self.tolerance < other.tolerance
        if self.order < other.order or not self.evaluations > other.evaluations:
            return False
        return self.steps is None or self.steps >= other.steps

    @property
    def scale(self) -> float:
        """The error to expect, but for a factor: the tolerance, or the step to the order."""
        return self.tolerance if self.steps is None else float(self.steps) ** -self.order


@dataclass
class Test:
    """What the networks of one column do under one solver.

    Attributes:
        errors: Shares of the test images that are wrong, by network.
        wrong: Numbers of these images, by network; of older runs there are none.
        images: Number of test images.
        failures: Reasons of runs that did not complete, or found no number.
    """

    solves: Solves
    errors: dict[str, float]
    wrong: dict[str, set[int]]
    images: int
    failures: list[str]


Record = Mapping[str, Any]

# By the label of the solver that a network was tested with.
Tests = dict[str, Test]


def solver_transfer(runs: DataFrame) -> ReportTable:
    """The table of all runs of mode=eval, one column per network."""
    found = records(runs)
    tested = [run for run in found if run.get("config.mode") == "eval"]
    counted = [run for run in tested if why_not(run) is None]
    lost = [
        note(Path(run["directory"]).name, why)
        for run in tested
        if (why := why_not(run)) is not None
    ]
    lost += [
        note(run["overrides"], reason_of(run))
        for run in found
        if "checkpoint=" in run.get("overrides", "")
    ]  # fmt: skip
    if not counted:
        none = "No run of mode=eval of a network that solves an ODE is here."
        return ReportTable.of("Solver transfer", ["tested with"], [], caption=none, notes=lost)
    networks = columns(counted)
    tests = {label: tests_of(members) for label, members in networks.items()}
    own = {label: own_solver(members[0]) for label, members in networks.items()}
    verdicts = [f"{label}: {verdict(tests[label], own[label])}." for label in tests]
    tested_with = [f"solver.{key}" for key in SOLVER]
    joined = differences(networks.values(), [*tested_with, "checkpoint"], "Networks of one column")
    return table(tests, own, [*verdicts, *joined, *lost])


def why_not(run: Record) -> str | None:
    """Why a run says nothing of any network that solves an ODE, or None."""
    if not has(run, texts=ORIGIN):
        if run["status"] == "completed":
            return "made before runs recorded what they were trained with; run it again"
        return reason_of(run)
    if run["status"] == "completed" and not has(run, ["nfe/forward"]):
        return "its network solves no ODE"
    return None


def reason_of(run: Record) -> str:
    """How a run that did not complete ended, in one line."""
    reason = " ".join((run.get("reason") or "").split())
    return f"{run['status']}: {reason}" if reason else run["status"]


def note(what: str, why: str) -> str:
    """A sentence on a run that is not counted."""
    return f"Not counted: {what}, {why}.".replace("|", "/")


def columns(runs: Sequence[Record]) -> dict[str, list[Record]]:
    """The runs of networks that differ in nothing but their seed, by what sets them apart."""
    same: dict[tuple[str, ...], list[Record]] = {}
    for run in runs:
        key = tuple(f"{name}={show(value)}" for name, value in settings_of(run).items())
        same.setdefault((label_of_network(run, runs), *key), []).append(run)
    twins: dict[str, list[list[Record]]] = {}
    for (label, *_), members in same.items():
        twins.setdefault(label, []).append(members)
    found = {}
    for label, groups in twins.items():
        settings = [settings_of(members[0]) for members in groups]
        names = varying(settings)
        for each, members in zip(settings, groups, strict=True):
            apart = [f"{name}={show(each.get(name))}" for name in names]
            found[", ".join([label, *apart])] = members
    return found


def settings_of(run: Record) -> dict[str, Any]:
    """What was trained and on which images it is tested, but for the seed and the solver."""
    found = {
        name: value
        for name, value in sorted(settings(run).items())
        if name.partition(".")[0] in TRAINED or name in BUDGET
    }
    return found | {"name": run.get("trained.name")}


def label_of_network(run: Record, runs: Sequence[Record]) -> str:
    """The solver that it was trained with, with its name where there are several."""
    label = own_solver(run)
    names = {each.get("trained.name") for each in runs}
    return label if len(names) == 1 else f"{run.get('trained.name')}, {label}"


def solver_label(solver: Mapping[str, Any]) -> str:
    """A method with its steps or its tolerance."""
    steps, size = solver.get("num_steps"), solver.get("step_size")
    if steps is not None:
        return f"{solver['method']}, {steps} step{'s' if steps != 1 else ''}"
    if size is not None:
        return f"{solver['method']}, steps of {show(size)}"
    rtol, atol = solver.get("rtol"), solver.get("atol")
    tolerance = show(rtol) if rtol == atol else f"{show(rtol)} / {show(atol)}"
    return f"{solver['method']}, tolerance {tolerance}"


def own_solver(run: Record) -> str:
    """The solver that a network was trained with."""
    return solver_label({key: run.get(f"trained.solver.{key}") for key in SOLVER})


def tests_of(runs: Sequence[Record]) -> Tests:
    """The tests of one network, or of the same with several seeds; of each seed the last."""
    by_solver: dict[str, dict[str, Record]] = {}
    for run in runs:
        solver = solver_label({key: run.get(f"config.solver.{key}") for key in SOLVER})
        by_solver.setdefault(solver, {})[run.get("trained.seed", run["trained.config_hash"])] = run
    return {solver: test_of(members) for solver, members in by_solver.items()}


def test_of(runs: Mapping[str, Record]) -> Test:
    """What the runs with one solver found, by network."""
    failures = {network: why for network, run in runs.items() if (why := failure(run))}
    done = {network: run for network, run in runs.items() if network not in failures}
    first = next(iter(runs.values()))
    evaluations = [run["nfe/forward"] for run in done.values()]
    steps, size = first.get("config.solver.num_steps"), first.get("config.solver.step_size")
    if steps is None and size is not None:
        steps = math.ceil(1 / size)
    solves = Solves(
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
    return Test(
        solves,
        {network: 1 - run["accuracy/test"] for network, run in done.items()},
        {network: set(file["wrong"]) for network, file in kept.items()},
        counts[0] if counts else published,
        list(failures.values()),
    )


def failure(run: Record) -> str | None:
    """Why a run has no error to show, or None."""
    if run["status"] != "completed":
        return run.get("reason") or run["status"]
    not_finite = run.get("not_finite", "").split(", ")
    nan = [tag for tag in ("accuracy/test", "loss/test") if tag in not_finite]
    if "accuracy/test" not in run:
        nan.append("accuracy/test")
    return f"its {nan[0]} is not a number" if nan else None


def table(
    networks: Mapping[str, Tests], own: Mapping[str, str], notes: Sequence[str]
) -> ReportTable:
    """A row for each solver, by order and evaluations; a column for each network."""
    cost: dict[str, tuple[float, float]] = {}
    for tests in networks.values():
        for solver, test in tests.items():
            known = test.solves.evaluations if test.errors else math.inf
            cost[solver] = min(
                cost.get(solver, (math.inf, math.inf)), (test.solves.order or 99, known)
            )
    rows = []
    for solver in sorted(cost, key=lambda name: cost[name]):
        tested = [tests.get(solver) for tests in networks.values()]
        counts = [test.solves.evaluations for test in tested if test and test.errors]
        cells = [
            cell(test, strong=own[label] == solver)
            for label, test in zip(networks, tested, strict=True)
        ]
        rows.append([solver, span(counts), *cells])
    headings = ["tested with", "evaluations", *networks]
    return ReportTable.of(
        "Solver transfer", headings, rows, caption=INTRO, notes=notes, missing="-"
    )


def span(counts: Sequence[float]) -> Cell | None:
    """The smallest and the largest number of evaluations."""
    if not counts:
        return None
    low, high = min(counts), max(counts)
    text = f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"
    return Cell(text, {"at least": low, "at most": high})


def cell(test: Test | None, strong: bool) -> Cell | None:
    """An error, or why there is none."""
    if test is None:
        return None
    found = Estimate.of(test.errors.values(), 100)
    shown = None if found is None else found.cell(".2f", ".2f")
    failed = [f"failed: {' '.join(reason.split())}" for reason in test.failures]
    text = "; ".join([*([str(shown)] if shown else []), *failed]).replace("|", "/")
    return Cell(text, shown.values if shown else {}, strong and shown is not None)


def verdict(tests: Tests, own: str) -> str:
    """Whether the finest solver changes what a network predicts, and by what numbers."""
    if own not in tests or not tests[own].errors:
        return "not known, for it was not tested with its own solver"
    mine = tests[own]
    finer = {
        solver: test
        for solver, test in tests.items()
        if test.errors.keys() & mine.errors.keys() and test.solves.finer_than(mine.solves)
    }
    if not finer:
        return "not known, for it was tested with no finer solver"
    finest = min(finer, key=lambda solver: finer[solver].solves.scale)
    both = [network for network in mine.errors if network in finer[finest].errors]
    before = [mine.errors[network] for network in both]
    after = [finer[finest].errors[network] for network in both]
    changes = [100 * (b - a) for a, b in zip(before, after, strict=True)]
    change = sum(changes) / len(changes)
    error, how = error_of_change(mine, finer[finest], both)
    within = f"two standard errors{how}"
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


def error_of_change(mine: Test, other: Test, networks: Sequence[str]) -> tuple[float, str]:
    """The standard error in points of the mean change, and how it was found if not in pairs."""
    if all(network in mine.wrong and network in other.wrong for network in networks):
        pairs = [(mine.wrong[network], other.wrong[network]) for network in networks]
        return 100 * paired_error(pairs, mine.images), ""
    before, after = (
        sum(test.errors[network] for network in networks) / len(networks) for test in (mine, other)
    )
    return 100 * unpaired_error(before, after, mine.images), ", not paired: no wrong.json"
