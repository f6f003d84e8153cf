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

from .runs import Run, find_runs
from .sweep import JOBS, read_jobs
from .tables import Cell

__all__ = ["solver_transfer"]

SOLVER = ("method", "num_steps", "step_size", "rtol", "atol")
PUBLISHED_TEST_IMAGES = 10_000  # of MNIST, Fashion-MNIST and CIFAR-10

INTRO = (
    "Test error in % of networks (columns, by the solver that each was trained with) under other "
    "solvers (rows); in bold that of its own. A network is called a discretisation where a finer "
    "solver, of at least the order and with more evaluations, changes its error by more than two "
    "standard errors of the difference."
)


@dataclass
class Test:
    """What a network does under one solver.

    Attributes:
        order: Of the solver's method; 0 where the run does not say.
        evaluations: Of a forward solve, in the mean over runs.
        errors: Shares of the test images, one for each seed.
        images: Number of test images.
        failures: Reasons of runs that did not complete.
    """

    order: int
    evaluations: float
    errors: list[float]
    images: int
    failures: list[str]

    @property
    def error(self) -> float:
        """Mean over seeds."""
        return sum(self.errors) / len(self.errors)

    @property
    def variance(self) -> float:
        """Of the mean error, by the number of images."""
        return self.error * (1 - self.error) / (self.images * len(self.errors))


# By the label of the solver that a network was tested with.
Tests = dict[str, Test]


def solver_transfer(folder: Path) -> str:
    """Markdown from all runs of mode=eval below a folder."""
    runs = [run for run in find_runs(folder) if run.config.get("mode") == "eval"]
    networks: dict[str, list[Run]] = {}
    for run in runs:
        if trained := run.result.get("trained"):
            networks.setdefault(label_of_network(trained, runs), []).append(run)
    lost = [note(run.folder.name, run) for run in runs if not run.result.get("trained")]
    for path in sorted(folder.rglob(JOBS)):
        for job, run in read_jobs(path.parent):
            if job["reason"] is not None and "checkpoint" in job["overrides"]:
                lost.append(note(job["overrides"], run))
    if not networks:
        none = "No run of mode=eval of a network that solves an ODE is here.\n"
        return none + "".join(f"\n{line}" for line in lost)
    tests = {label: tests_of(members) for label, members in networks.items()}
    own = {label: own_solver(members[0]) for label, members in networks.items()}
    parts = [
        INTRO,
        table(tests, own),
        "\n".join(f"- {label}: {verdict(tests[label], own[label])}." for label in tests),
    ]
    if lost:
        parts.append("\n".join(lost))
    return "\n\n".join(parts) + "\n"


def note(what: str, run: Run) -> str:
    """A line for a run that says nothing of the network it was of."""
    reason = " ".join(run.reason.split()).replace("|", "/")
    return f"Not counted: {what}, {run.status}{f': {reason}' if reason else ''}."


def label_of_network(trained: Mapping[str, Any], runs: Sequence[Run]) -> str:
    """The solver that it was trained with, with its name where there are several."""
    label = solver_label(trained["solver"])
    names = {run.result["trained"]["name"] for run in runs if run.result.get("trained")}
    return label if len(names) == 1 else f"{trained['name']}, {label}"


def solver_label(solver: Mapping[str, Any]) -> str:
    """A method with its steps or its tolerance."""
    steps, size = solver.get("num_steps"), solver.get("step_size")
    if steps is not None:
        return f"{solver['method']}, {steps} step{'s' if steps != 1 else ''}"
    if size is not None:
        return f"{solver['method']}, steps of {size:g}"
    rtol, atol = solver.get("rtol"), solver.get("atol")
    tolerance = f"{rtol:g}" if rtol == atol else f"{rtol:g} / {atol:g}"
    return f"{solver['method']}, tolerance {tolerance}"


def own_solver(run: Run) -> str:
    """The solver that a network was trained with."""
    return solver_label(run.result["trained"]["solver"])


def tests_of(runs: Sequence[Run]) -> Tests:
    """The tests of one network, or of the same with several seeds; of equal ones the last."""
    by_solver: dict[str, dict[str, Run]] = {}
    for run in runs:
        solver = solver_label({key: run.config.get(f"solver.{key}") for key in SOLVER})
        by_solver.setdefault(solver, {})[run.result["trained"]["config_hash"]] = run
    return {solver: test_of(list(members.values())) for solver, members in by_solver.items()}


def test_of(runs: Sequence[Run]) -> Test:
    """What the runs with one solver found."""
    done = [run for run in runs if run.status == "completed" and "accuracy/test" in run.metrics]
    evaluations = [run.metrics["nfe/forward"] for run in done if "nfe/forward" in run.metrics]
    return Test(
        max((run.result.get("solver_order") or 0 for run in done), default=0),
        sum(evaluations) / len(evaluations) if evaluations else math.nan,
        [1 - run.metrics["accuracy/test"] for run in done],
        runs[0].config.get("dataset.test_size") or PUBLISHED_TEST_IMAGES,
        [run.reason or run.status for run in runs if run not in done],
    )


def table(networks: Mapping[str, Tests], own: Mapping[str, str]) -> str:
    """A row for each solver, by order and evaluations; a column for each network."""
    cost: dict[str, tuple[float, float]] = {}
    for tests in networks.values():
        for solver, test in tests.items():
            known = test.evaluations if test.errors else math.inf
            cost[solver] = min(cost.get(solver, (math.inf, math.inf)), (test.order or 99, known))
    lines = [
        "| tested with | evaluations | " + " | ".join(networks) + " |",
        "| --- | --: |" + " --: |" * len(networks),
    ]
    for solver in sorted(cost, key=lambda name: cost[name]):
        tested = [tests.get(solver) for tests in networks.values()]
        counts = [test.evaluations for test in tested if test and test.errors]
        low, high = min(counts, default=math.nan), max(counts, default=math.nan)
        spread = "-" if not counts else f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"
        cells = [
            cell(test, bold=own[label] == solver)
            for label, test in zip(networks, tested, strict=True)
        ]
        lines.append(f"| {solver} | {spread} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(test: Test | None, bold: bool) -> str:
    """An error, or why there is none."""
    if test is None:
        return "-"
    found = Cell.of(test.errors, 100, ".2f")
    text = "" if found is None else f"**{found}**" if bold else str(found)
    failed = [f"failed: {' '.join(reason.split())}" for reason in test.failures]
    return "; ".join([*filter(None, [text]), *failed]).replace("|", "/")


def verdict(tests: Tests, own: str) -> str:
    """Whether a network is a discretisation or an ODE, and by what numbers."""
    if own not in tests or not tests[own].errors:
        return "not known, for it was not tested with its own solver"
    mine = tests[own]
    finer = {
        solver: test
        for solver, test in tests.items()
        if test.errors and test.order >= mine.order and test.evaluations > mine.evaluations
    }
    if not finer:
        return "not known, for it was tested with no finer solver"

    def surprise(solver: str) -> float:
        scale = math.sqrt(mine.variance + finer[solver].variance)
        return abs(finer[solver].error - mine.error) / max(scale, 1e-9)

    most = max(finer, key=surprise)
    change = 100 * (finer[most].error - mine.error)
    if surprise(most) > 2:
        return (
            f"a discretisation; its error is {100 * mine.error:.2f} % with its own solver and "
            f"{100 * finer[most].error:.2f} % with {most}"
        )
    return (
        f"an ODE; no finer solver of {len(finer)} changes its error of {100 * mine.error:.2f} % "
        f"by more than two standard errors (most {most}: {change:+.2f})"
    )
