"""Runs of the shipped real series, and their tables from committed runs."""

import pytest

from tests.grids import always

pytestmark = pytest.mark.figures


@pytest.mark.parametrize(
    ("experiment", "figure", "metric"),
    always(
        ["storm_births_latent_ode"],
        [
            ("storms_latent_ode", "storms.png", "track_error_24h/test"),
            ("storm_births_latent_ode", "figure7.png", "held_out_nll_mean_season/test"),
            ("mimic_demo_gru_d", "vital_signs.png", "carried_mse_all/test"),
            ("pbcseq_latent_ode_poisson", "laboratory.png", "mse_all/test"),
            ("remifentanil_corrected_compartments", "patients.png", "rms_percentage_error/test"),
        ],
    ),
)
def test_shipped_data_run_without_a_network(node_run, experiment, figure, metric):
    result = node_run(
        f"experiment={experiment}", "protocol=smoke", "trainer.threads=1", "trainer.epochs=1",
        "trainer.limit_batches=2",
    )  # fmt: skip
    assert result.code == 0, result.err
    (folder,) = result.folders
    assert (folder / "figures" / figure).exists()
    assert metric in (folder / "result.json").read_text()
    has_bands = experiment.partition("_")[0] not in ("remifentanil", "storm")
    assert (folder / "forecasts.npz").exists() == has_bands
