"""Search for a better latent ODE for Table 2, by what the training data say alone.

    python scripts/search_table2.py first              # 41 settings, 3,000 steps, one seed
    python scripts/search_table2.py second             # the best five, 6,000 steps, two seeds
    python scripts/search_table2.py third              # the best one in the cells of the table
    python scripts/search_table2.py fourth             # the one that forecasts best, there too
    python scripts/search_table2.py log                # adds them to the log

A random search (Bergstra and Bengio 2012) in two rounds, as in successive halving. A round keeps
the settings with the highest ELBO on the validation series, of the weights of the last epoch; no
forecast chooses anything, and the seeds of both rounds are none of the table's; a third round has
those of the table. Setting 0 is that of the table. The fourth round is not of the search: it takes
the setting of the first round that forecasts the validation series best. A round continues where
it was interrupted; `--part 1/2` and `--part 2/2` share it between two processes.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pandas import DataFrame, concat, read_csv

from node_experiments.chapters.latent_ode.table2_runs import COUNTS
from node_experiments.runs import load_runs

SETTINGS = 41
KEPT = 5
OBSERVATIONS = 30
ELBO = "last/loss/validation"  # its negative

# Steps and seeds of each round.
FIRST = (3_000, (10,))
SECOND = (6_000, (10, 11))
THIRD = FOURTH = (6_000, (0, 1, 2, 3, 4))
ROUNDS = {"first": FIRST, "second": SECOND, "third": THIRD, "fourth": FOURTH}
LAST_ROUNDS = ("third", "fourth")  # in the cells of the table

# What is drawn, independently of each other; the first value is that of the table.
SPACE: dict[str, Sequence[str]] = {
    "model.latent": ("4", "2", "3", "6", "8"),
    "model.hidden": ("20", "50"),
    "model.layers": ("1", "2", "3"),
    "model.activation": ("tanh", "elu", "softplus"),
    "model.encoder_hidden": ("25", "50", "100"),
    "model.reads_gaps": ("true", "false"),
    "model.decoder_hidden": ("20", "50"),
    "model.noise_std": ("0.1", "0.05", "null"),
    "model.samples": ("1", "3"),
    "model.kl_warmup": ("0", "1000"),
    "solver.rtol": ("1e-3", "1e-4"),
    "optimizer.lr": ("0.01", "0.003", "0.02"),
    "optimizer.weight_decay": ("0", "1e-4"),
    "scheduler.name": ("cosine", "one_cycle"),
    "dataset.batch_size": ("250", "100", "500"),
}
TRAIN_SIZE, STEPS_PER_EPOCH = 1_000, 100


def settings() -> list[dict[str, str]]:
    """The table's setting, then random ones, each another."""
    generator = random.Random(2018)
    drawn = [{name: values[0] for name, values in SPACE.items()}]
    while len(drawn) < SETTINGS:
        one = {name: generator.choice(values) for name, values in SPACE.items()}
        if one not in drawn:
            drawn.append(one)
    return drawn


def command(
    setting: dict[str, str], steps: int, seed: int, observations: int, every: int, outputs: Path
) -> list[str]:
    """The run of one setting.

    Args:
        every: Epochs from one evaluation to the next.
    """
    epochs = steps // STEPS_PER_EPOCH
    passes = STEPS_PER_EPOCH * int(setting["dataset.batch_size"]) // TRAIN_SIZE
    return [
        "node-run",
        "experiment=spirals_latent_ode",
        *(f"{name}={value}" for name, value in setting.items()),
        f"solver.atol={setting['solver.rtol']}",
        f"dataset.passes={passes}",
        f"dataset.observations={observations}",
        f"seed={seed}",
        f"trainer.epochs={epochs}",
        f"trainer.evaluate_every={every}",
        "trainer.threads=1",
        "trainer.progress=false",
        f"outputs={outputs}",
        "resume=auto",
    ]


def folder(outputs: Path, which: str, number: int) -> Path:
    """Where the runs of a setting are."""
    return outputs / which / f"{number:02d}"


def done(outputs: Path, which: str, numbers: Sequence[int]) -> DataFrame:
    """Runs of a round that ended, each with its `setting`; one that diverged has no numbers."""
    found = []
    for number in numbers:
        runs = load_runs(folder(outputs, which, number))
        found += [
            {**run, "setting": number, "round": which}
            for run in runs.to_dict("records")
            if run["status"] in ("completed", "failed")
        ]
    return DataFrame(found)


