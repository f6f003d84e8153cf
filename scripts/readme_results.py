"""Writes the sections of the documents that show reference runs, from the files of those runs.

python scripts/readme_results.py                        # the sections alone
python scripts/readme_results.py --take figure3 RUN     # first keep a run of mode=figure3
python scripts/readme_results.py --take solver_transfer SWEEP  # or networks and evaluations
python scripts/readme_results.py --take figure1 RUN     # or a run of experiment=figure1
python scripts/readme_results.py --take table2 SWEEP    # or all runs of sweep=table2
python scripts/readme_results.py --take poisson RUN     # or a run of experiment=poisson_latent_ode
python scripts/readme_results.py --take precision SWEEP  # or all runs of sweep=precision
python scripts/readme_results.py --take hopper_interpolation SWEEP  # or the runs of this sweep, of
                                       # hopper_extrapolation or japanese_vowels; of sweep=periodic
                                       # as periodic_interpolation and periodic_extrapolation
python scripts/readme_results.py --take physionet2012 FOLDER  # or all runs of physionet2012_*,
                                       # or of a dataset of SHIPPED
"""

import argparse
import re
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from documents import PERFORMANCE, RESULTS, ROOT, linked_from
from figure3_growth import by_seed, growth
from hopper_steps import hopper_steps, hopper_trainings
from machines import machines
from pandas import DataFrame
from random_cuts import compared_cuts, random_cuts
from search_report import report
from series_levels import compared_levels, levels
from teacher_forcing import compared, own_forecasts

from node_experiments.chapters.image_classification import figure3_report as figure3
from node_experiments.chapters.irregular_series.physionet_tables import (
    AUTOREGRESSIVE,
    ENCODING,
    EXTRAPOLATION_COLUMN,
    INTERPOLATION_COLUMN,
    MORTALITY_COLUMN,
    Column,
    column_runs,
)
from node_experiments.chapters.irregular_series.shipped import tables as shipped
from node_experiments.chapters.irregular_series.tables import classified, forecasts
from node_experiments.chapters.latent_ode import table2_runs
from node_experiments.chapters.latent_ode.table2 import details
from node_experiments.chapters.pharmacokinetics import table as remifentanil
from node_experiments.cli.report import TABLES, resolve
from node_experiments.cli.report_figures import labelled, loss_curves
from node_experiments.reports.records import Record, records
from node_experiments.reports.render import FORMATS
from node_experiments.reports.table import Estimate, ReportTable
from node_experiments.runs import load_runs
from node_experiments.runs.frame import read_epochs

REFERENCE = ROOT / "outputs" / "reference"
DOCUMENTS = (RESULTS, PERFORMANCE, REFERENCE / "table2" / "README.md")
IRREGULAR = {
    "hopper_interpolation": "table3",
    "hopper_extrapolation": "table3_extrapolation",
    "periodic_interpolation": "periodic_interpolation",
    "periodic_extrapolation": "periodic_extrapolation",
    "japanese_vowels": "japanese_vowels",
}
# Datasets of real series whose table has their name.
SHIPPED = ("storms", "storm_births", "mimic_demo", "pbcseq", "remifentanil")
BY_HAND = (
    "table1",
    "figure1",
    "figure3",
    "figure3_60_epochs",
    "solver_transfer",
    "table2",
    "table2 details",
    "table2 search",
    "poisson",
    "precision",
    "hopper_interpolation steps",
    "teacher_forcing",
    "levels",
    "random_cuts",
    "physionet2012 table4",
    "physionet2012 table5",
    "physionet2012 auc",
)
NAMES = "|".join((*BY_HAND, *IRREGULAR, *SHIPPED))
BLOCK = re.compile(rf"<!-- results: ({NAMES}) -->\n.*?<!-- /results -->", re.DOTALL)

