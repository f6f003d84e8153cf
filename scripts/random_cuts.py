"""Training series that are cut at random times (`dataset.random_cuts`), beside a single time."""

from pathlib import Path

from paired_table import Pair, paired_table

from node_experiments.reports.records import Record, records
from node_experiments.reports.table import ReportTable
from node_experiments.runs import load_runs

FOLDERS = ("random_cuts", "levels", "teacher_forcing", "mimic_demo", "pbcseq", "storms")
DATASETS = {
    "csv": "the sample file",
    "mimic_demo": "MIMIC's second day",
    "pbcseq": "pbcseq",
    "storms": "storms",
}
MODELS = {
    "rnn_dt": "RNN with time gaps",
    "gru_d": "GRU-D",
    "ode_rnn": "ODE-RNN",
    "latent_ode": "latent ODE",
}
# The share of the sample's time span that is observed in tests; the models of one cut saw half.
HISTORIES = {0.25: "the sample file from a quarter", 0.75: "the sample file from three quarters"}


def random_cuts(reference: Path) -> ReportTable:
    """Errors of both kinds of training over the same seeds."""
    runs = compared_cuts(reference)
    places: list[tuple[str, str, float | None]] = [
        ("csv", *each[::-1]) for each in HISTORIES.items()
    ]
    places += [(name, label, None) for name, label in DATASETS.items()]
    pairs = [
        Pair(
            f"{label}, {of_model}",
            *(by_seed(runs, f"{name}_{model}", cut, at_random) for at_random in (False, True)),
        )
        for name, label, cut in places
        for model, of_model in MODELS.items()
    ]
    return paired_table(
        "Random cuts",
        ("one cut", "random cuts"),
        [pair for pair in pairs if pair.before and pair.after],
        "training with random cuts",
        "Test MSE, a mean over series, in squared standard deviations of the training series, of "
        "forecasts beyond the observations; all training series cut at one time, or each at a "
        "random time in each epoch (`dataset.random_cuts=true`). Test series are cut at that one "
        "time, unless another share of the time span is named. Mean and standard deviation over "
        "seeds (their number), of the best epoch on validation data.",
    )


def compared_cuts(reference: Path) -> list[Record]:
    """The runs of the table, with the other settings as they are by default."""
    names = {f"{dataset}_{model}" for dataset in DATASETS for model in MODELS}
    return [
        run
        for folder in FOLDERS
        if (reference / folder).is_dir()
        for run in records(load_runs(reference / folder))
        if run["status"] == "completed"
        and run["name"] in names
        and run.get("config.dataset.task") == "extrapolation"
        and not run.get("config.dataset.centre_series")
        and (run["name"].endswith("latent_ode") or run.get("config.model.teacher_forcing") == 0.5)
    ]


def by_seed(runs: list[Record], name: str, cut: float | None, at_random: bool) -> dict[int, float]:
    """Test errors of an experiment by training seed, at another cut than that of training."""
    return {
        int(run.get("trained.seed", run["seed"])): float(run["mse/test"])
        for run in runs
        if run["name"] == name
        and cut == (run["config.dataset.extrapolate_from"] if run["mode"] == "eval" else None)
        and bool(run.get("config.dataset.random_cuts")) == at_random
    }
