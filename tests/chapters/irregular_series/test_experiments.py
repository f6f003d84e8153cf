"""Runs of the experiments on series: what they leave behind, and what they reject."""

import json

import pytest
from PIL import Image

figures = pytest.mark.figures  # of each kind once

TINY = (
    "protocol=smoke",
    "trainer.threads=1",
    "dataset.train_size=16",
    "dataset.validation_size=8",
    "dataset.test_size=8",
    "dataset.batch_size=8",
)


def read(result):
    assert result.code == 0, result.err
    (folder,) = result.folders
    content = json.loads((folder / "result.json").read_text())
    names = {path.name for path in folder.glob("figures/*") if path.is_file()}
    return folder, content, names


@figures
def test_latent_ode_writes_its_figures_and_an_animation(node_run):
    """Also of series of which every point is observed."""
    folder, content, names = read(
        node_run("experiment=spirals_latent_ode", "dataset.observations=100", *TINY)
    )
    figures = {"figure6.png", "figure8.png", "figure9.png", "figure10.png", "training.png"}
    assert names == figures | {"training.gif"}
    assert {"rmse/test", "rmse_noisy/test", "coverage_90/test"} <= set(content["best"])
    assert content["nfe"]["forward"] > 6
    with Image.open(folder / "figures" / "training.gif") as animation:
        assert animation.n_frames == 3  # before training, and after each of two epochs


@pytest.mark.parametrize("model", ["rnn", pytest.param("rnn_dt", marks=figures)])
def test_recurrent_baselines_run(node_run, model):
    _, content, names = read(node_run(f"experiment=spirals_{model}", *TINY))
    assert names == ({"figure8.png", "training.png"} if model == "rnn_dt" else set())
    assert {"rmse_target/test", "rmse_mean_gap/test"} <= set(content["best"])


@figures
def test_poisson_process_runs(node_run):
    _, content, names = read(node_run("experiment=poisson_latent_ode", *TINY))
    assert names == {"figure7.png", "training.png"}
    assert content["metrics"]["held_out_nll_true/test"] < 0


@pytest.mark.parametrize(
    ("experiment", "metric", "overrides"),
    [
        pytest.param("periodic_rnn_dt", "mse", ["dataset.task=extrapolation"], marks=figures),
        ("periodic_rnn_vae", "mse_samples", ["model.variant=official_bug"]),
        pytest.param(
            "periodic_latent_ode",
            "mse_samples",
            ["solver=rk4", "solver.num_steps=8"],
            marks=pytest.mark.thorough,
        ),
        ("japanese_vowels_ode_rnn", "accuracy", ["model.batching=union", "gradient=adjoint"]),
        pytest.param(
            "japanese_vowels_latent_ode",
            "accuracy",
            ["dataset.dropped=0.5", "model.encoder=rnn"],
            marks=[figures, pytest.mark.thorough],
        ),
        pytest.param(
            "periodic_latent_ode",
            "mse",
            ["model=latent_ode_poisson", "solver=rk4", "solver.num_steps=4"],
            marks=pytest.mark.thorough,
        ),
        ("japanese_vowels_gru_d", "mse", ["dataset.task=interpolation", "model=rnn_impute"]),
    ],
)
def test_models_of_irregular_series_run(node_run, request, experiment, metric, overrides):
    _, content, names = read(
        node_run(f"experiment={experiment}", *overrides, *TINY, "trainer.epochs=1")
    )
    if request.node.get_closest_marker("figures"):
        more = {"features.png"} if "vowels" in experiment else set()
        assert names == {"reconstruction.png", "training.png"} | more
    assert f"{metric}/test" in content["metrics"]
    assert (content["nfe"]["forward"] is None) == ("rnn_" in content["choices"]["model"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["experiment=spirals_rnn", "model=gru_d"], "datasets for gru_d: periodic, hopper"),
        (
            ["experiment=periodic_ode_rnn", "model.variant=official_bug", "model.batching=union"],
            "official_bug needs ode_rnn or rnn_vae with batching=independent",
        ),
        (["experiment=periodic_ode_rnn", "model.batching=joint"], "independent or union"),
        (["experiment=periodic_latent_ode", "model.encoder=gru"], "ode_rnn or rnn"),
    ],
)
def test_models_of_irregular_series_say_what_is_wrong(node_run, overrides, message):
    result = node_run(*overrides, "protocol=smoke")
    assert result.code == 2
    assert message in result.err


@figures
def test_demonstration_runs(node_run):
    _, content, names = read(
        node_run("experiment=ode_demo", "protocol=smoke", "trainer.threads=1")
    )
    assert names == {"trajectory.png", "training.png", "training.gif"}
    assert content["parameters"] == 252


def test_the_official_variant_runs(node_run):
    arguments = ("dataset=spirals_official_code", "model=latent_ode_official_code")
    _, content, _ = read(node_run("experiment=spirals_latent_ode", *arguments, *TINY))
    assert content["parameters"] == 1654 + 25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dataset.observations=101"], "more than the dataset.window=100 points"),
        (["dataset.observations=0"], "dataset.observations=0 must be at least 1"),
        (["dataset.variant=mine"], "paper or official_code"),
        (["dataset.noise=-1"], "dataset.noise=-1.0 must be"),
        (["dataset.last_start=50"], "above first_start"),
        (["model.noise_std=0"], "a number > 0, or null"),
        (["model.activation=swish"], "tanh, elu"),
        (["model=rnn", "model.rollout=all"], "mean_gap or target"),
    ],
)
def test_bad_input(node_run, arguments, message):
    result = node_run("experiment=spirals_latent_ode", *TINY, *arguments)
    assert result.code == 2
    (line,) = [line for line in result.err.splitlines() if line]
    assert message in line
