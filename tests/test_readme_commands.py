"""The commands of the documents do what they say."""

import os
import re
import runpy
import shlex
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

ROOT = Path(__file__).parent.parent
CONFIGS = ROOT / "configs" / "README.md"
README = (ROOT / "README.md").read_text()
TUTORIALS = sorted((ROOT / "scripts" / "tutorials").glob("*.py"))

# What a command needs that may not be there.
NEEDS = {
    "hydra/launcher=local_parallel": "hydra_plugins.hydra_joblib_launcher",
    "hydra/launcher=slurm": "hydra_plugins.hydra_submitit_launcher",
    "hydra/launcher=ray_cluster": "hydra_plugins.hydra_ray_launcher",
    "hydra/sweeper=optuna_study": "hydra_plugins.hydra_optuna_sweeper",
}
SMALL = (
    *("model.hidden=4", "dataset.train_size=64", "dataset.eval_batch_size=64"),
    *("dataset.validation_size=64", "dataset.test_size=64"),
)


def commands(section):
    """Lines of the section's code blocks."""
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", CONFIGS.read_text(), re.M | re.S)
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def installed(module):
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def starts_processes(arguments):
    """Whether a command needs more than this process, as those of other tests do."""
    return "-m node_experiments" in " ".join(arguments) or any(
        word.startswith(("hydra/launcher=", "trainer.devices=")) for word in arguments
    )


@pytest.mark.parametrize("section", ["Sweeps", "Clusters"])
def test_commands_compose(section):
    """What they do is looked at by tests of sweeps and launchers, of the very same choices."""
    for line in commands(section):
        _, *arguments = shlex.split(line)
        needed = [module for choice, module in NEEDS.items() if choice in arguments]
        if all(map(installed, needed)):
            compose(word for word in arguments if "=" in word and not word.startswith("--"))


@pytest.mark.filterwarnings("ignore")  # of Optuna's dependencies
@pytest.mark.parametrize("section", ["Resume", pytest.param("Sweeps", marks=pytest.mark.thorough)])
def test_commands_run(node_run, section):
    for line in commands(section):
        program, *arguments = shlex.split(line)
        needed = [module for choice, module in NEEDS.items() if choice in arguments]
        if starts_processes(arguments) or not all(map(installed, needed)):
            continue
        if "experiment=mnist_mlp" in arguments and "resume=" not in line:
            arguments += SMALL
        assert program == "node-run"
        result = node_run(*arguments)
        assert result.code == 0, (line, result.err)


@pytest.mark.thorough
@pytest.mark.parametrize("section", ["Sweeps", "Clusters"])
def test_commands_that_start_processes_run(node_run, tiny, section):
    for line in commands(section):
        program, *arguments = shlex.split(line)
        needed = [module for choice, module in NEEDS.items() if choice in arguments]
        slurm = "hydra/launcher=slurm" in arguments
        if slurm or not starts_processes(arguments) or not all(map(installed, needed)):
            continue
        if "experiment=mnist_mlp" in arguments:
            arguments += SMALL
        if "hydra/launcher=ray_cluster" in arguments:
            with ray_cluster() as environment:
                run(program, *arguments, *tiny, "model.channels=4", **environment)
        else:
            run(program, *arguments)


def script(name):
    """A command of this environment."""
    return str(Path(sys.executable).with_name(name))


def run(program, *arguments, **environment):
    """Run a command that is more than this process."""
    result = subprocess.run(
        [script(program), *arguments], capture_output=True, text=True, timeout=300,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert result.returncode == 0, (program, arguments, result.stderr)


@contextmanager
def ray_cluster():
    """The environment in which commands find a Ray cluster, which nobody else finds."""
    environment = {"RAY_AUTH_MODE": "disabled"}
    with TemporaryDirectory(prefix="ray") as folder:  # sockets lie there: its path must be short
        cluster = subprocess.Popen(
            [
                script("ray"), "start", "--head", "--block", "--port=0", "--num-cpus=2",
                "--include-dashboard=false", "--disable-usage-stats", f"--temp-dir={folder}",
            ],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, **environment},
        )  # fmt: skip
        try:
            addresses = (re.search(r"--address='(.*)'", line) for line in cluster.stdout)
            yield {**environment, "RAY_ADDRESS": next(filter(None, addresses))[1]}
        finally:
            cluster.terminate()
            cluster.communicate()


