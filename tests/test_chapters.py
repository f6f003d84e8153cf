"""Chapters: every pair of a model and a dataset, what a run imports, and chapters from outside."""

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import fields
from importlib.metadata import EntryPoint

import pytest

from node_experiments import chapters
from node_experiments.chapters import check_fit, datasets, find_chapters, models, tasks
from node_experiments.chapters.chapter import call, resolve
from node_experiments.config import ConfigError
from node_experiments.errors import UserError

FITS = {
    "mnist": {
        "odenet", "stem_only", "resnet", "revnet", "lm_resnet", "mlp", "image_flow", "image_ode",
    },
    "spirals": {"latent_ode", "rnn", "rnn_dt"},
    "poisson": {"poisson_latent_ode"},
    "storm_births": {"poisson_latent_ode"},
    "cubic_spiral": {"neural_ode"},
    "funnels": {"depth_pair"},
    "smoke": {"fluid_control"},
    "bounces": {"bouncing_ball", "learned_physics"},
    "spheres": {"sphere_ode"},
    "robertson": {"reaction_rates"},
    "hare_lynx": {"populations"},
    "pendulum": {"swing_up"},
    "energies": {"planar_nf", "planar_cnf", "ffjord", "hamiltonian_cnf"},
    "remifentanil": {"two_compartments", "neural_kinetics", "corrected_compartments"},
    "csv": {
        "irregular_rnn_dt", "rnn_impute", "rnn_decay", "gru_d", "ode_rnn", "rnn_vae",
        "irregular_latent_ode", "latent_ode_poisson",
    },
}  # fmt: skip
LIKE = {
    "fashion_mnist": "mnist",
    "cifar10": "mnist",
    **dict.fromkeys(("periodic", "hopper", "japanese_vowels"), "csv"),
    **dict.fromkeys(("physionet2012", "human_activity"), "csv"),
    **dict.fromkeys(("storms", "mimic_demo", "pbcseq"), "csv"),
}


@pytest.mark.parametrize("dataset", datasets())
def test_every_model_fits_its_datasets_and_no_other(dataset):
    expected = FITS[LIKE.get(dataset, dataset if dataset in FITS else "energies")]
    if datasets()[dataset].kind == "points":
        expected = {*expected, "flow_matching"}
    for model in models():
        if model in expected:
            check_fit(model, dataset)
            continue
        with pytest.raises(ConfigError) as raised:
            check_fit(model, dataset)
        message = str(raised.value)
        assert f"model.name={model!r} does not fit dataset.name={dataset!r}" in message
        own, _, others = message.partition(f"datasets for {model}: ")
        assert all(name in own.partition("models for")[2] for name in expected)
        assert all(name in others for name, entry in datasets().items()
                   if entry.kind in models()[model].tasks)  # fmt: skip


def test_the_model_of_the_same_family_is_suggested():
    with pytest.raises(ConfigError, match=r"did you mean model=irregular_latent_ode\?"):
        check_fit("latent_ode", "csv")


@pytest.mark.parametrize(
    "arguments",
    [
        ["model=latent_ode", "dataset=csv"],
        ["model=mlp", "dataset=spirals"],
        ["model=resnet", "dataset=hopper"],
        ["experiment=mnist_mlp", "dataset=energies"],
        ["experiment=spirals_rnn", "model=gru_d"],
    ],
)
def test_a_mismatch_leaves_nothing_behind(node_run, tmp_path, arguments):
    result = node_run(*arguments)
    assert result.code == 2
    (line,) = result.err.splitlines()
    assert "does not fit dataset.name=" in line
    assert not list(tmp_path.rglob("*.yaml"))


def test_every_import_string_names_something():
    for entry in datasets().values():
        assert callable(resolve(entry.build))
        assert entry.figures is None or callable(resolve(entry.figures))
    for model in models().values():
        assert callable(resolve(model.build))
        assert set(model.tasks.values()) <= set(tasks())
        assert set(model.tasks) <= {entry.kind for entry in datasets().values()}
        assert set(model.used_settings or ()) <= {field.name for field in fields(model.settings)}
    for task in tasks().values():
        for name in (task.build, task.figures, task.callbacks):
            assert name is None or callable(resolve(name))


UNDRAWN = """
from node_experiments.tracking.figures import Figures
Figures.epoch_end = lambda self, trainer: None
"""
IMPORTED = """
import json, sys
from node_experiments.cli.main import main
sys.argv = ["node-run", *{arguments!r}]
{before}
code = main()
mods = sorted(m for m in sys.modules if m.split(".")[0] == "node_experiments")
print(json.dumps([code, mods, "torch" in sys.modules]))
"""