HISTORY = (
    "config.yaml",
    "result.json",
    "wrong.json",
    "run_info.json",
    "metrics.jsonl",
    "figure3.json",
)
# Of the many runs of a table, those whose figures are shown.
ILLUSTRATED = {
    "table2/latent_ode_30_seed0",
    "table2/rnn_dt_30_seed0",
    "hopper_interpolation/latent_ode_0.1_seed0",
    "hopper_interpolation/ode_rnn_0.1_seed0",
    "hopper_extrapolation/latent_ode_0.5_seed0",
    "periodic_extrapolation/latent_ode_0.3_seed0",
    "japanese_vowels/ode_rnn_0_seed0",
}


def take(name: str, folder: Path) -> None:
    """Copy what reports read of the runs below a folder, and the figures that belong to them."""
    runs = [
        run
        for run in records(load_runs(folder))
        if run["status"] == "completed" and belongs(name, run)
    ]
    places = [REFERENCE / name / place_of(name, number, run) for number, run in enumerate(runs)]
    if twice := sorted({str(place) for place in places if places.count(place) > 1}):
        raise SystemExit(
            f"more than one run for {', '.join(twice)}; give a folder with one of each"
        )
    for run, place in zip(runs, places, strict=True):
        illustrated = name in ("figure1", "poisson") or f"{name}/{place.name}" in ILLUSTRATED
        place.mkdir(parents=True, exist_ok=True)
        for kept in HISTORY:
            if (Path(run["directory"]) / kept).is_file():
                shutil.copyfile(Path(run["directory"]) / kept, place / kept)
        if illustrated:
            figures = Path(run["directory"]) / "figures"
            shutil.copytree(figures, place / "figures", dirs_exist_ok=True)
    target = REFERENCE / name
    if name == "figure3":
        figure3.panels(load_runs(target), "").savefig(target / "figure3.png")
    if name == "precision":
        figure = loss_curves(load_runs(target), "ODE-Net on MNIST, by precision")
        figure.savefig(target / "loss_curves.png")


def belongs(name: str, run: Record) -> bool:
    """Whether a run is one of this section's; a sweep of irregular series may hold two tasks."""
    if name == "physionet2012" or name in SHIPPED:
        return bool(run["config.dataset.name"] == name)
    if name not in IRREGULAR:
        return True
    if name == "japanese_vowels":
        return bool(run["config.dataset.name"] == name)
    asked = dataset_and_task(name)
    return (run["config.dataset.name"], run.get("config.dataset.task")) == asked


def dataset_and_task(name: str) -> tuple[str, str]:
    """Those of a section of forecasts, from its name."""
    dataset, _, task = name.removesuffix("_45_epochs").rpartition("_")
    return dataset, task


def place_of(name: str, number: int, run: Record) -> str:
    """The folder of one run below that of its section."""
    seed = int(run["seed"])
    if name == "table2":
        return f"{run['config.model.name']}_{run['config.dataset.observations']}_seed{seed}"
    if name in IRREGULAR:
        setting = "dropped" if name == "japanese_vowels" else "observed_fraction"
        model = run["name"].removeprefix(f"{run['config.dataset.name']}_")
        # The encoder that its experiment does not have.
        encoder = "_rnn_encoder" if run.get("config.model.encoder") == "rnn" else ""
        return f"{model}{encoder}_{run[f'config.dataset.{setting}']:g}_seed{seed}"
    if name == "physionet2012":
        model = run["name"].removeprefix("physionet2012_")
        return f"{model}_{run['config.dataset.task']}_seed{seed}"
    if name in SHIPPED:
        task = "_interpolation" if run.get("config.dataset.task") == "interpolation" else ""
        fold = run.get("config.dataset.fold")
        return f"{run['name']}{task}{'' if fold is None else f'_fold{fold:g}'}_seed{seed}"
    if name == "precision":
        return f"{run['config.trainer.precision']}_seed{seed}"
    if name == "solver_transfer":
        if run["config.mode"] == "eval":
            trained = int(run["trained.seed"])
            return f"{number:02d}" if trained == 0 else f"seed{trained}_{number:02d}"
        steps = run.get("config.solver.num_steps")
        solver = run["config.solver.method"] + ("" if steps is None else f"_{steps:g}")
        return f"trained_{solver}_seed{seed}"
    return "."


def picture(caption: str, path: str) -> str:
    """A picture of the reference runs."""
    return f"![{caption}](outputs/reference/{path})\n"


