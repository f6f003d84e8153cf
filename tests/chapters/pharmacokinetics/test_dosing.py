"""Infusions and concentrations: the solution in closed form, and tables that cannot be read."""

from __future__ import annotations

import math

import pytest
import torch

from node_experiments.chapters.pharmacokinetics import dosing
from node_experiments.chapters.pharmacokinetics.chapter import (
    PharmacokineticModelConfig,
    RemifentanilConfig,
)
from node_experiments.chapters.pharmacokinetics.dosing import read_patients, remifentanil_data
from node_experiments.chapters.pharmacokinetics.models import Kinetics, TwoCompartments, kinetics
from node_experiments.chapters.pharmacokinetics.task import Concentrations
from node_experiments.data.table_file import read_table
from node_experiments.errors import DataError
from node_experiments.ode import Discrete, Solver

HEADER = "ID,Time,conc,Rate,Age,Sex,Ht,Wt\n"
ROWS = (
    "1,0,NA,100,40,Female,170,70\n1,2,5,100,40,Female,170,70\n1,10,NA,0,40,Female,170,70\n"
    "1,30,0.5,0,40,Female,170,70\n"
    "2,0,,50,60,Male,180,80\n2,7,9,0,60,Male,180,80\n"
)


def patients(tmp_path, text=HEADER + ROWS):
    path = tmp_path / "doses.csv"
    path.write_text(text)
    return read_patients(read_table(path))


def test_rows_become_gaps_rates_and_logarithms(tmp_path):
    batch = patients(tmp_path)
    assert batch.names == ["1", "2"]
    assert batch.gaps.tolist() == [[2, 8, 20, 0], [7, 0, 0, 0]]
    assert batch.rates.tolist() == [[100, 100, 0, 0], [50, 0, 0, 0]]
    assert batch.mask.tolist() == [[False, True, False, True], [False, True, False, False]]
    assert batch.values[0, 3] == pytest.approx(math.log(0.5))
    assert batch.covariates[1].tolist() == pytest.approx([2, math.log(80 / 70), 0.5])


def test_one_compartment_follows_the_closed_form(tmp_path):
    """Without exchange c(t) = u / CL (1 - exp(-CL t / V)), and decays from the end of the dose."""
    field = TwoCompartments()
    with torch.no_grad():
        field.typical[3] = -30.0
    batch = patients(tmp_path)
    solver = Solver("dopri5", rtol=1e-7, atol=1e-9)
    found = Kinetics(field, solver, Discrete()).double()(double(batch)).detach().exp()
    volume, clearance = 10.0, 2.5
    k = clearance / volume
    after = [100 / clearance * (1 - math.exp(-k * t)) for t in (2, 10)]
    assert found[0, 1:].tolist() == pytest.approx([*after, after[1] * math.exp(-20 * k)], rel=1e-5)
    assert float(found[1, 1]) == pytest.approx(50 / clearance * (1 - math.exp(-7 * k)), rel=1e-5)
    # What comes after a patient's last row changes nothing.
    assert found[1, 1:].tolist() == pytest.approx([float(found[1, 1])] * 3)


def double(batch):
    for name in ("times", "gaps", "rates", "values", "covariates"):
        setattr(batch, name, getattr(batch, name).double())
    return batch


def test_at_steady_state_the_compartments_are_equal(tmp_path):
    text = HEADER + "1,0,NA,100,40,Female,170,70\n1,2000,40,100,40,Female,170,70\n"
    field = TwoCompartments()
    model = Kinetics(field, Solver("dopri5", rtol=1e-6, atol=1e-8), Discrete())
    half_of_sex = -0.5 * field.effects[2]
    assert not half_of_sex.any()
    found = model.double()(double(patients(tmp_path, text)))
    assert float(found[0, 1].detach().exp()) == pytest.approx(100 / 2.5, rel=1e-5)