def imported_by(tmp_path, *arguments, before=""):
    code = IMPORTED.format(arguments=list(arguments), before=before)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_a_run_imports_its_own_chapter(tmp_path):
    small = ("train_size=16", "batch_size=16", "validation_size=16", "test_size=16")
    code, modules, _ = imported_by(
        tmp_path, "experiment=mnist_odenet", "protocol=smoke", "trainer.epochs=1",
        "model.channels=8", *(f"dataset.{setting}" for setting in small), before=UNDRAWN,
    )  # fmt: skip
    assert code == 0
    own = ("image_classification", "chapter", "external")
    others = [
        name
        for name in modules
        if name.startswith("node_experiments.chapters.") and name.split(".")[2] not in own
    ]
    # Of another chapter: its package, perhaps with one inside, its names and their settings.
    assert {name.split(".")[-1] for name in others if name.count(".") > 2} <= {
        "chapter", "settings", "shipped",
    }  # fmt: skip
    assert len(modules) <= 130, modules


def test_what_is_wrong_with_a_file_is_said_before_torch_is_imported(tmp_path):
    rows = "".join(f"{series},{time},{value}\n" for series, value in (("a", "1"), ("b", "high"))
                   for time in range(3))  # fmt: skip
    (tmp_path / "mine.csv").write_text("series,time,x\n" + rows)
    code, _, torch = imported_by(tmp_path, "experiment=csv_latent_ode", "dataset.path=mine.csv")
    assert code == 2
    assert not torch
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]


MODULE = """
from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import torch

from node_experiments.chapters.chapter import (
    Chapter, Dataset, Model, Optimizer, Schedule, Task,
)
from node_experiments.data.seeded_batches import SeededBatches


@dataclass
class LineConfig:
    GROUP: ClassVar[str] = "dataset"
    name: str = "line"
    slope: float = 2.0
    points: int = 32


@dataclass
class LinearConfig:
    GROUP: ClassVar[str] = "model"
    name: str = "linear"
    bias: bool = True


def line(settings, seed, device):
    x = torch.linspace(-1, 1, settings.points, device=device).unsqueeze(1)
    pair = x, settings.slope * x
    train = SeededBatches(lambda generator: pair, batches=1, seed=seed)
    return SimpleNamespace(train=train, validation=None, test=[pair])


def linear(settings, data, solver, gradient):
    return torch.nn.Linear(1, 1, settings.bias)


class SignSGD(torch.optim.Optimizer):
    def __init__(self, parameters, lr, weight_decay):
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for each in group["params"]:
                each.mul_(1 - group["weight_decay"]).sub_(group["lr"] * each.grad.sign())


def sign_sgd(parameters, settings):
    return SignSGD(parameters, settings.lr, settings.weight_decay)


def linear_decay(optimizer, settings, total_steps, steps_per_epoch):
    def factor(step):
        return max(1 - step / total_steps, settings.floor)

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


class Fit:
    metric, higher_is_better = "mse", False

    def loss(self, model, batch, step):
        return (model(batch[0]) - batch[1]).square().mean(), {}

    def evaluate(self, model, batches):
        loss = float(sum(self.loss(model, batch, 0)[0] for batch in batches))
        return {"loss": loss, "mse": loss}


CHAPTER = Chapter(
    name="lines",
    datasets={"line": Dataset(LineConfig, "lines:line", "line")},
    models={"linear": Model(LinearConfig, "lines:linear", {"line": "fit"})},
    tasks={"fit": Task("lines:fit")},
    optimizers={"sign_sgd": Optimizer("lines:sign_sgd", ("lr", "weight_decay"))},
    schedulers={"linear_decay": Schedule("lines:linear_decay", ("floor",))},
    configs="lines/configs",
)


def fit(settings, data):
    return Fit()
"""
FILES = {
    "lines/__init__.py": MODULE,
    "lines/configs/experiment/line_linear.yaml": """\
        # @package _global_
        # node-run experiment=line_linear
        defaults:
          - override /dataset: steep_line
          - override /model: linear
        name: line_linear
        trainer: {epochs: 40, evaluate_every: 40}
        optimizer: {name: sgd, lr: 0.3, momentum: 0.0}
        """,
    "lines/configs/dataset/steep_line.yaml": """\
        defaults:
          - /settings/dataset/line
        slope: 5.0
        """,
    "lines/configs/optimizer/sign_sgd.yaml": """\
        defaults:
          - /optimizer_defaults@_here_
        name: sign_sgd
        lr: 0.2
        """,
    "lines-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: lines\nVersion: 1.0\n",
    "lines-1.0.dist-info/entry_points.txt": "[node_experiments.chapters]\nlines = lines:CHAPTER\n",
}


