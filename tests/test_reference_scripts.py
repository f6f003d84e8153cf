"""The scripts that read the committed runs: which runs they count, and what they say of them."""

import importlib
from pathlib import Path

import pytest

from tests.written import write_run

SCRIPTS = Path(__file__).parent.parent / "scripts"


@pytest.fixture
def script(monkeypatch):
    """Imports a script by its name."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module


def hopper(folder, name="hopper_latent_ode", error=0.01, rate=0.01, **settings):
    data = {"name": "hopper", "task": "interpolation", "observed_fraction": 0.1}
    model = {"name": name.replace("hopper", "irregular"), **settings}
    if name == "hopper_ode_rnn":
        model["name"] = "ode_rnn"
    config = {"name": name, "dataset": data, "model": model, "optimizer": {"lr": rate}}
    seed = int(folder.name.rpartition("_seed")[2])
    metrics = {"mse": 1.0 - error, "mse_samples": error}
    result = {"name": name, "seed": seed}
    write_run(folder, {**config, "seed": seed}, metrics, **result)
    text = (folder / "result.json").read_text()
    (folder / "result.json").write_text(text.replace('"epoch": 1', '"epoch": 1, "step": 2028'))


def test_an_encoder_that_is_not_named_is_an_ode(script, tmp_path):
    hopper(tmp_path / "hopper_interpolation" / "latent_ode_seed0")
    hopper(tmp_path / "hopper_interpolation" / "other_seed0", encoder="rnn")
    ((key, run),) = script("hopper_runs").latent_odes(tmp_path).items()
    assert key == (0.1, 2028)
    assert run["directory"].endswith("latent_ode_seed0")


def test_two_runs_of_equal_steps_are_rejected(script, tmp_path):
    hopper(tmp_path / "hopper_interpolation" / "a_seed0")
    hopper(tmp_path / "hopper_interpolation_120_epochs" / "b_seed0", rate=0.03)
    with pytest.raises(SystemExit, match=r"a_seed0 and .*b_seed0 both observe 10% and trained"):
        script("hopper_runs").latent_odes(tmp_path)


def test_the_order_on_the_front_page_is_of_the_numbers_that_it_shows(
    script, tmp_path, monkeypatch
):
    glance = script("glance")
    monkeypatch.setattr(glance, "REFERENCE", tmp_path)
    folder = tmp_path / "hopper_interpolation"
    for seed in range(4):
        # By mse the order would be the other one.
        hopper(folder / f"latent_seed{seed}", error=0.3 + seed / 100, encoder="ode_rnn")
        hopper(folder / f"ode_rnn_seed{seed}", "hopper_ode_rnn", error=0.6 + seed / 100)
    row = glance.hopper_row()
    assert row.ours.startswith("31.500 ± 1.291 (4), 61.500 ± 1.291 (4); latent ODE after 2,028")
    assert row.verdict == "order holds"


def run(cell, seed, cpu="AMD EPYC"):
    return {"directory": f"runs/{cell}_seed{seed}", "seed": float(seed), "hardware.cpu": cpu}


XEON = "Intel(R) Xeon(R) Processor"


def test_machines_are_those_of_the_runs_that_count(script):
    machines = script("machines").machines
    alike = [run("rnn_30", seed) for seed in range(3)]
    assert machines(alike) == ""
    mixed = [*alike, *(run("ode_30", seed, XEON) for seed in (0, 2)), run("ode_30", 1)]
    assert machines(mixed) == (
        "Machines: seeds 0 and 2 of `ode_30` ran on an Intel Xeon; all others ran on an AMD EPYC."
    )
    several = [
        run(cell, seed, XEON if seed == 0 else "AMD EPYC") for cell in "ab" for seed in range(3)
    ]
    assert "seed 0 of all cells ran on an" in machines(several)
    whole = [*alike, *(run("ode_30", seed, XEON) for seed in (0, 1))]
    assert "all seeds of `ode_30` ran on an" in machines(whole)


def test_a_run_that_a_table_leaves_out_is_on_no_machine_of_it(script, tmp_path):
    results = script("readme_results")
    folder = tmp_path / "physionet2012"
    for model, cpu in (("gru_d", "AMD EPYC"), ("ode_rnn", "AMD EPYC"), ("rnn_vae", XEON)):
        data = {"name": "physionet2012", "task": "interpolation"}
        config = {"seed": 0, "dataset": data, "model": {"name": model}}
        write_run(folder / f"{model}_seed0", config, {"mse": 0.1}, hardware={"cpu": cpu}, seed=0)
    assert "Machines: " not in results.section("physionet2012 table4", tmp_path)
    hardware = {"cpu": XEON}
    write_run(folder / "again_seed1", {**config, "seed": 1, "model": {"name": "gru_d"}},
              {"mse": 0.1}, hardware=hardware, seed=1)  # fmt: skip
    text = results.section("physionet2012 table4", tmp_path)
    assert (
        "Machines: seed 1 of `again` ran on an Intel Xeon; all others ran on an AMD EPYC." in text
    )
