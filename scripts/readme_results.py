"""Writes the sections of the README that show reference runs, from the files of those runs.

python scripts/readme_results.py                        # the sections alone
python scripts/readme_results.py --take figure3 RUN     # first keep a run of mode=figure3
python scripts/readme_results.py --take solver_transfer SWEEP  # or all runs of an -m mode=eval
python scripts/readme_results.py --take figure1 RUN     # or a run of experiment=figure1
python scripts/readme_results.py --take table2 SWEEP    # or all runs of sweep=table2
python scripts/readme_results.py --take poisson RUN     # or a run of experiment=poisson_latent_ode
python scripts/readme_results.py --take precision SWEEP  # or all runs of sweep=precision
python scripts/readme_results.py --take hopper_interpolation SWEEP  # or the runs of this sweep, of
                                       # hopper_extrapolation or japanese_vowels; of sweep=periodic
                                       # as periodic_interpolation and periodic_extrapolation
"""

import argparse
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from node_experiments.chapters.image_classification import figure3_report as figure3
from node_experiments.chapters.image_classification.solver_transfer import solver_transfer
from node_experiments.chapters.image_classification.table1 import table1
from node_experiments.chapters.irregular_series.tables import IRREGULAR_TABLES
from node_experiments.chapters.latent_ode.table2 import (
    details,
    spread,
    table2,
)
from node_experiments.cli.report_figures import (
    FIGURES,
    labelled,
)
from node_experiments.runs.run import (
    Run,
    find_runs,
)

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "outputs" / "reference"
DOCUMENTS = (ROOT / "README.md", REFERENCE / "table2" / "README.md")
IRREGULAR = {
    "hopper_interpolation": "table3",
    "hopper_extrapolation": "table3_extrapolation",
    "periodic_interpolation": "periodic_interpolation",
    "periodic_extrapolation": "periodic_extrapolation",
    "japanese_vowels": "japanese_vowels",
}
BY_HAND = (
    "table1",
    "figure1",
    "figure3",
    "solver_transfer",
    "table2",
    "table2 details",
    "poisson",
    "precision",
)
NAMES = "|".join((*BY_HAND, *IRREGULAR))
BLOCK = re.compile(rf"<!-- results: ({NAMES}) -->\n.*?<!-- /results -->", re.DOTALL)

SETTINGS = ("config.yaml", "result.json", "wrong.json")
HISTORY = (*SETTINGS, "run_info.json", "metrics.jsonl", "figure3.json")
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
    runs = [run for run in find_runs(folder) if run.status == "completed" and belongs(name, run)]
    places = [REFERENCE / name / place_of(name, number, run) for number, run in enumerate(runs)]
    if twice := sorted({str(place) for place in places if places.count(place) > 1}):
        raise SystemExit(
            f"more than one run for {', '.join(twice)}; give a folder with one of each"
        )
    for run, place in zip(runs, places, strict=True):
        illustrated = name in ("figure1", "poisson") or f"{name}/{place.name}" in ILLUSTRATED
        # Of many evaluations, no more than a table reads.
        one_of_many = name in ("solver_transfer", "table2") and not illustrated
        place.mkdir(parents=True, exist_ok=True)
        for kept in SETTINGS if one_of_many else HISTORY:
            if (run.folder / kept).is_file():
                shutil.copyfile(run.folder / kept, place / kept)
        if illustrated:
            shutil.copytree(run.folder / "figures", place / "figures", dirs_exist_ok=True)
    target = REFERENCE / name
    if name == "figure3":
        figure3.panels(find_runs(target), "").savefig(target / "figure3.png")
    if name == "precision":
        figure = FIGURES["loss_curves"](find_runs(target), "ODE-Net on MNIST, by precision")
        figure.savefig(target / "loss_curves.png")


def belongs(name: str, run: Run) -> bool:
    """Whether a run is one of this section's; a sweep of irregular series may hold two tasks."""
    if name not in IRREGULAR:
        return True
    dataset, _, task = name.rpartition("_")
    if task == "vowels":
        return run.config["dataset.name"] == name
    return (run.config["dataset.name"], run.config.get("dataset.task")) == (dataset, task)


def place_of(name: str, number: int, run: Run) -> str:
    """The folder of one run below that of its section."""
    if name == "table2":
        config = run.config
        return f"{config['model.name']}_{config['dataset.observations']}_seed{config['seed']}"
    if name in IRREGULAR:
        setting = "dropped" if name == "japanese_vowels" else "observed_fraction"
        model = run.config["name"].removeprefix(f"{run.config['dataset.name']}_")
        # The encoder that its experiment does not have.
        encoder = "_rnn_encoder" if run.config.get("model.encoder") == "rnn" else ""
        share = run.config[f"dataset.{setting}"]
        return f"{model}{encoder}_{share:g}_seed{run.config['seed']}"
    if name == "precision":
        return f"{run.config['trainer.precision']}_seed{run.config['seed']}"
    return f"{number:02d}" if name == "solver_transfer" else "."