def compose(arguments):
    """Compose what the command's jobs and its launcher would be."""
    from hydra import compose, initialize_config_dir

    from node_experiments.cli import application as cli
    from node_experiments.runner.compose import configs_folder

    cli.register()
    # Of lists their first values; distributions are for the sweeper alone.
    given = [word.partition(",")[0] for word in arguments if "interval(" not in word]
    with initialize_config_dir(str(configs_folder()), version_base="1.3"):
        composed = compose("config", given, return_hydra_config=True)
    assert composed.hydra.launcher._target_


def test_reports_run(node_run, capsys):
    from node_experiments.cli.report import main

    _, *sweep = shlex.split(commands("Sweeps")[0])
    result = node_run(*sweep, *SMALL)
    assert result.code == 0, result.err
    (Path.cwd() / "outputs" / "reference").mkdir()  # as in a clone
    for line in commands("Reports"):
        if not line.startswith("node-report"):
            continue  # Python
        _, *arguments = shlex.split(line)
        assert main(arguments) == 0, (line, capsys.readouterr().err)
    assert (Path.cwd() / "report.html").is_file()


# Commands of the front page that are composed only: they need data that do not ship, or days.
COMPOSED = ("protocol=paper", "dataset=fashion_mnist", "experiment=cifar10_lm_resnet")


def front_page():
    """The commands of the indented blocks, without their comments, in order."""
    return [
        shlex.split(line, comments=True)
        for line in re.findall(r"^    (node-run .*)$", README, re.MULTILINE)
    ]


def test_the_front_page_runs(node_run, tiny):
    """In its order and in one folder; what takes longer, by the smoke protocol and few images."""
    assert len(front_page()) > 10
    for _, *arguments in front_page():
        arguments, file = (
            (arguments[:-2], Path(arguments[-1]))
            if arguments[-2:-1] == [">"]
            else (arguments, None)
        )
        if any(argument in COMPOSED for argument in arguments):
            arguments += ["--cfg", "job"]
        elif "experiment=mnist_odenet" in arguments:
            fewer = ("seed=", "solver=", "solver.num_steps=")  # of each list its first value
            arguments = [
                argument.split(",")[0] if argument.startswith(fewer) else argument
                for argument in arguments
            ]
            arguments += [*tiny, "model.channels=4", "trainer.epochs=1"]
        elif "mode=eval" in arguments:
            arguments += ["dataset.test_size=16"]
        elif any(argument.startswith("experiment=") for argument in arguments):
            arguments += ["protocol=smoke", "trainer.threads=1"]
        result = node_run(*arguments)
        assert result.code == 0, (arguments, result.err)
        if file:
            file.write_text(result.out)
    assert Path("forecasts.csv").read_text().startswith("series,time,hr,hr_q05,hr_q95")


def results():
    """The command of each row of the results at a glance, and the experiments of the gallery."""
    (glance,) = re.findall(r"<!-- front: glance -->(.*?)<!-- /front -->", README, re.DOTALL)
    (gallery,) = re.findall(r"<!-- front: gallery -->(.*?)<!-- /front -->", README, re.DOTALL)
    commands = re.findall(r"`(node-\w+ [^`]*)`", glance)
    commands += [f"node-run experiment={name}" for name in re.findall(r"`(\w+)`", gallery)]
    return sorted(set(commands))


@pytest.mark.parametrize("command", results())
def test_the_commands_of_results_work(node_run, monkeypatch, command):
    from node_experiments.cli.report import main

    program, *arguments = shlex.split(command)
    if program == "node-run" and len(arguments) == 1 and arguments[0].startswith("experiment="):
        # That each experiment composes is shown where all are composed.
        assert (ROOT / "configs" / "experiment" / f"{arguments[0][11:]}.yaml").is_file()
        return
    if program == "node-run":
        result = node_run(*arguments, "protocol=smoke", "--cfg", "job")
        assert result.code == 0, result.err
        return
    monkeypatch.chdir(ROOT)
    assert main(arguments) == 0


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_tutorials_run(tutorial, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for the command that one of them runs
    runpy.run_path(str(tutorial))
