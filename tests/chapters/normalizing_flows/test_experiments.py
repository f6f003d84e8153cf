"""Runs of normalizing flows: what they leave behind, and what they reject."""

import json

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image

from node_experiments.chapters.normalizing_flows import figures as flow_figures
from node_experiments.chapters.normalizing_flows.chapter import POINT_SETS
from node_experiments.cli import application as cli
from node_experiments.runner import build
from node_experiments.runner.compose import configs_folder, typed_config
from tests.grids import by_turns

TINY = ("protocol=smoke", "trainer.threads=1")


def read(result):
    assert result.code == 0, result.err
    (folder,) = result.folders
    content = json.loads((folder / "result.json").read_text())
    return (
        folder,
        content,
        {path.name for path in folder.glob("figures/*") if path.is_file()},
    )


@pytest.mark.figures
def test_density_matching_keeps_its_panels_and_a_film(node_run, monkeypatch):
    monkeypatch.setattr(flow_figures, "FRAMES", 5)
    arguments = ("model.units=2", "dataset.energy=u3", "gradient=discrete")
    folder, content, names = read(node_run("experiment=energies_planar_cnf", *TINY, *arguments))
    assert names == {"training.png", "flow.png", "flow.gif"}
    metrics = content["metrics"]
    assert metrics["kl/test"] == metrics["loss/test"] > 0
    assert metrics["kl_se/test"] > 0
    assert 0 < metrics["effective_samples/test"] <= 1
    assert metrics["normalization/test"] == pytest.approx(1, abs=0.01)
    assert content["metric"] == "kl"
    assert content["nfe"]["forward"] > 6
    with np.load(folder / "panels.npz") as panels:
        assert panels["densities"].shape == (6, 100, 100)
        assert panels["densities"].max() == 255
        assert panels["samples"].shape == (6, 1000, 2)
        assert panels["target"].shape == (100, 100)
    with Image.open(folder / "figures" / "flow.gif") as film:
        assert film.n_frames == 5


@pytest.mark.figures
def test_maximum_likelihood_with_planar_layers(node_run):
    folder, content, names = read(node_run("experiment=two_moons_planar_nf", *TINY))
    assert names == {"training.png", "flow.png"}
    metrics = content["metrics"]
    assert metrics["log_likelihood/test"] == -metrics["loss/test"]
    assert metrics["log_likelihood/test"] < metrics["log_likelihood_true/test"]
    assert metrics["normalization/test"] == pytest.approx(1, abs=0.01)
    assert content["parameters"] == 64 * 5
    assert "test" in np.load(folder / "panels.npz").files


@pytest.mark.parametrize(
    ("dataset", "model"),
    by_turns(["energies", *POINT_SETS], ["planar_cnf", "ffjord", "hamiltonian_cnf", "planar_nf"]),
)
def test_every_flow_fits_every_density(model, dataset):
    cli.register()
    chosen = ["experiment=two_moons_planar_cnf", f"dataset={dataset}", f"model={model}"]
    small = ["protocol=smoke", "dataset.batch_size=8", "dataset.test_size=8"]
    with initialize_config_dir(str(configs_folder()), version_base="1.3"):
        config = typed_config(compose("config", [*chosen, *small]))
    device = torch.device("cpu")
    data = build.build_data(config, device)
    loss, _ = build.build_task(config, data).loss(
        build.build_model(config, data, device), next(iter(data.train)), 0
    )
    assert loss.isfinite()
    assert loss.requires_grad


def test_the_official_variant_runs(node_run):
    arguments = (
        "dataset=two_circles_official_code",
        "model=planar_cnf_official_code",
        "trainer.limit_batches=1",
        "gradient=adjoint",
    )
    _, content, _ = read(node_run("experiment=two_circles_planar_cnf", *TINY, *arguments))
    assert content["parameters"] == 15_904


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["experiment=mnist_mlp", "model=planar_cnf"], "does not fit dataset.name='mnist'"),
        (["experiment=energies_planar_cnf", "dataset.energy=u5"], "u1, u2, u3 or u4"),
        (["experiment=two_moons_planar_cnf", "model.variant=mine"], "paper or official_code"),
        (["experiment=two_moons_planar_cnf", "model.horizon=0"], "model.horizon=0.0 must be"),
        (["experiment=8gaussians_ffjord", "model.trace=exakt"], "exact or hutchinson"),
        (["experiment=two_moons_planar_nf", "model.units=0"], "model.units=0 must be at least 1"),
        (["experiment=two_moons_planar_nf", "dataset.noise=-1"], "dataset.noise=-1.0 must be"),
        (["experiment=two_moons_planar_nf", "dataset.name=moons"], "two_moons"),
    ],
)
def test_bad_input(node_run, arguments, message):
    result = node_run(*arguments, *TINY)
    assert result.code == 2
    (line,) = [line for line in result.err.splitlines() if line]
    assert message in line