def best(outputs: Path, which: str, numbers: Sequence[int], keep: int) -> list[int]:
    """The settings with the highest mean ELBO in a round that has ended.

    Raises:
        SystemExit: Fewer settings were run than are kept.
    """
    runs = done(outputs, which, numbers)
    if runs.empty or runs["setting"].nunique() < len(numbers):
        sys.exit(f"the {which} round has not ended: {len(runs)} runs have")
    order = runs.groupby("setting")[ELBO].mean().sort_values()
    return [int(number) for number in order.index[:keep]]


def best_forecast(log: DataFrame) -> int:
    """The setting of the first round that forecasts the validation series best."""
    first = log[(log["round"] == "first") & (log["status"] == "completed")]
    return int(first.loc[first["rmse_validation"].idxmin(), "setting"])


def survivors(outputs: Path, which: str, log: Path) -> list[int]:
    """The settings of a round.

    Args:
        log: The log of the first round, from which the fourth takes its setting.
    """
    if which == "fourth":
        return [best_forecast(read_csv(log))]
    everything = list(range(SETTINGS))
    if which == "first":
        return everything
    second = best(outputs, "first", everything, KEPT)
    return second if which == "second" else best(outputs, "second", second, 1)


def run_round(outputs: Path, which: str, log: Path, part: tuple[int, int]) -> None:
    """Run what is not completed of a round; after a run that failed the next one starts."""
    steps, seeds = ROUNDS[which]
    counts = COUNTS if which in LAST_ROUNDS else (OBSERVATIONS,)
    drawn = settings()
    jobs = [
        (number, seed, count)
        for count in counts
        for seed in seeds
        for number in survivors(outputs, which, log)
    ]
    index, parts = part
    for number, seed, count in jobs[index - 1 :: parts]:
        where = folder(outputs, which, number)
        print(which, number, f"seed {seed}", f"{count} observations", flush=True)
        every = 1 if which in LAST_ROUNDS else steps // STEPS_PER_EPOCH // 10
        job = command(drawn[number], steps, seed, count, every, where)
        subprocess.run(job, check=False)


def write_log(outputs: Path, out: Path) -> None:
    """All runs of all rounds as a table: settings, ELBO, and the errors that chose nothing.

    Rounds whose runs are not here keep their rows.
    """
    rounds = [done(outputs, which, range(SETTINGS)) for which in ROUNDS]
    runs = concat([frame for frame in rounds if len(frame)], ignore_index=True)
    runs["commit"] = [
        json.loads((Path(run) / "run_info.json").read_text())["git"]["commit"]
        for run in runs["directory"]
    ]
    numbers = {
        "round": "round",
        "status": "status",
        "setting": "setting",
        "seed": "seed",
        "config.dataset.observations": "observations",
        "last/step": "steps",
        **{f"config.{name}": name for name in SPACE},
        ELBO: "negative_elbo",
        "last/rmse/validation": "rmse_validation",
        "last/rmse/test": "rmse_test",
        "rmse/test": "rmse_test_best_epoch",
        "seconds": "seconds",
        "hardware.cpu": "cpu",
        "commit": "commit",
    }
    log = runs[list(numbers)].rename(columns=numbers)
    if out.is_file():
        before = read_csv(out, dtype=str, keep_default_na=False)
        kept = before[~before["round"].isin(log["round"])]
        log = concat([kept, log], ignore_index=True)
    log.to_csv(out, index=False, float_format="%.6g")
    print(f"{out}: {len(log)} runs")


def part(text: str) -> tuple[int, int]:
    """`2/3` as two numbers."""
    index, parts = map(int, text.split("/"))
    return index, parts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", choices=(*ROUNDS, "log"))
    parser.add_argument("--outputs", type=Path, default=Path("outputs/table2_search"))
    parser.add_argument("--part", type=part, default=(1, 1), help="1/2: the first of two shares")
    parser.add_argument("--out", type=Path, default=Path("outputs/reference/table2/search.csv"))
    arguments = parser.parse_args()
    if arguments.which == "log":
        write_log(arguments.outputs, arguments.out)
    else:
        run_round(arguments.outputs, arguments.which, arguments.out, arguments.part)