def test_the_sum_starts_as_the_mechanism(tmp_path):
    batch = patients(tmp_path)
    solver = Solver("dopri5", rtol=1e-5, atol=1e-6)
    models = [
        kinetics(PharmacokineticModelConfig(name=name), None, solver, Discrete())
        for name in ("two_compartments", "corrected_compartments")
    ]
    with torch.no_grad():
        one, other = (model(batch)[batch.mask] for model in models)
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["two_compartments", "neural_kinetics", "corrected_compartments"])
def test_every_model_has_gradients_and_metrics(tmp_path, name):
    batch = patients(tmp_path)
    settings = PharmacokineticModelConfig(name=name, latent=2, hidden=4)
    model = kinetics(settings, None, Solver("rk4", num_steps=8), Discrete())
    loss, _ = Concentrations().loss(model, batch, 0)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    with torch.no_grad():
        found = Concentrations().evaluate(model, [batch])
    assert all(math.isfinite(value) for value in found.values())


def test_percentage_errors_are_those_of_the_measured(tmp_path):
    batch = patients(tmp_path)

    class Twice(torch.nn.Module):
        log_noise_std = torch.tensor(0.0)

        def forward(self, batch):
            return batch.values + math.log(2)

    found = Concentrations().evaluate(Twice(), [batch])
    assert found["rms_percentage_error"] == pytest.approx(100)
    assert found["median_percentage_error"] == pytest.approx(100)
    assert found["mse_log"] == pytest.approx(math.log(2) ** 2)
    assert found["coverage_90"] == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2,,3,50,60,Male,180,80\n", r"line 8: 'Time' must be a number; found ''"),
        ("2,NA,3,50,60,Male,180,80\n", "'Time' must be a number"),
        ("2,9,3,much,60,Male,180,80\n", "'Rate' must be a number; found 'much'"),
        ("2,9,3,-5,60,Male,180,80\n", "'Rate' must be at least 0; found '-5'"),
        ("2,9,0,5,60,Male,180,80\n", "'conc' must be above 0; found '0'"),
        ("2,9,3,5,60,Male,180,0\n", "'Wt' must be above 0"),
        ("2,9,3,5,60,?,180,80\n", "'Sex' must be Female or Male"),
        ("2,7,3,5,60,Male,180,80\n", "'Time' must be different in each row of a patient"),
        ("2,9,3,inf,60,Male,180,80\n", "'Rate' must be a number"),
    ],
)
def test_a_bad_cell_is_named_with_its_line(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        patients(tmp_path, HEADER + ROWS + row)


def test_a_missing_column_is_named(tmp_path):
    with pytest.raises(DataError, match="no column 'Rate'"):
        patients(tmp_path, "ID,Time,conc,Age,Sex,Wt\n1,0,1,40,Male,70\n")


def test_folds_share_no_patient_and_hold_all():
    tested = []
    for fold in range(5):
        data = remifentanil_data(RemifentanilConfig(fold=fold))
        parts = [set(part.data.names) for part in (data.train, data.validation, data.test)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 65
        tested += data.test.data.names
    assert len(set(tested)) == 65
    assert int(data.train.data.mask.sum() + data.validation.data.mask.sum()) < 1992


def test_a_missing_or_altered_file_of_the_package_is_named(tmp_path, monkeypatch):
    for file in dosing.FILES.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(dosing, "FILES", tmp_path)
    (tmp_path / "remifentanil.csv.gz").write_bytes(b"")
    with pytest.raises(DataError, match="truncated or altered"):
        remifentanil_data(RemifentanilConfig())
    (tmp_path / "remifentanil.csv.gz").unlink()
    with pytest.raises(DataError, match=r"remifentanil.csv.gz is missing; install"):
        remifentanil_data(RemifentanilConfig())


def test_too_few_patients_for_the_folds(tmp_path):
    path = tmp_path / "doses.csv"
    path.write_text(HEADER + ROWS)
    with pytest.raises(DataError, match="2 patients, too few for"):
        remifentanil_data(RemifentanilConfig(path=str(path), fold=4))
