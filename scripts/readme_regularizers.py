"""Writes the tables of regularised runs, and what tests over their seeds say.

python scripts/readme_regularizers.py
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from documents import RESULTS, ROOT
from scipy.stats import ttest_rel

RUNS = ROOT / "outputs" / "reference" / "regularizers"
BLOCK = re.compile(r"<!-- results: regularizers -->\n.*?<!-- /results -->", re.DOTALL)
LEVEL = 0.05


class Pair(NamedTuple):
    """Networks trained with and without a penalty.

    Attributes:
        runs: Name of the runs, with a place for that of the penalty.
        result: The metric that is compared, in the unit that `scale` gives.
    """

    title: str
    runs: str
    penalty: str
    result: str
    what: str
    decimals: int


FLOW = "log_likelihood/test", "test log-likelihood, nats", 3
ERROR = "accuracy/test", "test error, %", 2
PAIRS = (
    Pair("flow, kinetic and Jacobian 0.1", "8gaussians_ffjord_{}", "kinetic_jacobian_0.1", *FLOW),
    Pair("flow, taylor 0.01 of order 2", "8gaussians_ffjord_{}", "taylor_0.01", *FLOW),
    Pair("ODE-Net, kinetic 0.01, at 1e-3", "mnist_odenet_{}", "kinetic", *ERROR),
    Pair("ODE-Net, kinetic 0.1, at 1e-3", "mnist_odenet_{}", "kinetic_0.1", *ERROR),
    Pair("ODE-Net, kinetic 0.01, at 1e-5", "mnist_odenet_eval_{}", "kinetic", *ERROR),
    Pair("ODE-Net, kinetic 0.1, at 1e-5", "mnist_odenet_eval_{}", "kinetic_0.1", *ERROR),
)


def metrics_of(runs: str, penalty: str) -> dict[int, dict[str, float]]:
    """The metrics of the completed runs with a penalty, by seed."""
    results = {
        int(path.parent.name.rpartition("_seed")[2]): json.loads(path.read_text())
        for path in RUNS.glob(f"{runs.format(penalty)}_seed*/result.json")
    }
    return {
        seed: result["metrics"]
        for seed, result in results.items()
        if result["status"] == "completed"
    }


def values(found: list[dict[str, float]], metric: str) -> np.ndarray:
    numbers = np.array([run.get(metric, np.nan) for run in found])
    return 100 * (1 - numbers) if metric == "accuracy/test" else numbers


def spread(numbers: np.ndarray, decimals: int) -> str:
    text = f"{numbers.mean():.{decimals}f}"
    return f"{text} ± {numbers.std(ddof=1):.{decimals}f}" if len(numbers) > 1 else text


def evaluations(found: list[dict[str, float]]) -> str:
    """Evaluations per solve, forward + backward, or forward alone."""
    parts = [values(found, f"nfe/{way}") for way in ("forward", "backward")]
    return " + ".join(f"{part.mean():.1f}" for part in parts if np.isfinite(part).all())


def p_value(without: np.ndarray, with_penalty: np.ndarray) -> float:
    """Two-sided p of a paired t-test; 1 if all differences are 0, 0 if they are all the same."""
    differences = with_penalty - without
    if len(differences) < 2 or not differences.any():
        return 1.0
    return 0.0 if np.ptp(differences) == 0 else float(ttest_rel(with_penalty, without).pvalue)


def verdict(p: float, change: float, seeds: int) -> str:
    """Whether a number is lower or higher with the penalty."""
    if seeds < 2:
        return "not decided by one seed"
    if p >= LEVEL:
        return "the same" if change == 0 else f"not told apart (p = {p:.2g})"
    direction = "lower" if change < 0 else "higher"
    return f"{direction}, by the same in every seed" if p == 0 else f"{direction} (p = {p:.2g})"


def lines() -> Iterator[str]:
    yield ("| trained with | seeds | evaluations, without | with | result | without | with |")
    yield "| --- | ---: | ---: | ---: | --- | ---: | ---: |"
    sentences = []
    for pair in PAIRS:
        plain, penalised = (metrics_of(pair.runs, name) for name in ("none", pair.penalty))
        seeds = sorted(plain.keys() & penalised.keys())
        without, with_penalty = ([runs[seed] for seed in seeds] for runs in (plain, penalised))
        results = [values(found, pair.result) for found in (without, with_penalty)]
        cells = [spread(numbers, pair.decimals) for numbers in results]
        yield (
            f"| {pair.title} | {len(seeds)} | {evaluations(without)} "
            f"| {evaluations(with_penalty)} | {pair.what} | {cells[0]} | {cells[1]} |"
        )
        costs = [values(found, "nfe/forward") for found in (without, with_penalty)]
        if "nfe/backward" in without[0]:
            costs = [
                cost + values(found, "nfe/backward")
                for cost, found in zip(costs, (without, with_penalty), strict=True)
            ]
        saved = 100 * (1 - costs[1].mean() / costs[0].mean())
        change = float(results[1].mean() - results[0].mean())
        sentences.append(
            f"- {pair.title[0].upper()}{pair.title[1:]}: {saved:.0f} % of the evaluations are "
            "saved; with the penalty, they are "
            f"{verdict(p_value(*costs), costs[1].mean() - costs[0].mean(), len(seeds))}, and the "
            f"{pair.what.partition(',')[0]} is {verdict(p_value(*results), change, len(seeds))}."
        )
    yield ""
    yield (
        "Mean over seeds ± sample standard deviation; evaluations are those of a solve, forward + "
        "backward, in training; at 1e-5, the trained weights are tested on 1,000 images. Paired "
        "t-tests over the seeds, two-sided, at 0.05, not corrected for their number."
    )
    yield ""
    yield from sentences


def section() -> str:
    return "<!-- results: regularizers -->\n" + "\n".join(lines()) + "\n<!-- /results -->"


def write(document: Path = RESULTS) -> None:
    block = section()
    document.write_text(BLOCK.sub(lambda match: block, document.read_text()))


if __name__ == "__main__":
    write()
