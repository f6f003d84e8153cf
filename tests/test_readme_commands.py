"""The commands of the README do what they say."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
SECTIONS = ("Resume", "Sweeps", "Clusters", "Reports")

# What a command needs that may not be there; SLURM and Ray need a cluster, and are composed only.
NEEDS = {
    "hydra/launcher=local_parallel": "hydra_plugins.hydra_joblib_launcher",
    "hydra/launcher=slurm": "hydra_plugins.hydra_submitit_launcher",
    "hydra/launcher=ray_cluster": "hydra_plugins.hydra_ray_launcher",
    "hydra/sweeper=optuna_study": "hydra_plugins.hydra_optuna_sweeper",
}
COMPOSED_ONLY = ("hydra/launcher=slurm", "hydra/launcher=ray_cluster")
SMALL = ("model.hidden=4", "dataset.train_size=64", "dataset.eval_batch_size=64")


def commands(section):
    """Lines of the section's code blocks."""
    found = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", README.read_text(), re.M | re.S)
    blocks = re.findall(r"^```\w*\n(.*?)^```", found[1], re.M | re.S) if found else []
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def there(section):
    if not commands(section):
        pytest.skip(f"the README has no section {section} yet")


def installed(module):
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.filterwarnings("ignore")  # of Optuna's dependencies
@pytest.mark.parametrize("section", ["Resume", "Sweeps", "Clusters"])
def test_commands_run(node_run, section):
    there(section)
    for line in commands(section):
        program, *arguments = shlex.split(line)
        if program == "torchrun":
            continue  # in tests/training/test_distributed.py
        assert program == "node-run"
        needed = [module for choice, module in NEEDS.items() if choice in arguments]
        if not all(map(installed, needed)):
            continue
        if set(COMPOSED_ONLY) & set(arguments):
            compose(arguments)
            continue
        if "experiment=mnist_mlp" in arguments and "resume=" not in line:
            arguments += SMALL
        result = node_run(*arguments)
        assert result.code == 0, (line, result.err)


def compose(arguments):
    """Compose what the command's jobs and its launcher would be."""
    from hydra import compose, initialize_config_dir

    from node_experiments import cli
    from node_experiments.config import configs_folder

    cli.register()
    given = [
        argument.replace("seed=0,1,2", "seed=0") for argument in arguments if argument != "-m"
    ]
    with initialize_config_dir(str(configs_folder()), version_base="1.3"):
        composed = compose("config", given, return_hydra_config=True)
    assert composed.hydra.launcher._target_


def test_reports_run(node_run, capsys):
    there("Reports")
    from node_experiments.reports.cli import main

    result = node_run("experiment=mnist_mlp", "protocol=smoke", *SMALL)
    assert result.code == 0, result.err
    for line in commands("Reports"):
        program, *arguments = shlex.split(line)
        assert program == "node-report"
        assert main(arguments) == 0, (line, capsys.readouterr().err)
    assert (Path.cwd() / "report.html").is_file()
