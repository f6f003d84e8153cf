"""The command line: what works, and one line for what does not."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_type_hints

import pytest
import torch

from node_experiments.chapters.irregular_series.shipped import MimicDemoConfig, PBCSeqConfig
from node_experiments.cli import main as cli
from node_experiments.cli import report
from node_experiments.cli.help import experiment_list
from node_experiments.cli.setting_comments import comments
from node_experiments.cli.streams import BROKEN_PIPE
from node_experiments.config import RunConfig
from node_experiments.data.cache import cache_folder
from node_experiments.ode.compiled import compilation, lowering
from node_experiments.runner.compose import BY_NAME

RUN = "experiment=mnist_odenet"


def one_line(err):
    lines = [line for line in err.splitlines() if line]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    return lines[0]


def test_the_list_is_as_wide_as_the_terminal():
    found = experiment_list("ode", [Path("configs")], 80)
    assert "checkpoint=pretrained:spirals_latent_ode" in found
    assert max(map(len, found.splitlines())) <= 80


def test_help_shows_examples_and_choices_without_torch():
    script = (
        "import sys; sys.argv = ['node-run', '--help']\n"
        "from node_experiments.cli.main import main\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    lines = result.stdout.splitlines()
    assert sum(line.startswith("node-run ") for line in lines[:8]) >= 3
    assert "\nsolver: " in result.stdout
    assert "\nrecipe: bounces, " in result.stdout
    assert "dopri5" in result.stdout
    assert "experiment: " in result.stdout
    assert lines[-1] == "False"


@pytest.mark.parametrize("command", [cli.main, report.main])
def test_a_backend_that_a_notebook_named_is_not_looked_at(monkeypatch, capsys, command):
    monkeypatch.setenv("MPLBACKEND", "nonsense")
    command(["--version"])
    assert os.environ["MPLBACKEND"] == "agg"


def test_help_shows_the_settings_of_what_was_chosen(capsys, monkeypatch):
    arguments = ["-m", "experiment=spirals_latent_ode", "seed=1,2", "trainer.epochs=7", "--help"]
    monkeypatch.setattr(sys, "argv", ["node-run", *arguments])
    assert cli.main(sys.argv[1:]) == 0
    out = capsys.readouterr().out
    assert out.startswith("A latent ODE")
    lines = dict(line.split(maxsplit=1) for line in out.splitlines() if "=" in line[1:])
    assert "model.name=latent_ode" in lines
    assert lines["trainer.epochs=7"] == "passes over the training data"
    assert lines["dataset.batch_size=250"].startswith("choice: windows per batch")


def test_help_knows_the_users_own_experiments(capsys, monkeypatch, tmp_path):
    folder = tmp_path / "experiment"
    folder.mkdir()
    own = "# @package _global_\n# My own experiment.\ntrainer:\n  epochs: 77\n"
    (folder / "my_exp.yaml").write_text(own)
    arguments = ["--config-dir", str(tmp_path), "experiment=my_exp", "--help"]
    monkeypatch.setattr(sys, "argv", ["node-run", *arguments])
    assert cli.main(sys.argv[1:]) == 0
    out = capsys.readouterr().out
    assert out.startswith("My own experiment.")
    assert re.search(r"^trainer\.epochs=77 +passes over the training data$", out, re.MULTILINE)


def test_every_setting_is_explained():
    schemas = [RunConfig, *(hint for hint in get_type_hints(RunConfig).values())]
    schemas += [each.settings for named in BY_NAME.values() for each in named().values()]
    noted = {"places"} | set(BY_NAME)  # by the program, or with settings that are
    for schema in filter(is_dataclass, schemas):
        said = comments(schema)
        for each in fields(schema):
            if not is_dataclass(get_type_hints(schema)[each.name]) and each.name not in noted:
                words = said.get(each.name, "")
                assert words not in ("", "paper", "choice", "official_code"), (schema, each.name)


def test_a_class_that_overrides_a_setting_may_explain_it_again():
    explained = {schema.__name__: comments(schema) for schema in (MimicDemoConfig, PBCSeqConfig)}
    of_stays = explained["MimicDemoConfig"]
    assert of_stays["validation_size"] == "choice: training stays to validate on"
    assert of_stays["split_seed"].startswith("choice: seed that splits")
    # The comment for the formatter, behind the last line of the setting, explains nothing.
    assert explained["PBCSeqConfig"]["value_columns"].startswith("choice: laboratory values")


def test_help_for_a_wrong_choice_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["node-run", "solver=dopri", "--help"])
    assert cli.main(sys.argv[1:]) == 2
    captured = capsys.readouterr()
    assert "solver=dopri is unknown" in one_line(captured.err)
    assert not captured.out


def test_a_reader_that_has_seen_enough_is_no_error():
    command = "import sys; from node_experiments.cli.main import main; sys.exit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", command, "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == BROKEN_PIPE


@pytest.mark.figures
def test_a_run_leaves_everything_behind(node_run, tiny):
    result = node_run(RUN, "solver=dopri5", *tiny)
    assert result.code == 0, result.err
    (folder,) = result.folders
    assert folder.parent.name == "mnist_odenet"
    assert folder.parent.parent.name == "outputs"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert {
        ".hydra/config.yaml",
        "config.yaml",
        "run_info.json",
        "metrics.jsonl",
        "result.json",
        "node-run.log",
        "checkpoints/last.pt",
        "checkpoints/best.pt",
        "figures/training.png",
        "figures/errors.png",
    } <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    content = json.loads((folder / "result.json").read_text())
    assert content["status"] == "completed"
    assert content["choices"]["model"] == "odenet"
    assert content["nfe"]["forward"] > 6
    assert content["nfe"]["backward"] > 6
    assert content["memory"]["saved_bytes"] > 0
    assert content["hardware"]["threads"] == 1
    assert "completed" in result.out
    assert "on 16 images at the best validation epoch (1 of 1)" in result.out


@pytest.mark.parametrize("model", ["resnet", "mlp", "stem_only"])
def test_the_other_experiments_run(node_run, tiny, model):
    result = node_run(f"experiment=mnist_{model}", *tiny)
    assert result.code == 0, result.err
    content = json.loads((result.folders[0] / "result.json").read_text())
    assert content["nfe"] == {"forward": None, "backward": None}


def metrics(folder):
    content = json.loads((folder / "result.json").read_text())
    return content["config_hash"], {
        tag: value
        for tag, value in content["metrics"].items()
        if not tag.startswith(("time/", "memory/"))
    }


def test_runs_are_reproducible(node_run, tiny):
    for seed in (0, 0, 1):
        result = node_run(
            RUN, "model.channels=8", f"seed={seed}", "trainer.deterministic=true", *tiny
        )
        assert result.code == 0, result.err
    first, second, other = map(metrics, result.folders)
    assert first == second
    assert first[0] != other[0]
    assert first[1] != other[1]


def test_bf16_and_clipping_and_adam_train(node_run, tiny):
    result = node_run(
        RUN,
        "model.channels=8",
        "trainer.precision=bf16",
        "trainer.clip_norm=1",
        "optimizer=adam",
        *tiny,
    )
    assert result.code == 0, result.err


@pytest.mark.parametrize("scheduler", ["none", "step", "cosine", "one_cycle"])
def test_every_scheduler_trains(node_run, tiny, scheduler):
    result = node_run("experiment=mnist_mlp", f"scheduler={scheduler}", *tiny)
    assert result.code == 0, result.err


def test_fixed_steps_and_backprop_compose(node_run, tiny):
    result = node_run(RUN, "solver=rk4", "solver.num_steps=2", "gradient=backprop", *tiny)
    assert result.code == 0, result.err
    content = json.loads((result.folders[0] / "result.json").read_text())
    assert content["nfe"] == {"forward": 8, "backward": 0}


def test_sweep_makes_a_folder_for_each_job(node_run, tiny):
    # As few steps as these are too few to solve the state backwards.
    few = ("solver=euler,rk4", "solver.num_steps=2", "gradient=discrete")
    result = node_run(RUN, "model.channels=8", "-m", *few, "seed=0,1", *tiny)
    assert result.code == 0, result.err
    assert len(result.folders) == 4
    assert [folder.name.split("_")[0] for folder in result.folders] == ["0", "1", "2", "3"]
    assert [folder.name.split("_", 1)[1] for folder in result.folders] == [
        "seed=0_solver=euler",
        "seed=1_solver=euler",
        "seed=0_solver=rk4",
        "seed=1_solver=rk4",
    ]


BAD = {
    "experiment": (["experiment=mnist_odnet"], "did you mean mnist_odenet"),
    "dataset": (["dataset=mnst"], "did you mean mnist"),
    "model": (["model=resnett"], "did you mean resnet"),
    "solver": (["solver=dopry5"], "did you mean dopri5"),
    "gradient": (["gradient=adjont"], "did you mean adjoint"),
    "method": (["solver.method=dopri"], "did you mean 'dopri"),
    "key": (["solver.rtoll=1"], "did you mean solver.rtol"),
    "root key": (["sed=1"], "sed is not a setting; did you mean seed"),
    "key of another choice": (
        ["dataset.path=x.csv"],
        "dataset.path is a setting of another dataset; choose that one with dataset=..., or,",
    ),
    "added key": (["+solver.foo=1"], "solver.foo is not a setting"),
    "added group": (["+solvr=dopri5"], "solvr"),
    "type": (["trainer.epochs=1.5"], "trainer.epochs"),
    "text for a number": (["solver.rtol=abc"], "solver.rtol"),
    "no value": (["seed=null"], "seed"),
    "group as value": (["optimizer=7"], "optimizer=7 chooses nothing: choose one of"),
    "tolerance": (["solver.rtol=-1"], "solver.rtol=-1.0 must be"),
    "epochs": (["trainer.epochs=0"], "trainer.epochs=0 must be at least 1"),
    "batch": (["dataset.batch_size=70000"], "more than the"),
    "fixed steps": (["solver=euler"], "solver.num_steps"),
    "reversible": (["solver=kvaerno5", "gradient=reversible"], "reversible"),
    "no Runge-Kutta method": (["solver=scipy_bdf", "gradient=discrete"], "Runge-Kutta methods"),
    "device": (["trainer.device=cuda"], "available: cpu"),
    "unknown device": (["trainer.device=tpu"], "auto, cpu, cuda, mps"),
    "mode": (["mode=test"], "allowed: train, eval"),
    "no checkpoint": (["mode=eval"], "checkpoint="),
    "syntax": (["solver==x"], "="),
    "no group": (["solver=null"], "solver=null chooses nothing"),
    "name outside outputs": (["name=../x"], "name='../x' must be the name of one folder"),
    "no name": (["name="], "must be the name of one folder"),
    "sweep without -m": (["seed=0,1"], "seed"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_line_and_exit_code_2(node_run, arguments, message, tmp_path):
    if arguments == ["trainer.device=cuda"] and torch.cuda.is_available():
        arguments, message = ["trainer.device=mps"], "available: cuda"
    result = (
        node_run(RUN, *arguments) if "experiment" not in arguments[0] else node_run(*arguments)
    )
    assert result.code == 2
    assert message in one_line(result.err)
    assert not list(tmp_path.rglob("*.pt"))
    if arguments != ["dataset.batch_size=70000"]:  # which only the data can tell
        assert not list(tmp_path.rglob("run_info.json")), "no run was started"
        assert not result.folders


def test_a_yaml_file_that_cannot_be_read_is_named_with_its_line(node_run, tmp_path):
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "broken.yaml").write_text("# @package _global_\nname: [unclosed\nseed: 1\n")
    result = node_run("--config-dir", "mine", "experiment=broken")
    assert result.code == 2
    assert re.search(r"broken\.yaml, line \d, is not valid YAML", one_line(result.err))


def test_outputs_that_cannot_be_written(node_run, tmp_path, tiny):
    (tmp_path / "taken").write_text("a file")
    result = node_run(RUN, "outputs=taken", *tiny)
    assert result.code == 2
    assert "set outputs=" in one_line(result.err)


def test_offline_dataset_says_where_to_put_files(node_run, tmp_path, monkeypatch):
    from node_experiments.chapters.image_classification import downloads

    def offline(*args, **kwargs):
        raise RuntimeError("no network")

    monkeypatch.setattr(downloads.datasets.FashionMNIST, "download", offline)
    result = node_run(RUN, "dataset=fashion_mnist", f"dataset.root={tmp_path}/data")
    assert result.code == 2
    assert "could not be downloaded" in one_line(result.err)


def test_damaged_data_is_named(node_run, tmp_path, tiny):
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-labels-idx1-ubyte").write_bytes(b"cut")
    result = node_run(RUN, f"dataset.root={tmp_path}/data", *tiny)
    assert result.code == 2
    assert "train-labels-idx1-ubyte is damaged" in one_line(result.err)
    assert not (tmp_path / "outputs").exists()  # nothing began that could be resumed


def test_a_wrong_evaluation_leaves_nothing(node_run, made_once, tmp_path, tiny):
    """Nor does a start from other weights, which is checked when the model is there."""
    trained = made_once("experiment=mnist_mlp", *tiny)
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    (tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte").write_bytes(b"cut")
    before = sorted((tmp_path / "outputs").rglob("*"))
    for words in (
        ("mode=eval", f"checkpoint={trained}", f"dataset.root={tmp_path}"),
        ("mode=predict", f"checkpoint={trained}", "predict.images=nowhere"),
        ("experiment=mnist_odenet", f"trainer.init_from={trained}", *tiny),
    ):
        result = node_run(*words)
        assert result.code == 2, words
        one_line(result.err)
        assert sorted((tmp_path / "outputs").rglob("*")) == before, words


def test_a_loss_that_becomes_nan_diverges_and_keeps_what_was_good(node_run, tiny):
    result = node_run(
        "experiment=mnist_resnet", "optimizer.lr=1e30", "scheduler=none", *tiny, "trainer.epochs=3"
    )
    assert result.code == 1
    assert "lower optimizer.lr" in one_line(result.err)
    content = json.loads((result.folders[0] / "result.json").read_text())
    assert content["status"] == "diverged"
    assert "loss became nan" in content["reason"]


def test_a_solve_that_fails_speaks_for_itself(node_run, tiny):
    result = node_run(RUN, "solver.max_steps=2", *tiny)
    assert result.code == 1
    assert "max_steps" in one_line(result.err)
    result = node_run(RUN, "solver.min_step=0.9", *tiny)
    assert result.code == 1
    assert "step size became too small" in one_line(result.err)


# Of few operations, for the compiler takes a second for each.
COMPILED = (
    "experiment=ode_demo", "protocol=smoke", "gradient=backprop", "trainer.compile=true",
    "trainer.threads=1", "trainer.epochs=1", "solver=euler", "solver.num_steps=1",
)  # fmt: skip


# The pictures are of other solves, each of which would be compiled.
WITHOUT_PICTURES = """
import os
from node_experiments.tracking.animation import Animation, Film
for drawn in (Animation, Film):
    for event in {{"fit_start", "epoch_end", "fit_end"}} & set(vars(drawn)):
        setattr(drawn, event, lambda self, trainer: None)
