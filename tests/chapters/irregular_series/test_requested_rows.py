"""Forecasts row by row (`predict.rows`), as for measurements that were held out."""

import numpy as np
import pandas as pd
import pytest
import torch

from node_experiments import load
from node_experiments.errors import UserError

CUT = 24  # hours
PATIENTS = pd.read_csv(
    "node_experiments/chapters/irregular_series/sample_files/patients.csv", dtype={"series": str}
)
SEEN = PATIENTS[(PATIENTS.time <= CUT) & (PATIENTS.series < "p040")]
LATER = PATIENTS[(PATIENTS.time > CUT) & (PATIENTS.series < "p040")].sample(60, random_state=0)


@pytest.fixture(scope="module")
def run():
    return load("pretrained:csv_latent_ode")


def test_every_row_has_its_forecast_in_the_order_of_the_table(run):
    rows = pd.concat([LATER, LATER.iloc[:3]])  # some twice
    found = run.predict(SEEN, rows=rows, samples=20)
    assert found["series"].tolist() == rows["series"].tolist()
    assert found["time"].tolist() == rows["time"].tolist()
    assert found.notna().all(axis=None)
    one = LATER["series"].iloc[0]
    times = sorted(LATER.time[LATER.series == one])
    expected = run.predict(SEEN[SEEN.series == one], times=times, samples=20)
    own = found[:-3][(found["series"] == one)[:-3]].sort_values("time")
    np.testing.assert_allclose(own["hr"], expected["hr"], atol=0.5)  # by other draws and steps
    spread = run.predict(SEEN, times=[30], samples=20)["hr"].std()
    assert spread > 4  # between patients: those of another would be seen


def test_a_row_before_the_first_observation_is_empty(run, caplog):
    early = pd.DataFrame({"series": ["p000", "p001", "p000"], "time": [-5.0, 30.0, 30.0]})
    found = run.predict(SEEN, rows=early, samples=5)
    assert found["hr"].isna().tolist() == [True, False, False]
    assert "1 rows are before the first observation" in caplog.text


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            {"series": ["p000", "new"], "time": [30, 31]},
            r"row 1: .*of series 'new' to predict from",
        ),
        ({"series": ["p000"]}, "the column 'time' is not there"),
        ({"series": ["p000"], "time": ["soon"]}, "'soon'"),
        ({"series": [None], "time": [30]}, "every row needs its series"),
    ],
)
def test_rows_that_cannot_be_predicted(run, rows, said):
    with pytest.raises(UserError, match=said):
        run.predict(SEEN, rows=pd.DataFrame(rows))


def test_rows_are_not_requested_with_other_times_or_of_other_models(run):
    with pytest.raises(UserError, match="leave out one of them"):
        run.predict(SEEN, rows=LATER, times=[30])
    with pytest.raises(UserError, match="rows means nothing for model 'odenet'"):
        load("pretrained:mnist_odenet").predict(rows=LATER)


def test_the_command_writes_them_and_draws_the_first(node_run, tmp_path):
    SEEN.assign(series=SEEN.series.str[1:].astype(int)).to_csv("seen.csv", index=False)
    LATER.assign(series=LATER.series.str[1:].astype(int)).to_csv("later.csv", index=False)
    done = node_run("mode=predict", "checkpoint=pretrained:csv_latent_ode",
                    "dataset.path=seen.csv", "predict.rows=later.csv", "predict.samples=5",
                    "predict.out=out.csv")  # fmt: skip
    assert done.code == 0, done.err
    found, asked = pd.read_csv("out.csv"), pd.read_csv("later.csv")
    assert found["series"].tolist() == asked["series"].tolist()
    assert found["time"].tolist() == asked["time"].tolist()
    assert (done.folders[-1] / "figures" / "prediction.png").is_file()


def test_a_figure_shows_series_whose_names_are_numbers(run):
    """The names in the answer are numbers, as in the table; those in the figure are texts."""
    from node_experiments.chapters.irregular_series.predict import predict_series
    from node_experiments.chapters.prediction import Request

    numbered = SEEN.assign(series=SEEN.series.str[1:].astype(int))
    with torch.no_grad():
        answer = predict_series(run.trained, Request(numbered, [12.0, 30.0], samples=5))
    assert answer.table["series"].dtype == int
    line = answer.figure().axes[0].lines[0]
    assert len(line.get_xdata()) == 2