def markdown(table: ReportTable) -> str:
    """A table as the documents hold it."""
    return FORMATS["md"](table)


def show_figure1(runs: DataFrame) -> str:
    """A picture alone."""
    return picture(
        "Trajectories of a residual network and of an ODE network, with their evaluations",
        "figure1/figures/figure1.png",
    )


def show_figure3(runs: DataFrame) -> str:
    """Numbers, verdicts, and four panels."""
    caption = "Error, time, backward evaluations and evaluations while training"
    seeds = by_seed(load_runs(REFERENCE / "table1"))
    found = markdown(figure3.figure3(runs)).rstrip()
    return f"{found}\n- {seeds}\n\n{picture(caption, 'figure3/figure3.png')}"


def show_precision(runs: DataFrame) -> str:
    """Both precisions by loss and error in the end, and their loss curves."""
    groups = labelled(runs)
    seeds = {tuple(sorted(run["seed"] for run in group)) for group in groups.values()}
    assert len(seeds) == 1, "each precision has its own seeds"
    rows = []
    for label, group in groups.items():
        loss = Estimate.of(run["last/loss/train"] for run in group)
        error = Estimate.of(100 * (1 - run["last/accuracy/test"]) for run in group)
        seconds = Estimate.of(run["seconds_per_step"] for run in group)
        cells = (loss.cell(".3f", ".3f", 1), error.cell(".2f", ".2f", 1))
        rows.append([label, *cells, seconds.cell(".3f", ".3f")])
    run = records(runs)[0]
    steps = int(read_epochs(run["directory"])[-1]["step"])
    table = ReportTable.of(
        "Precision",
        ["products in", "training loss, last epoch", "test error, %", "seconds per step"],
        rows,
        caption=f"ODE-Net on {run['config.dataset.train_size']:,} digits, {steps:,} steps, the "
        "same seeds in both precisions: mean and standard deviation over seeds (their number), of "
        "the last epoch. `node-run experiment=mnist_odenet sweep=precision gradient=backprop "
        f"dataset.train_size={run['config.dataset.train_size']:g} "
        f"dataset.validation_size={run['config.dataset.validation_size']:g} "
        f"trainer.epochs={run['config.trainer.epochs']:g}`.",
    )
    caption = "Training loss against epochs"
    return f"{markdown(table)}\n{picture(caption, 'precision/loss_curves.png')}"


def show_poisson(runs: DataFrame) -> str:
    """How likely new events are under the inferred rate, the true one and a constant."""
    (run,) = records(runs)
    nats = {key: -run[f"held_out_nll{key}/test"] for key in ("", "_true", "_constant")}
    share = (nats[""] - nats["_constant"]) / (nats["_true"] - nats["_constant"])
    text = (
        f"A second draw of events from the same rates, which no model sees, has a log-likelihood "
        f"of {nats['']:.2f} nats per sequence under the inferred rate, {nats['_true']:.2f} under "
        f"the true one and {nats['_constant']:.2f} under the best constant rate: the latent ODE "
        f"recovers {share:.0%} of the difference between these two. Its rate is off by "
        f"{run['rate_error/test']:.0%} of the mean rate (seed {run['seed']:g}, "
        f"{int(run['step']):,} steps, the best on the validation sequences). The learning "
        "rate and the number of steps were chosen after a run at the spirals' learning rate had "
        "diverged, on validation and test sequences alike.\n"
    )
    caption = "Figure 7: events as dots, the true and the inferred rate"
    return f"{text}\n{picture(caption, 'poisson/figures/figure7.png')}"


def table(name: str) -> Callable[[DataFrame], str]:
    """A table of `node-report`, as Markdown."""
    return lambda runs: markdown(resolve(TABLES[name])(runs))


def of_spirals(runs: DataFrame) -> list[Record]:
    """The runs of Table 2."""
    cells, _ = table2_runs.scored(table2_runs.collect(runs)[0])
    return [run for members in cells.values() for run in members]


def of_forecasts(name: str) -> Callable[[DataFrame], list[Record]]:
    """The runs of a table of forecasts."""
    return lambda runs: forecasts(runs, *dataset_and_task(name)).runs


