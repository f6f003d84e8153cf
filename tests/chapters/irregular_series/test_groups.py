"""Several series of one patient: none of them tests what another one taught."""

import pandas as pd
import pytest

from node_experiments.chapters.irregular_series.csv_series import csv_data
from node_experiments.chapters.irregular_series.settings import CSVConfig
from node_experiments.config import ConfigError
from node_experiments.errors import DataError

PATIENTS, STAYS = 10, 3


def stays(form="{}", name="patient_id"):
    """Stays of patients, whose only value is the number of the patient."""
    rows = [
        (f"s{stay:02d}", time, stay // STAYS + 0.0, form.format(100 + stay // STAYS))
        for stay in range(PATIENTS * STAYS)
        for time in range(12)
    ]
    return pd.DataFrame(rows, columns=["series", "time", "hr", name])


def data_of(tmp_path, frame, **settings):
    frame.to_csv(tmp_path / "stays.csv", index=False)
    return csv_data(CSVConfig(path=str(tmp_path / "stays.csv"), scaling="none", **settings))


def patients_in(part):
    return set(part.data.target.values.flatten().unique().int().tolist())


@pytest.mark.parametrize("form", ["{}", "patient {}", "{}.0"])
@pytest.mark.parametrize("seed", [0, 42])
def test_no_group_is_in_two_parts(tmp_path, form, seed):
    data = data_of(tmp_path, stays(form), group_column="patient_id", split_seed=seed)
    assert data.features == ("hr",)  # the group is none, also where it is a number
    parts = [patients_in(part) for part in (data.train, data.validation, data.test)]
    assert [len(part) for part in parts] == [6, 2, 2]
    assert set.union(*parts) == set(range(PATIENTS))
    every = [part.data.target for part in (data.train, data.validation, data.test)]
    assert [len(series) for series in every] == [18, 6, 6]


def test_without_a_group_a_patient_is_in_several_parts_and_a_warning_says_so(tmp_path, caplog):
    data = data_of(tmp_path, stays("patient {}"))
    assert patients_in(data.train) & patients_in(data.test)
    assert (
        "the 30 series have 10 different 'patient_id', and series of one may be in training and "
        "in test; to keep them together, set dataset.group_column=patient_id" in caplog.text
    )


@pytest.mark.parametrize(
    ("frame", "settings"),
    [
        (stays("patient {}"), {"group_column": "patient_id"}),
        (stays("patient {}", name="ward"), {}),
        (stays("patient {}"), {"static_columns": ["patient_id"]}),
        (stays("patient {}"), {"window": 2.0}),  # the end of each series tests
        (stays("one"), {}),
        (stays("patient {}").assign(patient_id=lambda rows: rows["series"]), {}),
        (stays("patient {}").assign(patient_id=lambda rows: rows["time"]), {}),
    ],
)  # fmt: skip
def test_other_columns_are_no_groups(tmp_path, caplog, frame, settings):
    data_of(tmp_path, frame, **settings)
    assert "to keep them together" not in caplog.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.assign(patient_id=rows["time"]), "'s00' is in the groups '0' and '1'"),
        (
            lambda rows: rows.assign(patient_id="one"),
            r"groups in the data: 1 \(one\), too few to hold out",
        ),
        (
            lambda rows: rows.assign(patient_id=rows["patient_id"].mask(rows.index == 5)),
            "line 7: 'patient_id' is empty; every row needs its group",
        ),
        (lambda rows: rows.drop(columns="patient_id"), "the column 'patient_id' is not there"),
    ],
)
def test_what_is_no_group(tmp_path, change, said):
    with pytest.raises(DataError, match=said) as error:
        data_of(tmp_path, change(stays()), group_column="patient_id")
    assert "\n" not in str(error.value)


def test_settings_that_exclude_each_other(tmp_path):
    with pytest.raises(ConfigError, match=r"group_column.*null with a window"):
        CSVConfig(path="stays.csv", group_column="patient_id", window=2.0)
    with pytest.raises(DataError, match="'series' is named twice"):
        data_of(tmp_path, stays(), group_column="series")


def test_later_files_need_no_group(node_run, tmp_path):
    stays().to_csv(tmp_path / "stays.csv", index=False)
    done = node_run(
        "experiment=csv_rnn_dt", "dataset.path=stays.csv", "dataset.group_column=patient_id",
        "protocol=smoke", "trainer.threads=1", "trainer.progress=false",
    )  # fmt: skip
    assert done.code == 0, done.err
    run = done.folders[-1]
    other = stays().assign(hr=lambda rows: rows["hr"] + 0.5)
    for later in (other, other.drop(columns="patient_id")):
        later.to_csv(tmp_path / "later.csv", index=False)
        done = node_run("mode=eval", f"checkpoint={run}", "dataset.path=later.csv")
        assert done.code == 0, done.err
        assert "on 30 samples" in done.out
    done = node_run("mode=eval", f"checkpoint={run}", "dataset.group_column=null")
    assert done.code == 2
    assert "group_column" in done.err
