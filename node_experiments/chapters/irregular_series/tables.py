"""Report tables: those of Rubanova, Chen & Duvenaud 2019 with our results, and Japanese Vowels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from pandas import DataFrame

from ...reports.rank_test import ORDER_LEGEND, compare, order_text
from ...reports.records import has
from ...reports.table import Cell, Estimate, ReportTable
from ...reports.verdicts import order_sentence
from .counted_runs import Cells, Counted, Record, collect, first_metric, protocols

__all__ = [
    "IRREGULAR_TABLES",
    "MODELS",
    "SQUARED_ERRORS",
    "cell",
    "classified",
    "errors",
    "forecasts",
]

OBSERVED_FRACTIONS = (0.1, 0.2, 0.3, 0.5)
DROPPED_FRACTIONS = (0.0, 0.3, 0.5, 0.7)
EARLY = 0.1  # fraction of the training up to which the best epoch is said to be early

MODELS = {
    "irregular_rnn_dt": "RNN with time gaps",
    "gru_d": "GRU-D",
    "ode_rnn": "ODE-RNN",
    "rnn_vae": "RNN-VAE",
    "irregular_latent_ode/rnn": "latent ODE (RNN encoder)",
    "irregular_latent_ode": "latent ODE (ODE encoder)",
}

# Mean squared errors as published, at OBSERVED_FRACTIONS of observed points.
HOPPER = {
    "interpolation": {
        "irregular_rnn_dt": (2.454, 1.714, 1.250, 0.785),
        "gru_d": (1.968, 1.421, 1.134, 0.748),
        "ode_rnn": (1.647, 1.209, 0.986, 0.665),
        "rnn_vae": (6.514, 6.408, 6.305, 6.100),
        "irregular_latent_ode/rnn": (2.477, 0.578, 2.768, 0.447),
        "irregular_latent_ode": (0.360, 0.295, 0.300, 0.285),
    },
    "extrapolation": {
        "irregular_rnn_dt": (7.259, 6.792, 6.594, 30.571),
        "gru_d": (38.130, 20.041, 13.049, 5.833),
        "ode_rnn": (13.508, 31.950, 15.465, 26.463),
        "rnn_vae": (2.378, 2.135, 2.021, 1.782),
        "irregular_latent_ode/rnn": (1.663, 1.653, 1.485, 1.377),
        "irregular_latent_ode": (1.441, 1.400, 1.175, 1.258),
    },
}
PERIODIC = {
    "interpolation": {
        "irregular_rnn_dt": (6.081, 4.680, 5.822, 4.116),
        "gru_d": (235.628, 5.997, 4.832, 4.116),
        "ode_rnn": (5.150, 3.211, 2.643, 1.666),
        "rnn_vae": (7.352, 7.346, 7.323, 7.304),
        "irregular_latent_ode/rnn": (6.860, 6.764, 2.754, 5.721),
        "irregular_latent_ode": (7.133, 3.144, 5.354, 1.717),
    },
    "extrapolation": {
        "irregular_rnn_dt": (6.172, 6.115, 6.891, 5.617),
        "gru_d": (6.095, 7.212, 6.541, 5.049),
        "ode_rnn": (6.592, 4.774, 10.940, 8.000),
        "rnn_vae": (20.107, 3.710, 7.281, 2.871),
        "irregular_latent_ode/rnn": (4.920, 4.807, 1.788, 2.703),
        "irregular_latent_ode": (5.313, 4.427, 3.572, 1.388),
    },
}

# The first of these metrics that a run has counts: models with a latent z0 are tested by draws.
SQUARED_ERRORS = ("mse_samples/test", "mse/test")


def forecast_table(
    runs: DataFrame, title: str, dataset: str, task: str, published: Mapping[str, Sequence[float]]
) -> ReportTable:
    """Table of mean squared errors x 100, published and ours."""
    counted = forecasts(runs, dataset, task)
    cells = counted.cells
    rows: list[list[Any]] = []
    for model, label in MODELS.items():
        if model in published:
            numbers = (Cell.number(value, ".3f") for value in published[model])
            rows.append([f"published: {label}", *numbers])
        rows.append(
            [label, *(cell(errors(cells, model, fraction)) for fraction in OBSERVED_FRACTIONS)]
        )
    how = (
        "from the observations before it. "
        if task == "interpolation"
        else "after feeding back the ones that they predicted before. "
    )
    return ReportTable.of(
        title,
        ["model", *(f"{fraction:.0%}" for fraction in OBSERVED_FRACTIONS)],
        rows,
        caption=f"Test MSE x 100 of {task} on {dataset}, with a fraction of the points observed; "
        "the mean over seeds, standard deviation and number of seeds. Models with a latent z0 are "
        "tested by three draws of it, as published; autoregressive ones predict each point "
        f"{how}{protocols(counted.runs)}",
        notes=[*orders(cells, published), *stopped_early(cells), *counted.notes],
        more=[costs(cells, "observed", OBSERVED_FRACTIONS)],
        missing="-",
    )


def forecasts(runs: DataFrame, dataset: str, task: str) -> Counted:
    """The runs of a forecast table, by model and the fraction of the points that is observed."""
    return collect(runs, dataset, task, MODELS, SQUARED_ERRORS, "observed_fraction")


def errors(cells: Cells, model: str, fraction: float) -> list[float]:
    """Mean squared errors x 100 of the runs of a cell."""
    return [100 * first_metric(run, SQUARED_ERRORS) for run in cells.get((model, fraction), [])]


def orders(cells: Cells, published: Mapping[str, Sequence[float]]) -> list[str]:
    """Notes that compare our order of the models by error with the published one."""
    lines = []
    for i, fraction in enumerate(OBSERVED_FRACTIONS):
        ours = {
            MODELS[model]: found
            for model in published
            if (found := errors(cells, model, fraction))
        }
        if len(ours) > 1:
            expected = sorted(
                (model for model in published if MODELS[model] in ours),
                key=lambda model: published[model][i],
            )
            lines.append(
                order_sentence(
                    f"{fraction:.0%} observed", ours, [MODELS[each] for each in expected]
                )
            )
    if lines:
        lines.append(ORDER_LEGEND)
    return lines


def stopped_early(cells: Cells) -> list[str]:
    """Note on the models whose best epoch on validation data is hardly after the beginning."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    total = 0
    for (model, _), members in cells.items():
        for run in members:
            best, last = run.get("epoch"), run.get("last/epoch")
            if best is not None and last is not None and best <= EARLY * last:
                total = max(total, int(last))
                metric = next(name for name in SQUARED_ERRORS if name in run)
                found[MODELS[model]].append((best, 100 * run[f"last/{metric}"]))
    if not found:
        return []
    pairs = [pair for each in found.values() for pair in each]
    latest, ends = max(best for best, _ in pairs), [error for _, error in pairs]
    return [
        f"{', '.join(label for label in MODELS.values() if label in found)}: in {len(pairs)} runs "
        f"the best epoch on validation data is no later than epoch {latest:g} of {total}, so "
        "these are errors of networks that were hardly trained; those of their last epoch are "
        f"{min(ends):.3g} to {max(ends):.3g}."
    ]


