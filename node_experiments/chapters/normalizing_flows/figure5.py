"""Figure 5 of Chen et al. 2018: maximum likelihood, a continuous flow beside planar layers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...runs.run import (
    Run,
    find_runs,
)
from .flow_runs import (
    MODELS,
    SPREAD,
    Estimate,
    by_dataset,
    has_seeds,
    number,
    panels_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figure5", "panels"]


def figure5(folder: Path) -> str:
    """Markdown from all completed runs below a folder: test log-likelihoods, the paper's claim."""
    datasets = by_dataset(find_runs(folder))
    lines = [
        "Log-likelihood of held-out points in nats a point, mean ± its standard error; `truth` is "
        "the density that they were drawn from." + (f" {SPREAD}" if has_seeds(datasets) else ""),
        "",
        "| dataset | flow | units | parameters | training steps | test log-likelihood | truth | "
        "integral on a grid | seconds |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, runs in datasets.items():
        for model, label in MODELS.items():
            if model not in runs:
                continue
            run = runs[model][-1]
            true = run.metrics.get("log_likelihood_true/test")
            cells = [
                name,
                label,
                str(run.config["model.units"]),
                f"{run.result['parameters']:,}",
                f"{int(run.metrics['step']):,}",
                likelihood(runs[model]),
                "-" if true is None else f"{true:.3f}",
                f"{max((number(r, 'normalization') for r in runs[model]), key=off_by):.4f}",
                f"{max(r.seconds or 0 for r in runs[model]):.0f}",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *verdicts(datasets)]) + "\n"


def likelihood(runs: Sequence[Run]) -> str:
    """The test log-likelihood of a cell."""
    return Estimate.of(runs, "log_likelihood").text(3)


def off_by(integral: float) -> float:
    """How far a density is from integrating to 1."""
    return abs(integral - 1)


def verdicts(datasets: dict[str, dict[str, list[Run]]]) -> list[str]:
    """Which flow is closer to the data, and by how much."""
    lines = []
    for name, runs in datasets.items():
        if not set(MODELS) <= set(runs):
            continue
        nf, cnf = (Estimate.of(runs[model], "log_likelihood") for model in MODELS)
        error = (nf.error**2 + cnf.error**2) ** 0.5
        gap = cnf.mean - nf.mean
        says = (
            f"the CNF is {gap:.3f} nats a point above the NF"
            if gap > 2 * error
            else f"the NF is {-gap:.3f} nats a point above the CNF"
            if gap < -2 * error
            else f"both are within two standard errors ({gap:+.3f} nats a point)"
        )
        if name == "two_moons":
            holds = "holds" if gap > 2 * error else "does not show in the likelihood"
            says = f"the paper sees the NF in trouble here; this {holds}: {says}"
        lines.append(f"- {name}: {says}.")
    return lines


def panels(runs: Sequence[Run], title: str) -> Figure:
    """node-report figure figure5: densities and samples on the way, both kinds of flow.

    Raises:
        ValueError: No run kept its panels.
    """
    from .figures_4_and_5 import maximum_likelihood_figure

    found = {
        name: {
            model: (kept, f"test log-likelihood\n{likelihood(seeds)} nats")
            for model, seeds in members.items()
            if (kept := panels_of(seeds)) is not None
        }
        for name, members in by_dataset(runs).items()
    }
    found = {name: members for name, members in found.items() if members}
    if not found:
        raise ValueError(
            "no completed run of a planar flow on points is among them; make some with "
            "node-run sweep=figure5"
        )
    return maximum_likelihood_figure(found)
