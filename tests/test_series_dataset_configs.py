"""The datasets of irregular series compose, say all of their settings, and build."""

from dataclasses import fields

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from node_experiments.chapters.irregular_series.dataset_settings import SERIES_DATASETS
from node_experiments.cli import application as cli
from node_experiments.config import (
    ConfigError,
    configs_folder,
    typed_config,
)
from node_experiments.data.scaling import SCALINGS
from node_experiments.runner import build

FOLDER = configs_folder() / "dataset"
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
    assert len(CHOICES) == 6 + 4


@pytest.mark.parametrize("choice", CHOICES)
def test_every_dataset_composes_with_each_of_its_tasks(choice):
    schema = SERIES_DATASETS[choice.removesuffix("_official_code")]
    for task, fraction in zip(schema.TASKS, (0.1, 0.3, 0.5), strict=False):
        config = composed(
            f"dataset={choice}", f"dataset.task={task}", f"dataset.observed_fraction={fraction}"
        ).dataset
        assert isinstance(config, schema)
        assert (config.task, config.observed_fraction) == (task, fraction)
    variant = getattr(composed(f"dataset={choice}").dataset, "variant", "paper")
    assert variant == ("official_code" if choice.endswith("_official_code") else "paper")


@pytest.mark.parametrize("name", SERIES_DATASETS)
def test_files_say_every_setting_and_where_its_number_comes_from(name):
    path = FOLDER / f"{name}.yaml"
    assert set(yaml.safe_load(path.read_text())) == {f.name for f in fields(SERIES_DATASETS[name])}
    for line in path.read_text().splitlines():
        setting, _, comment = line.partition("#")
        if setting.startswith("name:"):
            continue
        if any(c.isdigit() for c in setting.partition(":")[2]):
            assert any(s in comment for s in ("paper", "official_code", "choice")), line


SMALL = ("trainer.device=cpu", "dataset.batch_size=8", "dataset.validation_size=4")


@pytest.mark.parametrize(
    ("choice", "more"),
    [
        ("periodic", ["trajectories=40"]),
        ("periodic_official_code", ["trajectories=40", "task=extrapolation"]),
        ("japanese_vowels", ["dropped=0.5", "train_size=16", "test_size=8"]),
        ("hopper", ["trajectories=20", "task=extrapolation"]),
    ],
)
def test_small_ones_build(choice, more, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = composed(f"dataset={choice}", *SMALL, *(f"dataset.{setting}" for setting in more))
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
def test_values_out_of_range_are_refused(override, message):
    with pytest.raises(ConfigError, match=message):
        composed("dataset=hopper", override)


def test_a_missing_file_is_one_line_on_the_terminal(node_run, tmp_path):
    GlobalHydra.instance().clear()
    result = node_run("dataset=physionet2012", f"dataset.root={tmp_path}", "trainer.threads=1")
    assert result.code == 2
    assert "get it from https://physionet.org/content/challenge-2012/1.0.0/" in result.err
    assert "Traceback" not in result.err