FIND = """
import sys
from node_experiments import chapters
from node_experiments.cli.settings import setting_types
from node_experiments.runner.choices import register_choices
sys.path.insert(0, {site!r})
tables = chapters.datasets, chapters.models, chapters.tasks
for function in (chapters.find_chapters, *tables, setting_types):
    function.cache_clear()
register_choices()
"""


@pytest.fixture
def site(tmp_path):
    """A folder with an installed package that has a chapter."""
    folder = tmp_path / "site"
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    (tmp_path / "work").mkdir()
    return folder


def test_an_optimizer_and_a_schedule_from_outside_train(site, tmp_path, fork_server):
    work, before = tmp_path / "work", FIND.format(site=str(site))

    def run(*words):
        job = fork_server.start(*words, "trainer.threads=1", folder=work, before=before)
        return job.wait(), job.output.read_text()

    chosen = ("dataset=line", "model=linear", "optimizer=sign_sgd", "scheduler=linear_decay")
    code, output = run(*chosen, "scheduler.floor=0.25", "trainer.log_every=1", "trainer.epochs=4")
    assert code == 0, output
    (path,) = work.rglob("result.json")
    rows = [json.loads(line) for line in (path.parent / "metrics.jsonl").read_text().splitlines()]
    rates = [row["lr"] for row in rows if "lr" in row]
    # The rate of its file in configs/optimizer/, after each of four steps of its schedule.
    assert rates == pytest.approx([0.15, 0.1, 0.05, 0.05])
    for words, said in (
        (("optimizer.momentum=0.5",), "with optimizer=sign_sgd, which reads lr, weight_decay"),
        (("scheduler.warmup=0.5",), "with scheduler=linear_decay, which reads floor"),
        ((f"resume={path.parent}", "trainer.epochs=8"), "'linear_decay' was laid over 4 epochs"),
    ):
        code, output = run(*(() if "resume" in words[0] else chosen), *words)
        assert code == 2, output
        assert said in output
    # One cycle moves the momentum too, which this optimiser does not have.
    code, output = run(*chosen[:3], "scheduler=one_cycle")
    assert code == 0, output


def test_a_chapter_from_outside_is_checked_as_ours_and_trained(site, tmp_path, fork_server):
    work = tmp_path / "work"
    wrong = subprocess.run(
        [sys.executable, "-m", "node_experiments", "dataset=line", "model=mlp"],
        capture_output=True, text=True, cwd=work,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])},
    )  # fmt: skip
    assert wrong.returncode == 2, wrong.stderr
    assert "does not fit dataset.name='line'" in wrong.stderr
    assert "models for line: linear" in wrong.stderr
    # From a process that has imported everything, and finds the package now.
    words = ("experiment=line_linear", "trainer.threads=1")
    job = fork_server.start(*words, folder=work, before=FIND.format(site=str(site)))
    assert job.wait() == 0, job.output.read_text()
    (path,) = work.rglob("result.json")
    assert json.loads(path.read_text())["metrics"]["mse/test"] < 1e-2
    assert "slope: 5.0" in (path.parent / "config.yaml").read_text()


@pytest.fixture
def installed(monkeypatch):
    """Let an entry point be found."""

    def install(value):
        monkeypatch.setattr(
            chapters, "entry_points", lambda group: [EntryPoint("theirs", value, group)]
        )
        for cached in (find_chapters, datasets, models, tasks):
            cached.cache_clear()

    yield install
    for cached in (find_chapters, datasets, models, tasks):
        cached.cache_clear()


@pytest.mark.parametrize("value", ["no_such_package:CHAPTER", "json:dumps", "json:CHAPTER"])
def test_a_broken_chapter_is_left_out(installed, value, caplog):
    installed(value)
    assert "mnist" in datasets()
    assert "the chapter theirs is left out" in caplog.text


def test_a_function_that_takes_other_arguments_is_named():
    with pytest.raises(UserError, match=r"^json:dumps is called with \(a, b\), but takes other"):
        call("json:dumps", a=1, b=2)
    assert call("json:dumps", obj=[1]) == "[1]"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my_ode.parts", "'my_ode.parts' in a chapter is no import string: write package.module:"),
        ("json:", "'json:' in a chapter is no import string"),
        ("json:dmps", "'json:dmps' in a chapter names nothing: json has no 'dmps'"),
    ],
)
def test_an_import_string_that_names_nothing_is_quoted(name, said):
    with pytest.raises(UserError, match=f"^{said}"):
        call(name, a=1)
