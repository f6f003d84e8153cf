"""The image experiments on other data, run from the command line on images made here."""

import json
from types import SimpleNamespace

import pytest
import torch

from node_experiments.chapters.image_classification import downloads
from tests.grids import always


@pytest.fixture
def photographs(monkeypatch):
    """CIFAR-10 as torchvision hands it over: channels last, labels in a list."""
    data = torch.randint(0, 256, (64, 32, 32, 3), dtype=torch.uint8).numpy()
    made = SimpleNamespace(data=data, targets=list(range(10)) * 6 + [0, 1, 2, 3])
    monkeypatch.setattr(downloads, "load_cifar10", lambda root: (made, made))


@pytest.mark.parametrize(
    "experiment",
    always(["cifar10_odenet"], ["cifar10_lm_resnet", "cifar10_odenet", "cifar10_resnet"]),
)
def test_photographs(node_run, tiny, photographs, experiment):
    result = node_run(f"experiment={experiment}", *tiny)
    assert result.code == 0, result.err
    (folder,) = result.folders
    assert folder.parent.name == experiment
    found = json.loads((folder / "result.json").read_text())
    assert found["status"] == "completed"


def test_dataset_names_the_run(node_run, tiny, photographs):
    """Another dataset gives the same experiment another name, and so another folder."""
    result = node_run("experiment=mnist_revnet", "dataset=cifar10", *tiny)
    assert result.code == 0, result.err
    assert result.folders[0].parent.name == "cifar10_revnet"


def test_literature_settings_of_cifar10(node_run):
    from hydra import compose, initialize_config_dir

    from node_experiments.cli import application as cli
    from node_experiments.runner.compose import configs_folder, typed_config

    cli.register()
    with initialize_config_dir(str(configs_folder()), version_base="1.3"):
        config = typed_config(
            compose("config", ["experiment=cifar10_lm_resnet", "protocol=paper"])
        )
    data = config.dataset
    assert (data.padding, data.padding_mode, data.flip) == (2, "reflect", True)
    assert (data.standardize, data.batch_size) == (True, 128)
    assert config.model.widths == [16, 32, 64]


def test_shared_weights_from_the_command_line(node_run, tiny):
    result = node_run("experiment=mnist_resnet", "model.shared=true", "model.channels=8", *tiny)
    assert result.code == 0, result.err
    shared = json.loads((result.folders[0] / "result.json").read_text())["parameters"]
    result = node_run("experiment=mnist_resnet_1block", "model.channels=8", *tiny)
    folder = next(path for path in result.folders if "1block" in str(path))
    assert json.loads((folder / "result.json").read_text())["parameters"] == shared
