"""Small sets in the published format, with the oddities of the published files."""

import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

from node_experiments.chapters.irregular_series.physionet2012 import (
    MEASURED,
    PARAMETERS,
    load_physionet,
    physionet_data,
)
from node_experiments.chapters.irregular_series.settings import PhysioNet2012Config
from node_experiments.chapters.irregular_series.time_unit import TimeUnit
from node_experiments.config import ConfigError
from node_experiments.errors import DataError
from node_experiments.runner.data_files import check_same_data, fingerprints
from tests.composed import composed_config

HEADER = "Time,Parameter,Value\n"
RECORDS = {
    "132539": HEADER
    + "00:00,RecordID,132539\n00:00,Age,54\n00:00,Gender,0\n00:00,Height,-1\n00:00,ICUType,4\n"
    "00:00,Weight,-1\n00:07,GCS,15\n00:07,HR,73\n00:07,HR,75\n00:37,HR,77\n47:59,Temp,36.5\n",
    # No header, and a line that has lost its parameter.
    "132540": "00:00,RecordID,132540\n00:00,Weight,76\n01:30,,-1\n24:00,HR,60\n",
    # Nothing was measured.
    "140501": HEADER + "00:00,RecordID,140501\n00:00,Age,70\n00:00,Weight,-1\n",
    # No line at 00:00.
    "132541": HEADER + "10:00,HR,80\n30:00,HR,90\n",
}
OUTCOMES = "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death\n" + "".join(
    f"{record},6,1,5,-1,{int(record) % 2}\n" for record in RECORDS
)
HR = MEASURED.index("HR")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path):
    return write(tmp_path / "data", RECORDS)


def write(root, records, outcomes=OUTCOMES, letter="a"):
    folder = root / f"set-{letter}"
    folder.mkdir(parents=True)
    for name, text in records.items():
        (folder / f"{name}.txt").write_text(text)
    if outcomes is not None:
        (root / f"Outcomes-{letter}.txt").write_text(outcomes)
    return root


def many(root, count=20):
    """More patients, alike but for their heart rate."""
    records = {
        str(100 + i): f"00:00,RecordID,{100 + i}\n01:00,HR,{60 + i}\n40:00,HR,{70 + i}\n"
        for i in range(count)
    }
    outcomes = "".join(f"{record},6,1,5,-1,{int(record) % 2}\n" for record in records)
    return write(root, records, outcomes)


def load(root, official=False, need_labels=True, sets="a", bin_hours=1 / 60):
    return load_physionet(root, sets, bin_hours, official, need_labels)


def test_there_are_37_parameters_and_41_with_descriptors():
    assert (len(MEASURED), len(PARAMETERS)) == (37, 41)
    assert len(set(PARAMETERS)) == 41


def test_records_as_the_paper_reads_them(root):
    series = load(root)
    # The patient of whom nothing was measured is left out; -1 is missing.
    assert series.lengths.tolist() == [3, 2, 2]
    torch.testing.assert_close(
        series.times * 48 * 60, torch.tensor([7, 37, 2879, 0, 1440, 600, 1800.0])
    )
    assert series.values[0, HR] == 74  # two readings of one minute
    assert series.values[0, MEASURED.index("GCS")] == 15
    assert series.feature_mask.sum(1).tolist() == [2, 1, 1, 1, 1, 1, 1]
    assert series.values[3, 0] == 76
    assert series.label.tolist() == [1, 0, 1]


def test_records_as_the_official_code_reads_them(root):
    series = load(root, official=True, bin_hours=0.016)
    assert series.dim == 41
    assert series.lengths.tolist() == [4, 2, 3, 1]
    # In the order of the numbers; 7 minutes are bin 7 of 0.016 hours, 37 minutes bin 39.
    torch.testing.assert_close(
        series.times[:4], torch.tensor([0, 7 * 0.016, 39 * 0.016, 2999 * 0.016])
    )
    first = series.values[0]
    assert first[:5].tolist() == [54, 0, -1, 4, -1]
    assert series.feature_mask[0].sum() == 5
    # The point at 0 is there also when nothing was read then.
    point = int(series.offsets[2])
    assert series.times[point] == 0
    assert not bool(series.feature_mask[point].any())


