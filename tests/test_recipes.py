"""The recipes of CONTRIBUTING.md, carried out in a copy of the package."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TABLEAU = """
KUTTA3 = Tableau(
    name="kutta3",
    order=3,
    a=((), (1 / 2,), (-1.0, 2.0)),
    b=(1 / 6, 2 / 3, 1 / 6),
    c=(0.0, 1 / 2, 1.0),
    reference="Kutta 1901",
)

"""
USE = """
import math, torch
from node_experiments.ode import Solver, solve

y0 = torch.ones(1, dtype=torch.double)
for name, order in (("kutta3", 3), ("reversible_kutta3", 3)):
    errors = []
    for n in (20, 40):
        rate = torch.tensor(1.0, dtype=torch.double, requires_grad=True)
        solution = solve(lambda t, y: -rate * y, y0, [0.0, 1.0], Solver(name, num_steps=n),
                         "reversible" if "reversible" in name else "discrete")
        (gradient,) = torch.autograd.grad(solution.ys[-1].sum(), rate)
        errors.append([abs(solution.ys[-1].item() - math.exp(-1)),
                       abs(gradient.item() + math.exp(-1))])
    for coarse, fine in zip(*errors):
        assert order - 0.4 < math.log2(coarse / fine) < order + 1.4, (name, coarse, fine)
print("ok")
"""


def test_a_tableau_is_all_that_a_solver_needs(tmp_path):
    package = tmp_path / "node_experiments"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copytree(ROOT / "node_experiments" / "ode", package / "ode")
    path = package / "ode" / "methods" / "explicit_tableaus.py"
    text = path.read_text()
    assert "ADAPTIVE_HEUN = Tableau(" in text
    text = text.replace("ADAPTIVE_HEUN = Tableau(", f"{TABLEAU}ADAPTIVE_HEUN = Tableau(")
    assert "        RK38,\n" in text
    path.write_text(text.replace("        RK38,\n", "        RK38,\n        KUTTA3,\n"))
    done = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout == "ok\n", done.stderr


DATASET = """
from types import SimpleNamespace

import torch

from ...data.seeded_batches import SeededBatches


def line(settings, seed, device):
    x = torch.linspace(-1, 1, settings.points, device=device).unsqueeze(1)
    pair = x, settings.slope * x
    train = SeededBatches(lambda generator: pair, batches=1, seed=seed)
    return SimpleNamespace(train=train, validation=None, test=[pair], dim=1)
"""
MODEL = """
from torch import nn

from ...nn.mlp import mlp
from ...ode.methods.registry import METHODS


def bent(settings, data, solver, gradient):
    assert solver.method in METHODS
    return mlp([data.dim, settings.hidden, data.dim], "tanh")
"""
TASK = """
class Fit:
    metric, higher_is_better = "mse", False

    def loss(self, model, batch, step):
        return (model(batch[0]) - batch[1]).square().mean(), {}

    def evaluate(self, model, batches):
        loss = float(sum(self.loss(model, batch, 0)[0] for batch in batches))
        return {"loss": loss, "mse": loss}


def fit(settings, data):
    return Fit()
"""
GRADIENT = """
from .backprop import Backprop


class Recorded(Backprop):
    pass
"""
# In chapter.py: what stands there -> what is put before it.
DATASET_ENTRIES = {
    "HERE = ": """
@dataclass
class LineConfig:
    GROUP: ClassVar[str] = "dataset"
    name: str = "line"
    slope: float = 2.0
    points: int = 32


""",
    '        "cubic_spiral": Dataset(':
        '        "line": Dataset(LineConfig, f"{HERE}.line:line", "line"),\n',
}  # fmt: skip
MODEL_ENTRIES = {
    "HERE = ": """
@dataclass
class BentConfig:
    GROUP: ClassVar[str] = "model"
    name: str = "bent"
    hidden: int = 8


""",
    '        "neural_ode": Model(':
        '        "bent": Model(BentConfig, f"{HERE}.bent:bent", {"line": f"{HERE}.fit:fit"}),\n',
}  # fmt: skip
TRAINED = """
import torch
from tests.composed import composed_config
from node_experiments.runner import build

config = composed_config(
    ["dataset=line", "model=bent", "solver=rk4", "solver.num_steps=2", "gradient=recorded"]
)
assert type(build.build_gradient(config.gradient)).__name__ == "Recorded"
device = torch.device("cpu")
data = build.build_data(config, device)
model, task = build.build_model(config, data, device), build.build_task(config, data)
optimizer = build.build_optimizer(config, model)
build.build_figures(config)
before = task.evaluate(model, data.test)["mse"]
for step in range(50):
    optimizer.zero_grad()
    task.loss(model, next(iter(data.train)), step)[0].backward()
    optimizer.step()
