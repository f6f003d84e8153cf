"""The datasets of irregular series compose, say all of their settings, and build."""

import inspect
import re

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from node_experiments.chapters import datasets, models
from node_experiments.chapters.irregular_series.chapter import CHAPTER
from node_experiments.cli import application as cli
from node_experiments.config import ConfigError
from node_experiments.data.scaling import SCALINGS
from node_experiments.runner import build
from node_experiments.runner.compose import configs_folder, typed_config
from tests.grids import by_turns

CONFIGS = configs_folder()
FOLDER = CONFIGS / "dataset"
SERIES_DATASETS = {
    name: dataset.settings
    for name, dataset in CHAPTER.datasets.items()
    if dataset.kind == "irregular_series"
}
VARIANTS = [f"{name}_official_code" for name in SERIES_DATASETS]
CHOICES = [*SERIES_DATASETS, *(name for name in VARIANTS if (FOLDER / f"{name}.yaml").exists())]


@pytest.fixture(autouse=True)
def _hydra():
    cli.register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(configs_folder()), version_base="1.3"):
        yield


def composed(*overrides):
    return typed_config(compose("config", list(overrides)))


def test_four_of_them_can_be_read_as_the_official_code_does():
    assert len(CHOICES) == len(SERIES_DATASETS) + 4


@pytest.mark.parametrize(("choice", "turn"), by_turns(CHOICES, range(3)))
def test_every_dataset_composes_with_each_of_its_tasks(choice, turn):
    schema = SERIES_DATASETS[choice.removesuffix("_official_code")]
    task = schema.TASKS[turn % len(schema.TASKS)]
    # A forecast of a storm starts at its last fix, so that all are seen.
    fraction = 1.0 if choice == "storms" else (0.1, 0.3, 0.5)[turn]
    config = composed(
        f"dataset={choice}",
        "model=ode_rnn",
        f"dataset.task={task}",
        f"dataset.observed_fraction={fraction}",
    ).dataset
    assert isinstance(config, schema)
    assert (config.task, config.observed_fraction) == (task, fraction)
    variant = getattr(config, "variant", "paper")
    assert variant == ("official_code" if choice.endswith("_official_code") else "paper")


FILES = sorted(path for group in ("dataset", "model") for path in (CONFIGS / group).glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_state_only_what_differs(path):
    """Every other default is that of the settings dataclass, where it is written once."""
    content = yaml.safe_load(path.read_text())
    (base,) = content.pop("defaults")
    group, base = path.parent.name, base.rpartition("/")[2]
    entries = {"dataset": datasets(), "model": models()}
    after = getattr(composed(*fitting(group, path.stem)), group)
    default = entries[group][base].settings(name=base)
    assert content
    for key, value in content.items():
        assert getattr(after, key) == value
        assert getattr(default, key) != value, key


def fitting(group, choice):
    """Overrides that choose it, with a dataset or a model that it fits; the rest by no recipe."""
    name = choice.removesuffix("_official_code")
    kinds = {name: {entry.kind} for name, entry in datasets().items()}
    kinds_of_models = {name: set(entry.tasks) for name, entry in models().items()}
    own, other = (kinds, kinds_of_models) if group == "dataset" else (kinds_of_models, kinds)
    partner = next(each for each, fits in other.items() if fits & own[name])
    return (f"{group}={choice}", f"{'model' if group == 'dataset' else 'dataset'}={partner}")


@pytest.mark.parametrize("entry", [*datasets().values(), *models().values()])
def test_every_number_of_a_settings_dataclass_names_its_source(entry):
    lines = inspect.getsource(entry.settings).partition("def __post_init__")[0].splitlines()
    for line in lines:
        setting, _, comment = line.partition("#")
        if re.fullmatch(
            r"    \w+: (int|float)[ |\w]* = [\d._e/ ]*[1-9][\d._e/ ]*", setting.rstrip()
        ):
            assert any(s in comment for s in ("paper", "official_code", "choice")), line


SMALL = ("trainer.device=cpu", "dataset.batch_size=8", "dataset.validation_size=4")


@pytest.mark.parametrize(
    ("choice", "more"),
    [
        ("periodic", ["trajectories=40", "train_size=null", "test_size=null"]),
        (
            "periodic_official_code",
            ["trajectories=40", "task=extrapolation", "train_size=null", "test_size=null"],
        ),
        ("japanese_vowels", ["dropped=0.5", "train_size=16", "test_size=8"]),
        ("hopper", ["trajectories=20", "task=extrapolation"]),
    ],
)
def test_small_ones_build(choice, more, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = composed(
        f"dataset={choice}", "model=ode_rnn", *SMALL, *(f"dataset.{setting}" for setting in more)
    )
    data = build.build_data(config, torch.device("cpu"))
    for batches in (data.train, data.validation, data.test):
        batch = next(iter(batches))
        assert batch.target.values.shape[-1] == data.dim
        assert len(batch) == len(batch.target) == len(batch.observed)
    assert data.task == config.dataset.task
    assert data.span[0] < data.span[1]
    assert 0 < data.mean_gap < data.span[1]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dataset.task=classification", "must be interpolation or extrapolation"),
        ("dataset.observed_fraction=0", "above 0, at most 1"),
        ("dataset.observed_fraction=1.5", "above 0, at most 1"),
        ("dataset.extrapolate_from=1", "between 0 and 1"),
        ("dataset.observed_points=0", "at least 1, or null"),
        ("dataset.window=300", "from 2 to 200"),
        ("dataset.scaling=max", ", ".join(SCALINGS)),
        ("dataset.variant=mine", "paper or official_code"),
        ("dataset.trajectories=1", "at least 2"),
    ],
)
def test_values_out_of_range_are_rejected(override, message):
    with pytest.raises(ConfigError, match=message):
        composed("dataset=hopper", "model=ode_rnn", override)


def test_a_missing_file_is_one_line_on_the_terminal(node_run, tmp_path):
    GlobalHydra.instance().clear()
    result = node_run(
        "dataset=physionet2012", "model=ode_rnn", f"dataset.root={tmp_path}", "trainer.threads=1"
    )
    assert result.code == 2
    assert "get it from https://physionet.org/content/challenge-2012/1.0.0/" in result.err
    assert "Traceback" not in result.err