def test_bins_are_averaged(root):
    series = load(root, bin_hours=1.0)
    assert series.values[0, HR] == 74
    assert series.values[1, HR] == 77  # 37 minutes are nearer to hour 1
    assert series.lengths.tolist() == [3, 2, 2]


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_archives_are_read_as_published(root, tmp_path, kind):
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "Outcomes-a.txt").write_text(OUTCOMES)
    archive = packed / f"set-a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            for path in (root / "set-a").iterdir():
                file.write(path, f"set-a/{path.name}")
            file.writestr("__MACOSX/set-a/._132539.txt", b"\xff\x00")
    else:
        with tarfile.open(archive, "w:gz") as file:
            file.add(root / "set-a", "set-a")
    found, expected = load(packed), load(root)
    assert torch.equal(found.values, expected.values)
    assert torch.equal(found.label, expected.label)


def test_a_truncated_archive_is_named_and_nothing_is_cached(root, tmp_path, cache):
    archive = tmp_path / "set-a.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        for i in range(50):
            # Long and without repetition, so that half of the archive is not all of it.
            rates = [(minute * 7919 + i) % 997 for minute in range(600)]
            text = "".join(f"{m // 60:02}:{m % 60:02},HR,{rate}\n" for m, rate in enumerate(rates))
            entry = tarfile.TarInfo(f"set-a/{1000 + i}.txt")
            entry.size = len(text)
            file.addfile(entry, io.BytesIO(text.encode()))
    whole = archive.read_bytes()
    for size in (len(whole) // 2, 100, 0):
        archive.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"set-a\.tar\.gz .*get it again"):
            load(tmp_path, need_labels=False)
    assert not cache.exists()


def test_what_was_parsed_is_cached_until_the_source_changes(root, cache):
    load(root)
    (kept,) = cache.rglob("*.pt")
    before = kept.stat().st_mtime_ns
    load(root)
    assert kept.stat().st_mtime_ns == before
    (root / "set-a" / "132541.txt").write_text("10:00,HR,80\n")
    assert load(root).lengths.tolist() == [3, 2, 1]


BAD_RECORDS = {
    "columns": ("00:00,HR\n", "132539.txt, line 2: a line is hh:mm,parameter,value"),
    "time": ("7,HR,60\n", "132539.txt, line 2: a time is hh:mm; found '7'"),
    "before admission": ("-01:00,HR,60\n", "line 2: a time is hh:mm; found '-01:00'"),
    "minutes": ("00:61,HR,60\n", "line 2: a time is hh:mm"),
    "order": ("02:00,HR,60\n01:00,HR,61\n", "132539.txt, line 3: the time 01:00 comes after"),
    "parameter": ("00:00,Foo,1\n", "132539.txt, line 2: the parameter 'Foo'"),
    "value": ("00:00,HR,high\n", "132539.txt, line 2: the value 'high' is not a number"),
    "infinite": ("00:00,HR,inf\n", "line 2: the value 'inf' is not finite"),
}


@pytest.mark.parametrize(("lines", "message"), BAD_RECORDS.values(), ids=BAD_RECORDS.keys())
def test_bad_records_are_rejected_with_their_line(tmp_path, cache, lines, message):
    root = write(tmp_path / "data", {"132539": HEADER + lines})
    with pytest.raises(DataError) as raised:
        load(root)
    assert message in str(raised.value)
    assert not cache.exists()


def test_a_file_that_is_no_record(tmp_path):
    root = write(tmp_path / "data", {"readme": "Hello\n"})
    with pytest.raises(DataError, match=r"readme\.txt is not named after a patient"):
        load(root)


BAD_OUTCOMES = {
    "missing file": (None, "Outcomes-a.txt is missing; get it from https://physionet.org"),
    "missing line": ("132539,6,1,5,-1,0\n", "no line for patient 132540"),
    "no label": (OUTCOMES + "1,6,1,5,-1,\n", "Outcomes-a.txt, line 6"),
    "other label": (OUTCOMES.replace(",1\n", ",2\n", 1), "Outcomes-a.txt, line 2"),
    "columns": ("132539,0\n", "Outcomes-a.txt, line 1: a line is RecordID"),
    "second line": (OUTCOMES + "132540,6,1,5,-1,1\n", "line 6: patient 132540 has another line"),
}


@pytest.mark.parametrize(("outcomes", "message"), BAD_OUTCOMES.values(), ids=BAD_OUTCOMES.keys())
def test_bad_outcomes_are_rejected_with_their_line(tmp_path, outcomes, message):
    root = write(tmp_path / "data", RECORDS, outcomes)
    with pytest.raises(DataError) as raised:
        load(root)
    assert message in str(raised.value)