assert task.evaluate(model, data.test)["mse"] < before
print("ok", config.name, config.dataset.slope)
"""


def copy_of_package(folder):
    """The code of the package, and its configurations; returns the chapter that will grow."""
    shutil.copytree(
        ROOT / "node_experiments", folder / "node_experiments",
        ignore=lambda _, names: [name for name in names if name.endswith(("_files", ".gz", ".pt"))
                                 or name in ("pretrained", "files", "__pycache__")],
    )  # fmt: skip
    shutil.copytree(ROOT / "configs", folder / "configs")
    return folder / "node_experiments" / "chapters" / "toy"


def contents(package):
    return {path: path.read_text() for path in package.rglob("*.py")}


def touched(package, before):
    return sorted(
        path.name for path, text in contents(package).items() if before.get(path) != text
    )


def insert(path, entries):
    text = path.read_text()
    for place, added in entries.items():
        assert text.count(place) == 1, place
        text = text.replace(place, added + place)
    path.write_text(text)


def test_a_model_a_dataset_and_a_gradient_method_are_two_files_each_and_a_task_one(tmp_path):
    chapter = copy_of_package(tmp_path)
    before = contents(chapter)
    (chapter / "line.py").write_text(DATASET)
    insert(chapter / "chapter.py", DATASET_ENTRIES)
    assert touched(chapter, before) == ["chapter.py", "line.py"]

    before = contents(chapter)
    (chapter / "fit.py").write_text(TASK)
    assert touched(chapter, before) == ["fit.py"]

    before = contents(chapter)
    (chapter / "bent.py").write_text(MODEL)
    insert(chapter / "chapter.py", MODEL_ENTRIES)
    assert touched(chapter, before) == ["bent.py", "chapter.py"]

    gradients = tmp_path / "node_experiments" / "ode" / "gradients"
    before = contents(gradients)
    (gradients / "recorded.py").write_text(GRADIENT)
    insert(
        gradients / "base.py", {'    "reversible": "Reversible",': '    "recorded": "Recorded",\n'}
    )
    (tmp_path / "configs" / "gradient" / "recorded.yaml").write_text("name: recorded\n")
    assert touched(gradients, before) == ["base.py", "recorded.py"]

    done = subprocess.run(
        [sys.executable, "-c", TRAINED],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (tmp_path, ROOT)))},
    )  # fmt: skip
    assert done.stdout == "ok line_bent 2.0\n", done.stderr


# In nn/regularizers.py and config/run.py: what stands there -> what is put before it.
REGULARIZER_ENTRIES = {
    "    order: int = 3\n\n    @property": "    quartic: float = 0.0\n",
    '"taylor")\n        return': '"quartic", ',
    "        return velocity, torch.stack([found": """        if self.regularizer.quartic > 0:
            found["quartic"] = mean_square(velocity.square())
""",
}
WEIGHT_ENTRIES = {"    order: int = 3  # K of taylor": "    quartic: float = 0.0  # of |f|^4\n"}
VARIANT = """
defaults:
  - /settings/dataset/cubic_spiral
window: 5  # choice
batches: 2
"""
EXPERIMENT = """# @package _global_
# node-run experiment=short_demo
# The demo on short windows.
defaults:
  - override /dataset: short_spiral
  - override /model: neural_ode
  - override /solver: euler
  - override /gradient: backprop

name: short_demo
"""
TABLE = """
from ...reports.records import records
from ...reports.table import ReportTable


def windows(runs):
    rows = [[run["name"], int(run["config.dataset.window"])] for run in records(runs)]
    return ReportTable.of("Windows", ["run", "points of a window"], rows)
"""
SHOWN = """
import json
from pathlib import Path

from node_experiments.cli.application import run
from node_experiments.cli.report import main
from node_experiments.tracking.animation import Animation
from node_experiments.tracking.figures import Figures

for drawn in (Figures, Animation):
    drawn.epoch_end = drawn.fit_start = drawn.fit_end = lambda self, trainer: None
small = ["trainer.epochs=1", "model.hidden=4", "solver.num_steps=2", "trainer.progress=false"]
assert run(["experiment=short_demo", "regularizer=quartic", *small]) == 0
(result,) = Path("outputs").rglob("result.json")
found = json.loads(result.read_text())["metrics"]
assert any("quartic" in name and value > 0 for name, value in found.items()), found
main(["windows", "--format", "csv"])
"""


@pytest.mark.thorough
def test_a_regulariser_a_variant_an_experiment_and_a_table(tmp_path):
    chapter = copy_of_package(tmp_path)
    configs = tmp_path / "configs"
    insert(tmp_path / "node_experiments" / "nn" / "regularizers.py", REGULARIZER_ENTRIES)
    insert(tmp_path / "node_experiments" / "config" / "run.py", WEIGHT_ENTRIES)
    (configs / "regularizer" / "quartic.yaml").write_text("quartic: 0.01\n")
    (configs / "dataset" / "short_spiral.yaml").write_text(VARIANT)
    (configs / "experiment" / "short_demo.yaml").write_text(EXPERIMENT)
    (chapter / "windows.py").write_text(TABLE)
    entry = '    tables={"windows": f"{HERE}.windows:windows"},\n'
    insert(chapter / "chapter.py", {"    tasks={\n": entry})
    done = subprocess.run(
        [sys.executable, "-c", SHOWN],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert "short_demo,5\n" in done.stdout, done.stdout + done.stderr