def accuracy_table(runs: DataFrame) -> ReportTable:
    """Table of accuracies in per cent on japanese_vowels."""
    counted = classified(runs)
    wrong = {
        key: [100 * (1 - run["accuracy/test"]) for run in members]
        for key, members in counted.cells.items()
    }
    rows = []
    for model, label in MODELS.items():
        fractions = (wrong.get((model, fraction), []) for fraction in DROPPED_FRACTIONS)
        rows.append([label, *(cell((100 - each for each in found), ".1f") for found in fractions)])
    return ReportTable.of(
        "Japanese Vowels",
        ["model", *(f"{fraction:.0%} dropped" for fraction in DROPPED_FRACTIONS)],
        rows,
        caption="Test accuracy on japanese_vowels in per cent, with a fraction of the "
        "observations dropped; the mean over seeds, standard deviation and number of seeds. "
        + protocols(counted.runs),
        notes=[*accuracy_verdicts(wrong), *counted.notes],
        more=[costs(counted.cells, "dropped", DROPPED_FRACTIONS)],
        missing="-",
    )


def classified(runs: DataFrame) -> Counted:
    """The runs of the accuracy table, by model and the fraction of observations dropped."""
    return collect(runs, "japanese_vowels", "classification", MODELS, ["accuracy/test"], "dropped")