def test_without_classification_outcomes_may_be_missing(tmp_path):
    root = write(tmp_path / "data", RECORDS, None)
    assert load(root, need_labels=False).label.tolist() == [-1, -1, -1]


def test_both_sets_have_outcomes_where_their_files_are_there(tmp_path):
    root = write(tmp_path / "data", RECORDS)
    others = {f"14{name[2:]}": text for name, text in RECORDS.items()}
    write(root, others, OUTCOMES.replace("13", "14").replace(",0\n", ",1\n"), letter="b")
    labels = load(root, sets="ab").label
    assert len(labels) == 6
    assert labels[3:].tolist() == [1, 1, 1]
    (root / "Outcomes-b.txt").unlink()
    assert load(root, sets="ab", need_labels=False).label[3:].tolist() == [-1, -1, -1]
    with pytest.raises(DataError, match=r"Outcomes-b\.txt is missing"):
        load(root, sets="ab")


def test_where_to_get_what_is_not_there(tmp_path):
    with pytest.raises(
        DataError, match=r"no folder set-b .*https://physionet\.org.*dataset\.root"
    ):
        load(write(tmp_path / "data", RECORDS), sets="ab")


def test_the_scaling_has_not_seen_the_test_patients(tmp_path):
    root = many(tmp_path / "data")
    settings = {"root": str(root), "sets": "a", "scaling": "minmax", "batch_size": 8}
    data = physionet_data(PhysioNet2012Config(validation_size=2, **settings))
    assert [len(part.data) for part in (data.train, data.validation, data.test)] == [14, 2, 4]
    assert (data.dim, data.classes, data.label_per) == (37, 2, "series")

    def extent(batches):
        heart = batches.data.target.values[:, HR]
        return float(heart.min()), float(heart.max())

    assert extent(data.train) == (0, 1)
    assert (data.features[HR], len(data.features)) == ("HR", data.dim)
    assert data.time_unit == TimeUnit("h", 48.0)
    leaking = physionet_data(
        PhysioNet2012Config(variant="official_code", validation_size=0, **settings)
    )
    assert (leaking.features, leaking.dim) == (PARAMETERS, 41)
    hr = PARAMETERS.index("HR")
    values = [
        batches.data.target.values[batches.data.target.feature_mask[:, hr], hr]
        for batches in (leaking.train, leaking.test)
    ]
    # Only over all patients the extremes are reached.
    everything = torch.cat(values)
    assert (float(everything.min()), float(everything.max())) == (0, 1)


def test_the_official_code_divides_times_by_the_last_of_a_batch(tmp_path):
    root = many(tmp_path / "data")
    settings = {"root": str(root), "sets": "a", "batch_size": 8}
    data = physionet_data(
        PhysioNet2012Config(variant="official_code", validation_size=0, **settings)
    )
    batch = next(iter(data.train))
    assert float(batch.target.times.max()) == 1
    fixed = physionet_data(PhysioNet2012Config(validation_size=0, **settings))
    assert float(next(iter(fixed.train)).target.times.max()) == pytest.approx(40 / 48)


def changed_value(root):
    path = root / "set-a" / "100.txt"
    path.write_text(path.read_text().replace("HR,60", "HR,61"))


def changed_outcome(root):
    path = root / "Outcomes-a.txt"
    path.write_text(path.read_text().replace("100,6,1,5,-1,0", "100,6,1,5,-1,1"))


def added_record(root):
    (root / "set-a" / "999.txt").write_text("00:00,RecordID,999\n01:00,HR,60\n")


@pytest.mark.parametrize("change", [changed_value, changed_outcome, added_record])
def test_changed_records_are_not_resumed_from(tmp_path, change):
    root = many(tmp_path / "data")
    config = composed_config(
        ["experiment=physionet2012_rnn_dt", f"dataset.root={root}", "dataset.sets=a"]
    )
    before = fingerprints(config)
    assert [Path(each["path"]).name for each in before] == ["set-a", "Outcomes-a.txt"]
    (tmp_path / "run_info.json").write_text(json.dumps({"data": before}))
    check_same_data(config, tmp_path)
    change(root)
    with pytest.raises(ConfigError, match=r"the data of the run .* have changed"):
        check_same_data(config, tmp_path)
    shutil.rmtree(root / "set-a")
    with pytest.raises(ConfigError, match=r"are missing.*dataset\.root=<folder>"):
        check_same_data(config, tmp_path)
