"""The tables of the shipped series from run folders."""

import pytest

from node_experiments.chapters.irregular_series.shipped.tables import REAL_TABLES
from tests.written import markdown, write_run

PERSISTENCE = {"persistence_error_12h": 100.0, "persistence_error_72h": 1000.0}


def write(folder, model, seed, metrics, name="storms", epochs=20, best_by=None, **result):
    task = {} if name == "storm_births" else {"task": "extrapolation"}
    config = {
        "seed": seed,
        "dataset": {"name": name, **task},
        "model": {"name": model},
        "trainer": {"epochs": epochs},
    }
    run = folder / f"{model}_{epochs}_seed{seed}{result.get('status', '')}"
    write_run(run, config, metrics, best_by, **result)


def track(seed, scale=1.0, **others):
    errors = {"track_error_12h": 80.0 + seed, "track_error_24h": 200.0 + seed}
    errors |= {"track_error_72h": 900.0 + seed}
    return {**{key: scale * value for key, value in errors.items()}, **PERSISTENCE, **others}


def test_a_number_that_a_run_lacks_leaves_that_run_out_of_the_comparison(tmp_path):
    for seed in range(3):
        write(tmp_path, "gru_d", seed, track(seed))
    odd = track(3)
    odd["track_error_72h"] = float("nan")
    write(tmp_path, "gru_d", 3, odd)
    text = markdown(REAL_TABLES["storms"], tmp_path)
    assert "track at 12 h, beside persistence of motion: GRU-D better (lower in 4 of 4" in text
    assert "track at 72 h, beside persistence of motion: GRU-D better (lower in 3 of 3" in text


def test_all_models_are_of_the_budget_that_most_runs_have(tmp_path):
    for seed in range(3):
        write(tmp_path, "gru_d", seed, track(seed))
        write(tmp_path, "ode_rnn", seed, track(seed))
    write(tmp_path, "rnn_vae", 0, track(0, scale=0.5), epochs=200)
    text = markdown(REAL_TABLES["storms"], tmp_path)
    assert "RNN-VAE" not in text
    assert "with other settings, or repeated, not shown: 1." in text


def test_runs_that_did_not_complete_are_named(tmp_path):
    write(tmp_path, "gru_d", 0, track(0))
    write(tmp_path, "gru_d", 1, {}, status="diverged")
    write(tmp_path, "gru_d", 1, {}, name="pbcseq", epochs=3, status="failed")
    text = markdown(REAL_TABLES["storms"], tmp_path)
    assert "Runs on storms (extrapolation) that did not complete, not counted: 1 diverged." in text


def test_models_are_compared_with_every_rule_that_runs_have(tmp_path):
    for seed in range(3):
        regression = {"regression_error_12h": 90.0, "regression_error_72h": 850.0}
        write(tmp_path, "gru_d", seed, track(seed, **regression))
        write(tmp_path, "ode_rnn", seed, track(seed))
    text = markdown(REAL_TABLES["storms"], tmp_path)
    rule = "regression on position, motion and wind"
    assert f"| {rule} | 90 | - | - | - | 850 |" in text
    (near,) = (line for line in text.splitlines() if f"track at 12 h, beside {rule}" in line)
    assert "GRU-D better (lower in 3 of 3 seeds, p = 0.0041)." in near
    assert "ODE-RNN" not in near
    assert f"track at 72 h, beside {rule}: GRU-D worse (lower in 0 of 3" in text


def test_what_p_is_of_is_said_where_there_is_one(tmp_path):
    write(tmp_path, "gru_d", 0, track(0))
    note = "p is that of a t-test paired by training seed; it does not reflect the choice of test"
    assert note not in markdown(REAL_TABLES["storms"], tmp_path)
    write(tmp_path, "gru_d", 1, track(1))
    text = markdown(REAL_TABLES["storms"], tmp_path)
    assert note in text
    # Both are below half of the level, so that no correction for two tests matters.
    write(tmp_path, "gru_d", 2, track(2))
    text = markdown(REAL_TABLES["storms"], tmp_path)
    assert "Of 2 comparisons, 2 have p < 0.05, and 2 after Holm's correction" in text


@pytest.mark.parametrize(
    ("best_by", "sentence"),
    [
        (None, "Numbers are of the last epoch; there is no validation data."),
        ("held_out_nll/validation", "Numbers are of the best epoch on validation data."),
    ],
)
def test_the_epoch_of_the_numbers_is_that_of_the_runs(tmp_path, best_by, sentence):
    nats = {"held_out_nll": 5.0, "held_out_nll_constant": 12.0}
    write(tmp_path, "poisson_latent_ode", 0, nats, "storm_births", best_by=best_by)
    assert sentence in markdown(REAL_TABLES["storm_births"], tmp_path)


def test_births_beside_each_rule(tmp_path):
    for seed in range(3):
        nats = {"held_out_nll": 5.0 + seed / 10, "held_out_nll_constant": 12.0}
        write(tmp_path, "poisson_latent_ode", seed, nats, "storm_births")
    text = markdown(REAL_TABLES["storm_births"], tmp_path)
    assert "| latent ODE | 5.10 ± 0.10 (3) |" in text
    assert "latent ODE: better than the constant rate, as many births as are seen (lower" in text
    assert "mean season of the training years (" not in text


@pytest.mark.parametrize("name", REAL_TABLES)
def test_no_runs_make_an_empty_table(tmp_path, name):
    assert "No run of ours is finished." in markdown(REAL_TABLES[name], tmp_path)
