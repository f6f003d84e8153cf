"""The table of concentrations from run folders."""

from node_experiments.chapters.pharmacokinetics.table import remifentanil_table
from tests.written import markdown, write_run

FOLDS = range(5)
# Errors in per cent of two models, by fold.
MECHANISM = (46.0, 40.0, 60.0, 38.0, 47.0)
CORRECTED = (33.0, 31.0, 38.0, 33.0, 34.0)


def write(folder, model, fold, error, epochs=30, best_by=None, status="completed", **others):
    config = {
        "seed": 0,
        "dataset": {"name": "remifentanil", "fold": fold},
        "model": {"name": model},
        "trainer": {"epochs": epochs},
    }
    metrics = {"rms_percentage_error": error, **others}
    write_run(folder / f"{model}_{fold}_{epochs}", config, metrics, best_by, status=status)


def both(folder, mechanism=MECHANISM, logarithms=False, best_by=None):
    for model, errors in (("two_compartments", mechanism), ("corrected_compartments", CORRECTED)):
        for fold, error in zip(FOLDS, errors, strict=True):
            others = {"mse_log": error / 100} if logarithms else {}
            write(folder, model, fold, error, best_by=best_by, **others)


def test_folds_that_share_training_data_are_no_independent_samples(tmp_path):
    """A plain paired test has p = 0.02."""
    both(tmp_path, mechanism=(46.0, 40.0, 64.0, 38.0, 47.0))
    text = markdown(remifentanil_table, tmp_path)
    alike = "not told apart from two compartments (lower in 5 of 5 folds, p = 0.067)."
    assert f"RMS percentage error, two compartments + network: {alike}" in text
    assert "(Nadeau & Bengio 2003), and p is corrected for the number of tests below" in text


def test_p_is_corrected_for_the_number_of_tests(tmp_path):
    both(tmp_path / "one")
    text = markdown(remifentanil_table, tmp_path / "one")
    assert "network: better than two compartments (lower in 5 of 5 folds, p = 0.043)." in text
    both(tmp_path / "two", logarithms=True)
    text = markdown(remifentanil_table, tmp_path / "two")
    assert text.count("network: not told apart from two compartments (lower in 5 of 5") == 2
    assert text.count("p = 0.086)") == 2


def test_a_run_without_a_number_is_left_out_of_that_metric(tmp_path):
    both(tmp_path)
    write(tmp_path, "neural_kinetics", 0, 50.0)
    write(tmp_path, "neural_kinetics", 1, 52.0, mse_log=0.52)
    text = markdown(remifentanil_table, tmp_path)
    assert "| neural ODE | 51.0 ± 1.4 (2) | - | 0.5200 (1) | - |" in text


def test_runs_of_another_budget_and_those_that_did_not_complete_are_named(tmp_path):
    both(tmp_path)
    write(tmp_path, "neural_kinetics", 0, 1.0, epochs=300)
    write(tmp_path, "neural_kinetics", 1, float("nan"), status="diverged")
    text = markdown(remifentanil_table, tmp_path)
    assert "| neural ODE |" not in text
    assert (
        "- Completed runs on remifentanil with other settings, or repeated, not shown: 1." in text
    )
    assert "- Runs on remifentanil that did not complete, not counted: 1 diverged." in text


def test_the_epoch_of_the_numbers_is_that_of_the_runs(tmp_path):
    both(tmp_path / "last")
    both(tmp_path / "best", best_by="loss/validation")
    text = markdown(remifentanil_table, tmp_path / "last")
    assert "Numbers are of the last epoch; there is no validation data." in text
    text = markdown(remifentanil_table, tmp_path / "best")
    assert "Numbers are of the best epoch on validation data." in text