def of_columns(models: Collection[str], *columns: Column) -> Callable[[DataFrame], list[Record]]:
    """The runs of these columns of a table of PhysioNet 2012."""
    return lambda runs: [run for each in columns for run in column_runs(runs, models, each).runs]


def of_tasks(name: str, *tasks: str) -> Callable[[DataFrame], list[Record]]:
    """The runs of the tables of a shipped dataset."""
    return lambda runs: [run for task in tasks for run in shipped.counted(runs, name, task).runs]


# The runs of each section whose cells are means over runs.
COUNTED: dict[str, Callable[[DataFrame], list[Record]]] = {
    "table2": of_spirals,
    **{name: of_forecasts(name) for name in IRREGULAR if name != "japanese_vowels"},
    "japanese_vowels": lambda runs: classified(runs).runs,
    "physionet2012 table4": of_columns(AUTOREGRESSIVE, INTERPOLATION_COLUMN),
    "physionet2012 table5": of_columns(ENCODING, INTERPOLATION_COLUMN, EXTRAPOLATION_COLUMN),
    "physionet2012 auc": of_columns((*AUTOREGRESSIVE, *ENCODING), MORTALITY_COLUMN),
    "storms": of_tasks("storms", "extrapolation"),
    "storm_births": lambda runs: shipped.births(runs).runs,
    "mimic_demo": of_tasks("mimic_demo", "extrapolation", "interpolation"),
    "pbcseq": of_tasks("pbcseq", "extrapolation"),
    "remifentanil": lambda runs: remifentanil.runs_of(remifentanil.collect(runs)[0]),
    "teacher_forcing": lambda runs: compared(REFERENCE),
    "levels": lambda runs: compared_levels(REFERENCE),
    "random_cuts": lambda runs: compared_cuts(REFERENCE),
    "hopper_interpolation steps": lambda runs: [
        run for each in hopper_trainings(REFERENCE) for run in each.runs
    ],
}
SECTIONS: dict[str, Callable[[DataFrame], str]] = {
    "table1": table("table1"),
    "figure1": show_figure1,
    "figure3": show_figure3,
    "figure3_60_epochs": lambda runs: markdown(growth(runs)),
    "solver_transfer": table("solver_transfer"),
    "table2": table("table2"),
    "table2 details": lambda runs: markdown(details(runs)),
    "table2 search": lambda runs: markdown(report(REFERENCE / "table2" / "search.csv", runs)),
    "poisson": show_poisson,
    "precision": show_precision,
    "hopper_interpolation steps": lambda runs: "\n".join(map(markdown, hopper_steps(REFERENCE))),
    "teacher_forcing": lambda runs: "\n".join(map(markdown, own_forecasts(REFERENCE))),
    "levels": lambda runs: markdown(levels(REFERENCE)),
    "random_cuts": lambda runs: markdown(random_cuts(REFERENCE)),
    **{name: table(short) for name, short in IRREGULAR.items()},
    **{name: table(name) for name in SHIPPED},
    **{f"physionet2012 {short}": table(short) for short in ("table4", "table5", "auc")},
}


def section(name: str, reference: Path = REFERENCE) -> str:
    """The block of a document between its markers."""
    folder, text = reference / name.partition(" ")[0], "Not run yet.\n"
    if folder.is_dir():
        runs = load_runs(folder)
        text = SECTIONS[name](runs)
        if mixed := name in COUNTED and machines(COUNTED[name](runs)):
            text += f"\n{mixed}\n"
    return f"<!-- results: {name} -->\n{text}<!-- /results -->"


def written(document: Path, text: str) -> str:
    """The text of a document with its blocks as the files have them."""
    return BLOCK.sub(lambda match: linked_from(document, section(match[1])), text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--take", nargs=2, metavar=("NAME", "FOLDER"), help="runs to keep")
    asked = parser.parse_args()
    if asked.take is not None:
        take(asked.take[0], Path(asked.take[1]))
    for document in DOCUMENTS:
        text = written(document, document.read_text())
        document.write_text(text)


if __name__ == "__main__":
    main()