def picture(caption: str, path: str) -> str:
    """A picture of the reference runs."""
    return f"![{caption}](outputs/reference/{path})\n"


def show_figure1(runs: Path) -> str:
    """A picture alone."""
    return picture(
        "Trajectories of a residual network and of an ODE network, with their evaluations",
        "figure1/figures/figure1.png",
    )


def show_figure3(runs: Path) -> str:
    """Verdicts, and four panels."""
    caption = "Error, time, backward evaluations and evaluations while training"
    return f"{figure3.figure3(runs)}\n{picture(caption, 'figure3/figure3.png')}"


def show_precision(runs: Path) -> str:
    """Both precisions by loss and error in the end, and their loss curves."""
    groups = labelled(find_runs(runs))
    seeds = {tuple(sorted(run.config["seed"] for run in group)) for group in groups.values()}
    assert len(seeds) == 1, "each precision has its own seeds"
    lines = [
        "| products in | training loss, last epoch | test error, % | seconds a step |",
        "| --- | ---: | ---: | ---: |",
    ]
    for label, group in groups.items():
        cells = (
            spread(run.epochs[-1]["loss/train"] for run in group),
            spread((100 * (1 - run.epochs[-1]["accuracy/test"]) for run in group), digits=2),
            spread((run.result["seconds"]["per_step"] for run in group), count=False),
        )
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    run = find_runs(runs)[0]
    lines += [
        "",
        f"ODE-Net on {run.config['dataset.train_size']:,} digits, {int(run.epochs[-1]['step']):,} "
        "steps, the same seeds in both precisions: mean and standard deviation over seeds (their "
        "number). `node-run experiment=mnist_odenet sweep=precision gradient=backprop` with "
        "`dataset.train_size` and `trainer.epochs`.",
        "",
        picture("Training loss against epochs", "precision/loss_curves.png"),
    ]
    return "\n".join(lines)


def show_poisson(runs: Path) -> str:
    """How likely new events are under the inferred rate, the true one and a constant."""
    (run,) = find_runs(runs)
    nats = {key: -run.metrics[f"held_out_nll{key}/test"] for key in ("", "_true", "_constant")}
    share = (nats[""] - nats["_constant"]) / (nats["_true"] - nats["_constant"])
    text = (
        f"A second draw of events from the same rates, which no model sees, has a log-likelihood "
        f"of {nats['']:.2f} nats a sequence under the inferred rate, {nats['_true']:.2f} under "
        f"the true one and {nats['_constant']:.2f} under the best constant: the latent ODE gains "
        f"{share:.0%} of what there is to gain. Its rate is off by "
        f"{run.metrics['rate_error/test']:.0%} of the mean rate (seed {run.config['seed']}, "
        f"{int(run.metrics['step']):,} steps, the best on the validation sequences). The learning "
        "rate and the number of steps were chosen after a run at the spirals' rate was seen to "
        "fall apart, on validation and test sequences alike.\n"
    )
    caption = "Figure 7: events as dots, the true and the inferred rate"
    return f"{text}\n{picture(caption, 'poisson/figures/figure7.png')}"


SECTIONS: dict[str, Callable[[Path], str]] = {
    "table1": table1,
    "figure1": show_figure1,
    "figure3": show_figure3,
    "solver_transfer": solver_transfer,
    "table2": table2,
    "table2 details": details,
    "poisson": show_poisson,
    "precision": show_precision,
    **{name: IRREGULAR_TABLES[table] for name, table in IRREGULAR.items()},
}


def section(name: str, reference: Path = REFERENCE) -> str:
    """The block of a document between its markers."""
    runs = reference / name.partition(" ")[0]
    text = SECTIONS[name](runs) if runs.is_dir() else "Not run yet.\n"
    return f"<!-- results: {name} -->\n{text}<!-- /results -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--take", nargs=2, metavar=("NAME", "FOLDER"), help="runs to keep")
    asked = parser.parse_args()
    if asked.take is not None:
        take(asked.take[0], Path(asked.take[1]))
    for document in DOCUMENTS:
        text = BLOCK.sub(lambda match: section(match[1]), document.read_text())
        document.write_text(text)


if __name__ == "__main__":
    main()