def accuracy_verdicts(wrong: Mapping[tuple[str, float], Sequence[float]]) -> list[str]:
    """Notes on the order of the models at each dropped fraction, and on the effect of dropping.

    Args:
        wrong: Errors in per cent, by model and dropped fraction.
    """
    lines = []
    for fraction in DROPPED_FRACTIONS:
        by_label = {MODELS[model]: found for (model, at), found in wrong.items() if at == fraction}
        if len(by_label) > 1:
            lines.append(
                f"{fraction:.0%} dropped, from the lowest median error to the highest: "
                f"{order_text(by_label)}."
            )
    most = max(DROPPED_FRACTIONS)
    by_verdict: dict[str, list[str]] = defaultdict(list)
    for model, label in MODELS.items():
        if (model, most) in wrong and (model, 0.0) in wrong:
            found = compare(wrong[model, most], wrong[model, 0.0])
            by_verdict[str(found)].append(label)
    if by_verdict:
        named = "; ".join(
            f"{verdict} for {', '.join(labels)}" for verdict, labels in by_verdict.items()
        )
        lines.append(f"The error with {most:.0%} dropped, beside that with none dropped: {named}.")
    if lines:
        lines.append(ORDER_LEGEND)
    return lines


def costs(cells: Cells, what: str, fractions: Sequence[float]) -> ReportTable:
    """Table of training time per series, and of function evaluations per batch.

    Times on different processors are not comparable: only runs on the most frequent one count, and
    of these the fastest, since cores were shared with other work.
    """
    counts = Counter(
        str(run.get("hardware.cpu", "an unknown processor"))
        for members in cells.values()
        for run in members
    )
    cpu = counts.most_common(1)[0][0] if counts else "no processor"
    rows = []
    for model, label in MODELS.items():
        found = (cells.get((model, fraction), []) for fraction in fractions)
        rows.append([label, *(cost(members, cpu) for members in found)])
    return ReportTable.of(
        "Training cost",
        [
            f"training cost, ms per series, of the fastest run on {cpu} (evaluations per batch, "
            "mean over ODEs)",
            *(f"{fraction:.0%} {what}" for fraction in fractions),
        ],
        rows,
        missing="-",
    )


def cost(runs: Sequence[Record], cpu: str) -> Cell | None:
    """The training cost of the runs of a cell."""
    times = [
        1e3 * run["seconds_per_step"] / run["config.dataset.batch_size"]
        for run in runs
        if has(run, ["seconds_per_step", "config.dataset.batch_size"])
        and run.get("hardware.cpu", "an unknown processor") == cpu
    ]
    counts = Estimate.of(run["last/nfe/forward"] for run in runs if "last/nfe/forward" in run)
    if not times:
        return None
    text = f"{min(times):.2f}"
    if counts is None:
        return Cell(text, {"": min(times)})
    text += f" ({counts.cell('.0f', '.0f')})"
    return Cell(text, {"": min(times), "evaluations per batch": counts.mean})


def cell(values: Iterable[float], form: str = ".3f") -> Cell | None:
    """Mean, standard deviation and number of seeds."""
    estimate = Estimate.of(values)
    return None if estimate is None else estimate.cell(form, form, count=1)


IRREGULAR_TABLES: dict[str, Callable[[DataFrame], ReportTable]] = {
    "table3": partial(
        forecast_table,
        title="Table 3",
        dataset="hopper",
        task="interpolation",
        published=HOPPER["interpolation"],
    ),
    "table3_extrapolation": partial(
        forecast_table,
        title="Table 3, extrapolation",
        dataset="hopper",
        task="extrapolation",
        published=HOPPER["extrapolation"],
    ),
    "periodic_interpolation": partial(
        forecast_table,
        title="Periodic, interpolation",
        dataset="periodic",
        task="interpolation",
        published=PERIODIC["interpolation"],
    ),
    "periodic_extrapolation": partial(
        forecast_table,
        title="Periodic, extrapolation",
        dataset="periodic",
        task="extrapolation",
        published=PERIODIC["extrapolation"],
    ),
    "japanese_vowels": accuracy_table,
}
