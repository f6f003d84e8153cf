"""The tables of irregular series from run folders."""

import pytest

from node_experiments.chapters.irregular_series.physionet_tables import PHYSIONET_TABLES
from node_experiments.chapters.irregular_series.tables import IRREGULAR_TABLES
from node_experiments.cli.report import main
from tests.written import markdown, write_run


def write(folder, number, model, metrics, dataset, status="completed", mode="train", **settings):
    """A run; `seed`, `trainer` and `best_by` are not of its model."""
    seed, trainer, best_by = (settings.pop(name, None) for name in ("seed", "trainer", "best_by"))
    config = {
        "dataset": {"batch_size": 50, **dataset},
        "model": {"name": model, "variant": "fixed", **settings},
        **({} if seed is None else {"seed": seed}),
        **({} if trainer is None else {"trainer": trainer}),
    }
    seconds = {"total": 10.0, "per_step": 0.1}
    result = {"status": status, "mode": mode, "seconds": seconds, "nfe": {"forward": 40.0}}
    write_run(folder / str(number), config, metrics, best_by, **result)


def test_table3(tmp_path, capsys):
    hopper = {"name": "hopper", "task": "interpolation", "observed_fraction": 0.1}
    write(tmp_path, 0, "irregular_latent_ode", {"mse": 0.003}, hopper, encoder="ode_rnn")
    write(tmp_path, 1, "irregular_latent_ode", {"mse": 0.005}, hopper, encoder="ode_rnn")
    write(tmp_path, 2, "irregular_latent_ode", {"mse": 0.02}, hopper, encoder="rnn")
    write(tmp_path, 3, "rnn_vae", {"mse": 0.07}, hopper, **{"variant": "official_bug"})
    write(tmp_path, 4, "gru_d", {"mse": 0.07}, hopper, status="failed")
    write(tmp_path, 5, "ode_rnn", {"mse": 0.07}, hopper | {"task": "extrapolation"})
    assert main(["--outputs", str(tmp_path), "table", "table3", "--format", "md"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "| published: latent ODE (ODE encoder) | 0.360 | 0.295 | 0.300 | 0.285 |" in lines
    assert "| latent ODE (ODE encoder) | 0.400 ± 0.141 (2) | - | - | - |" in lines
    assert "| latent ODE (RNN encoder) | 2.000 (1) | - | - | - |" in lines
    assert "| latent ODE (RNN encoder) | 2.00 (40) | - | - | - |" in lines
    for model in ("RNN-VAE", "GRU-D", "ODE-RNN"):
        assert f"| {model} | - | - | - | - |" in lines
    assert "Our protocol: quick." in lines[0]


def test_models_are_ordered_as_published_and_as_found(tmp_path):
    for share, latent in ((0.1, 0.001), (0.5, 0.03)):
        hopper = {"name": "hopper", "task": "interpolation", "observed_fraction": share}
        # The draws of z0 count where there are some.
        metrics = {"mse": 0.9, "mse_samples": latent}
        write(tmp_path, f"a{share}", "irregular_latent_ode", metrics, hopper)
        write(tmp_path, f"b{share}", "ode_rnn", {"mse": 0.02}, hopper)
    text = markdown(IRREGULAR_TABLES["table3"], tmp_path)
    order = "from the lowest median error to the highest: "
    published = "published: latent ODE (ODE encoder) < ODE-RNN. That order: not decided by these"
    assert f"- 10% observed, {order}latent ODE (ODE encoder), ODE-RNN; {published}" in text
    assert f"- 50% observed, {order}ODE-RNN, latent ODE (ODE encoder); {published}" in text


def test_an_order_over_seeds_holds_where_a_test_shows_it(tmp_path):
    hopper = {"name": "hopper", "task": "interpolation", "observed_fraction": 0.1}
    for seed in range(4):
        for model, error in (("irregular_latent_ode", 0.01), ("ode_rnn", 0.02), ("gru_d", 0.02)):
            metrics = {"mse": error + 1e-4 * (seed + (model == "gru_d"))}
            write(tmp_path, f"{model}{seed}", model, metrics, hopper, seed=seed)
    text = markdown(IRREGULAR_TABLES["table3"], tmp_path)
    assert "latent ODE (ODE encoder) < ODE-RNN ~ GRU-D; published: " in text
    assert "That order: holds in part (2 of 3 pairs; 0 are the other way round)." in text


def test_accuracy_when_observations_are_dropped(tmp_path):
    vowels = {"name": "japanese_vowels", "task": "classification", "dropped": 0.5}
    write(tmp_path, 0, "ode_rnn", {"accuracy": 0.975}, vowels)
    report = markdown(IRREGULAR_TABLES["japanese_vowels"], tmp_path)
    assert "| ODE-RNN | - | - | 97.5 (1) | - |" in report


def test_what_dropping_costs_follows_from_a_test_over_seeds(tmp_path):
    for seed in range(4):
        for model, accuracies in (("ode_rnn", (0.95, 0.85)), ("gru_d", (0.90, 0.895))):
            for dropped, accuracy in zip((0.0, 0.7), accuracies, strict=True):
                vowels = {"name": "japanese_vowels", "task": "classification", "dropped": dropped}
                run = f"{model}{seed}{dropped}"
                metrics = {"accuracy": accuracy - 0.01 * seed}
                write(tmp_path, run, model, metrics, vowels, seed=seed)
    report = markdown(IRREGULAR_TABLES["japanese_vowels"], tmp_path)
    order = "from the lowest median error to the highest"
    assert f"- 0% dropped, {order}: ODE-RNN < GRU-D." in report
    assert f"- 70% dropped, {order}: GRU-D < ODE-RNN." in report
    assert (
        "- The error with 70% dropped, beside that with none dropped: not decided by these seeds "
        "(p = 0.69) for GRU-D; higher (p = 0.029) for ODE-RNN." in report
    )


def test_physionet_beside_what_is_published(tmp_path):
    """Draws of z0 count where there are some, and a higher area under the curve is better."""
    filled = {"name": "physionet2012", "task": "interpolation"}
    deaths = {"name": "physionet2012", "task": "classification"}
    write(tmp_path, 0, "ode_rnn", {"mse": 0.003}, filled)
    write(tmp_path, 1, "irregular_latent_ode", {"mse": 0.9, "mse_samples": 0.004}, filled)
    write(tmp_path, 2, "rnn_vae", {"mse": 0.006}, filled, variant="official_bug")
    for seed, area in enumerate((0.80, 0.82, 0.81, 0.83)):
        write(tmp_path, f"a{seed}", "gru_d", {"auc": area}, deaths, seed=seed)
        write(tmp_path, f"b{seed}", "ode_rnn", {"auc": area - 0.3}, deaths, seed=seed)
    write(tmp_path, "c", "rnn_impute", {"auc": 0.9}, deaths)
    four, five, area = (markdown(PHYSIONET_TABLES[name], tmp_path) for name in PHYSIONET_TABLES)
    assert "| ODE-RNN | 2.361 ± 0.086 | 3.000 (1) |" in four
    assert "interpolation, not run: RNN with time gaps; " in four
    assert "| latent ODE (ODE encoder) | 2.118 ± 0.271 | 4.000 (1) | 2.231 ± 0.029 | - |" in five
    assert "| RNN-VAE | 5.930 ± 0.249 | - | 3.055 ± 0.145 | - |" in five
    assert "| GRU-D | 0.818 ± 0.008 | 0.815 ± 0.013 (4) |" in area
    order = "RNN (missing values imputed), GRU-D < ODE-RNN."
    assert f"- 1 - AUC, from the lowest median to the highest: {order}" in area


ALL = IRREGULAR_TABLES | PHYSIONET_TABLES


@pytest.mark.parametrize("name", ALL)
def test_no_runs_make_an_empty_table(tmp_path, name):
    assert "No run of ours is finished." in markdown(ALL[name], tmp_path)


@pytest.mark.parametrize("mode", ["predict", "eval"])
def test_what_is_no_training_is_not_counted(tmp_path, mode):
    vowels = {"name": "japanese_vowels", "task": "classification", "dropped": 0.0}
    write(tmp_path, 0, "gru_d", {"accuracy": 0.9}, vowels)
    for number in (1, 2, 3):
        metrics = {} if mode == "predict" else {"accuracy": 0.1}
        write(tmp_path, number, "gru_d", metrics, vowels, mode=mode)
    assert "| GRU-D | 90.0 (1) |" in markdown(IRREGULAR_TABLES["japanese_vowels"], tmp_path)


HOPPER = {"name": "hopper", "task": "interpolation", "observed_fraction": 0.1}


def test_all_cells_are_of_the_budget_that_most_runs_have(tmp_path):
    for seed in range(4):
        for model, error in (("ode_rnn", 0.02), ("gru_d", 0.03)):
            metrics = {"mse": error + 1e-4 * seed}
            run = f"{model}{seed}"
            write(tmp_path, run, model, metrics, HOPPER, seed=seed, trainer={"epochs": 13})
        longer = {"epochs": 120}
        metrics = {"mse": 0.01 + 1e-4 * seed}
        write(tmp_path, f"l{seed}", "rnn_vae", metrics, HOPPER, seed=seed, trainer=longer)
    text = markdown(IRREGULAR_TABLES["table3"], tmp_path)
    assert "| RNN-VAE | - | - | - | - |" in text
    assert "highest: ODE-RNN < GRU-D; published: " in text
    others = "with other settings, or repeated, not shown: 4."
    assert f"- Completed runs on hopper (interpolation) {others}" in text


def test_runs_that_did_not_complete_are_named(tmp_path):
    write(tmp_path, 0, "ode_rnn", {"mse": 0.02}, HOPPER, seed=0)
    write(tmp_path, 1, "ode_rnn", {}, HOPPER, seed=0, status="failed")  # and was repeated
    write(tmp_path, 2, "ode_rnn", {}, HOPPER, seed=1, status="diverged")
    write(tmp_path, 3, "gru_d", {}, HOPPER, seed=0, status="diverged")
    write(tmp_path, 4, "gru_d", {}, HOPPER, seed=1)
    write(tmp_path, 5, "gru_d", {}, HOPPER | {"task": "extrapolation"}, status="failed")
    text = markdown(IRREGULAR_TABLES["table3"], tmp_path)
    lost = "Runs on hopper (interpolation) that did not complete, not counted: 2 diverged."
    assert f"- {lost}" in text
    without = "Completed runs on hopper (interpolation) without the number, not counted: 1."
    assert f"- {without}" in text


@pytest.mark.parametrize(
    ("name", "dataset", "task"),
    [
        ("table3", "hopper", "interpolation"),
        ("table4", "physionet2012", "interpolation"),
        ("auc", "physionet2012", "classification"),
    ],
)
def test_the_epoch_of_the_numbers_is_that_of_the_runs(tmp_path, name, dataset, task):
    data = {"name": dataset, "task": task, "observed_fraction": 0.1}
    metrics = {"mse": 0.02, "auc": 0.7}
    write(tmp_path / "last", 0, "ode_rnn", metrics, data)
    write(tmp_path / "best", 0, "ode_rnn", metrics, data, best_by="loss/validation")
    assert "Numbers are of the last epoch; there is no validation" in markdown(
        ALL[name], tmp_path / "last"
    )
    assert "Numbers are of the best epoch on validation data." in markdown(
        ALL[name], tmp_path / "best"
    )


def test_too_few_seeds_for_a_test_are_said_to_be(tmp_path):
    for dropped in (0.0, 0.7):
        vowels = {"name": "japanese_vowels", "task": "classification", "dropped": dropped}
        for seed in range(3):
            metrics = {"accuracy": 0.9 - dropped / 10 - 0.001 * seed}
            write(tmp_path, f"{dropped}{seed}", "gru_d", metrics, vowels, seed=seed)
    report = markdown(IRREGULAR_TABLES["japanese_vowels"], tmp_path)
    assert "dropped: not decided by these seeds (3 and 3 are too few) for GRU-D." in report


def test_errors_of_networks_that_were_hardly_trained_are_said_to_be(tmp_path):
    """Their best epoch on validation data is the first, and what follows is worse."""
    hopper = {"name": "hopper", "task": "extrapolation", "observed_fraction": 0.1}
    for model, best in (("ode_rnn", 1), ("gru_d", 2), ("irregular_latent_ode", 20)):
        config = {"dataset": {"batch_size": 50, **hopper}, "model": {"name": model}}
        last = {"mse": 0.3 if best == 1 else 0.2}
        found = {"by": "loss/validation", "epoch": best, "mse/test": 0.07}
        write_run(tmp_path / model, config, last, epoch=20, best=found)
    (note,) = [
        line
        for line in markdown(IRREGULAR_TABLES["table3_extrapolation"], tmp_path).splitlines()
        if "hardly trained" in line
    ]
    assert "GRU-D, ODE-RNN: in 2 runs" in note
    assert "no later than epoch 2 of 20" in note
    assert "last epoch are 20 to 30." in note