os.environ.pop("TORCHINDUCTOR_CACHE_DIR", None)
os.environ.update({environment})
"""


@pytest.mark.thorough
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler to compile with")
def test_whole_steps_are_compiled_by_the_real_compiler(tmp_path, fork_server):
    """In a separate process, for what is compiled is kept where torch is first asked to."""
    environment = {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "CXX": "g++",
    }
    before = WITHOUT_PICTURES.format(environment=environment)
    run = fork_server.start(*COMPILED, folder=tmp_path, before=before)
    assert run.wait() == 0, run.output.read_text()
    assert "trainer.compile=true is ignored" not in run.output.read_text()
    (result,) = tmp_path.glob("outputs/*/*/result.json")
    metrics = json.loads(result.read_text())["metrics"]
    assert metrics["time/first_step_seconds"] > 0
    assert any((tmp_path / "cache" / "node_experiments" / "compiled").rglob("*.so"))


def test_whole_steps_are_compiled(node_run, monkeypatch):
    """They are given to the compiler, whose results are kept in the cache of this package."""
    compiled = []

    def lower(function, examples):
        def call(inputs):
            compiled.append(function)
            with torch.no_grad():
                return function(*inputs)

        return call

    monkeypatch.setattr(compilation, "lowering", lambda device: lower)
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    run = node_run(*COMPILED)
    assert run.code == 0, run.err
    assert "is ignored" not in run.out + run.err
    assert len(compiled) > 4
    kept = os.environ.pop("TORCHINDUCTOR_CACHE_DIR")
    assert kept == str(cache_folder() / "compiled")


def test_without_a_compiler_a_warning_says_so_and_nothing_is_compiled(node_run, monkeypatch):
    def broken(*given):
        raise RuntimeError("no working C++ compiler found in ('nowhere',)")

    monkeypatch.setattr(lowering, "check_lowering", broken)
    lowering.lowering.cache_clear()
    run = node_run(*COMPILED)
    lowering.lowering.cache_clear()
    assert run.code == 0, run.err
    (warned,) = [line for line in (run.out + run.err).splitlines() if "is ignored" in line]
    assert "trainer.compile=true is ignored: torch.compile does not work on cpu here" in warned
    assert "nowhere" in warned


def test_flows_are_compiled_in_whole_steps_or_not_at_all(node_run):
    run = node_run("experiment=two_moons_planar_cnf", "solver=trbdf2", "trainer.compile=true")
    assert run.code == 2
    assert "use an explicit Runge-Kutta method" in one_line(run.err)
