"""What is odd in one file, or in a name, is one line or is left out; nothing else ends."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from matplotlib.figure import Figure

from node_experiments.chapters import datasets
from node_experiments.cli import report
from node_experiments.config import ConfigError, RunConfig
from node_experiments.config.checks import folder_name
from node_experiments.files import write_json
from node_experiments.runner.checkpoint_overrides import content_of
from node_experiments.runner.data_files import check_same_data, parse_fingerprints, same_data
from node_experiments.runner.job import check_path
from node_experiments.runner.resume_overrides import settings_in
from node_experiments.runs import load_runs
from node_experiments.runs.checkpoint_names import latest_run
from node_experiments.runs.directory import (
    is_claimed,
    read_choices,
    read_config,
    read_json,
    remove_leftovers,
)
from node_experiments.runs.frame import read_epochs
from node_experiments.runs.jobs import note_job, read_jobs
from node_experiments.runs.starts import may_be_running
from node_experiments.tracking.animation import Animation
from node_experiments.tracking.csv_file import CsvFile
from node_experiments.tracking.loggers import TrackedRun
from node_experiments.training.checkpoints import CheckpointError

ODD = (5, "x", [1], {"a": [1]}, [{"sha256": 5, "path": "x"}], [{"path": "x"}], True, [None])


@pytest.mark.parametrize("odd", [None, *ODD])
def test_odd_parts_of_run_info_count_as_missing(tmp_path, odd):
    write_json(tmp_path / "run_info.json", {"choices": odd, "data": odd})
    assert read_choices(tmp_path) == {}
    assert parse_fingerprints(odd) is None
    assert same_data(parse_fingerprints(odd), [{"path": "x", "sha256": "0"}])
    check_same_data(RunConfig(dataset=datasets()["mnist"].settings()), tmp_path)


def test_what_is_whole_in_run_info_is_read(tmp_path):
    write_json(tmp_path / "run_info.json", {"choices": {"model": "mlp", "sweep": None, "x": 5}})
    assert read_choices(tmp_path) == {"model": "mlp", "sweep": None}
    assert parse_fingerprints([]) == []
    assert parse_fingerprints([{"path": "x", "sha256": "0", "bytes": 1}])[0]["sha256"] == "0"


@pytest.fixture
def _no_waiting():
    """Whoever waits for the writer of a pipe gets an error instead."""

    def late(number, frame):
        raise TimeoutError("waits for the writer of a pipe")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("_no_waiting")
def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path):
    run = tmp_path / "mnist_mlp" / "run"
    run.mkdir(parents=True)
    for name in ("result.json", "config.yaml", "run_info.json", "metrics.jsonl", ".lock"):
        os.mkfifo(run / name)
    (row,) = load_runs(tmp_path).to_dict("records")
    assert row["status"] == "damaged"
    assert "result.json cannot be read: Not a file" in row["reason"]
    assert read_json(run / "run_info.json") == read_config(run) == {}
    assert read_epochs(run) == []
    assert not is_claimed(run)
    assert may_be_running(run)


def test_a_log_that_cannot_be_written_is_one_line(node_run, tmp_path, tiny):
    (tmp_path / "run" / "node-run.log").mkdir(parents=True)
    result = node_run("experiment=mnist_mlp", *tiny, "hydra.run.dir=run")
    assert result.code == 2
    (line,) = result.err.splitlines()
    assert "node-run.log cannot be written: Is a directory; remove it, or start" in line


def test_a_lock_that_names_no_process_of_any_machine_is_left(tmp_path):
    (tmp_path / ".lock").write_text(f"{'9' * 40} on {os.uname().nodename}")
    os.utime(tmp_path, (0, 0))
    assert not may_be_running(tmp_path)


GROUPS = {"dataset": {"name": "mnist"}, "model": {"name": "mlp"}, "trainer": {}, "scheduler": {}}


@pytest.mark.parametrize("group", ["solver", "gradient", "optimizer", "regularizer", "places"])
@pytest.mark.parametrize("odd", [5, "x", [1]])
def test_a_group_that_is_none_is_one_line(tmp_path, group, odd):
    torch.save({"config": {**GROUPS, group: odd}, "model": {}}, tmp_path / "odd.pt")
    with pytest.raises(CheckpointError, match=f"is damaged: {group} is not a group of settings"):
        content_of(str(tmp_path / "odd.pt"))
    (tmp_path / "config.yaml").write_text(json.dumps({**GROUPS, group: odd}))
    with pytest.raises(ConfigError, match=f"is damaged: {group} is not a group of settings"):
        settings_in(tmp_path / "config.yaml")


@pytest.mark.parametrize("data", [5, {"schema": {"form": 1}}])
def test_damaged_data_of_a_checkpoint_are_one_line(node_run, tmp_path, data):
    from node_experiments.runs.checkpoint_names import pretrained_runs

    path = pretrained_runs()["csv_latent_ode"] / "checkpoints" / "best.pt"
    torch.save({**torch.load(path, weights_only=True), "data": data}, tmp_path / "odd.pt")
    result = node_run("mode=eval", f"checkpoint={tmp_path / 'odd.pt'}", "trainer.threads=1")
    assert result.code == 2, result
    assert "holds of its training data is damaged" in result.err + result.out


def test_a_table_that_was_cut_continues_with_its_whole_rows(tmp_path):
    for content, kept in {
        b"": [], b"\xff\xfe\x00": [], b"a,b\n1,2\n": [], b"step,loss\nx,1\n2,0.5\n3": [2],
        b"step,loss\n1,2.0\n2,1.0,9\n3,0.5\n": [1, 3], b"step,loss\n1,\x002.0\n": [1],
    }.items():  # fmt: skip
        (tmp_path / "metrics.csv").write_bytes(content)
        table = CsvFile(TrackedRun(tmp_path, "run", "loss", valid_until=3))
        table.scalars({"loss": 0.25}, 4)
        table.close("completed")
        rows = (tmp_path / "metrics.csv").read_text().splitlines()
        assert [int(row.split(",")[0]) for row in rows[1:]] == [*kept, 4], content
    (tmp_path / "metrics.csv").unlink()
    (tmp_path / "metrics.csv").mkdir()
    CsvFile(TrackedRun(tmp_path, "run", "loss", valid_until=3))


def test_frames_that_are_no_pictures_are_left_out_of_an_animation(tmp_path):
    frames = tmp_path / ".film_frames"
    film = Animation(tmp_path / "film.gif", lambda trainer: Figure(figsize=(1, 1)))
    film.fit_start(SimpleNamespace(epoch=0, index=0))
    film.epoch_end(SimpleNamespace(epoch=1))
    film.epoch_end(SimpleNamespace(epoch=2))
    whole = (frames / "00001.png").read_bytes()
    (frames / "00001.png").write_bytes(whole[: len(whole) // 2])
    (frames / "mine.png").write_bytes(b"")
    film.fit_start(SimpleNamespace(epoch=2, index=1))  # resumed
    film.fit_end(None)
    assert sorted(path.name for path in frames.iterdir()) == ["00000.png", "00002.png"]
    assert (tmp_path / "film.gif").stat().st_size > 0


def test_leftovers_that_cannot_be_removed_stop_nobody(tmp_path):
    (tmp_path / ".last.pt.x.partial").mkdir()
    (tmp_path / ".best.pt.x.partial").touch()
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".last.pt.x.partial"]


def test_a_link_to_nothing_is_not_the_latest_checkpoint(tmp_path):
    for run in ("old", "new"):
        (tmp_path / run / "checkpoints").mkdir(parents=True)
    (tmp_path / "old" / "checkpoints" / "last.pt").touch()
    (tmp_path / "new" / "checkpoints" / "last.pt").symlink_to(tmp_path / "nothing")
    assert latest_run(tmp_path) == tmp_path / "old"


def test_lines_of_a_sweep_that_are_odd_are_skipped(tmp_path):
    note_job(tmp_path, 0, "seed=0", tmp_path / "0", None)
    with (tmp_path / "jobs.jsonl").open("ab") as file:
        for line in (b"5", b"{}", b"[" * 100_000, b"\xff", b'{"job": 1}', b'{"job": 1, "over'):
            file.write(line + b"\n")
    assert [job.job for job in read_jobs(tmp_path)] == [0]


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31mred", "a\tb", "a\x00b", "\udcff", "\u2028"])
def test_a_name_that_cannot_be_printed_is_no_name(name):
    with pytest.raises(ConfigError, match="printable"):
        folder_name(name)
    assert folder_name("é∑漢 \U0001f600") == "é∑漢 \U0001f600"


def test_a_run_directory_is_named_in_utf8(tmp_path, monkeypatch):
    check_path(tmp_path / "é∑漢")
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        check_path(odd)
    odd.mkdir()
    monkeypatch.chdir(odd)
    with pytest.raises(ConfigError, match="is not UTF-8"):
        check_path(Path("outputs/mnist_mlp/x"))


def test_a_name_that_is_too_long_is_one_short_line(node_run, tmp_path):
    for words in (["name=" + "x" * 300], ["outputs=a/" + "é" * 150], ["outputs=" + "yy/" * 1500]):
        result = node_run("experiment=mnist_mlp", "protocol=smoke", *words)
        assert result.code == 2
        assert "is too long: at most 255 bytes per name" in result.err
        assert len(result.err) < 250
        assert not list(tmp_path.iterdir())


def a_run(folder, name="mnist_mlp"):
    folder.mkdir(parents=True)
    write_json(folder / "result.json", {"status": "completed", "name": name, "metrics": {}})
    (folder / "config.yaml").write_text(f"name: {name}\nseed: 0\n")
    return folder


def test_runs_behind_links_are_read_once(tmp_path):
    outputs, elsewhere = tmp_path / "outputs", tmp_path / "elsewhere"
    a_run(outputs / "mnist_mlp" / "one")
    a_run(elsewhere / "two")
    (outputs / "mnist_mlp" / "latest").symlink_to(outputs / "mnist_mlp" / "one")
    (outputs / "scratch").symlink_to(elsewhere)
    (outputs / "scratch again").symlink_to(elsewhere)
    (outputs / "loop").symlink_to(outputs)
    (outputs / "above").symlink_to(tmp_path)
    (elsewhere / "back").symlink_to(outputs)
    (outputs / "nothing").symlink_to(tmp_path / "nothing")
    found = [Path(run).relative_to(outputs).as_posix() for run in load_runs(outputs)["directory"]]
    assert found == ["mnist_mlp/one", "scratch/two"]
    (tmp_path / "link").symlink_to(outputs)
    assert len(load_runs(tmp_path / "link")) == 2


def test_bytes_of_a_path_that_are_no_text_are_kept(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    write_json(tmp_path / "x.json", {"path": name, "é": 1})
    assert read_json(tmp_path / "x.json") == {"path": name, "é": 1}
    assert "é" in (tmp_path / "x.json").read_text()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_reports_print_in_any_encoding(tmp_path, monkeypatch, encoding):
    a_run(tmp_path / os.fsdecode(b"caf\xe9") / "mnist_mlp" / "one", "é∑漢")
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    for words in (["list"], ["list", "--format", "csv"], ["table", "é∑漢"]):
        assert report.main(["--outputs", str(tmp_path), *words]) == 0
    assert written.getvalue()


def test_a_report_ends_quietly_with_its_reader(tmp_path):
    for number in range(200):
        a_run(tmp_path / "outputs" / "mnist_mlp" / str(number))
    command = f"{sys.executable} -m node_experiments.cli.report list --format csv | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["tabel", "x"], "COMMAND 'tabel' is unknown; did you mean table"),
        (["figure", "curvs", "x"], "figure 'curvs' is unknown; did you mean curves"),
        (["list", "--format", "xml"], "--format 'xml' is unknown; did you mean"),
        (["table"], "the following arguments are required: name; see node-report table --help"),
        (["list", "--nope"], "unrecognized arguments: --nope; see node-report --help"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_a_report_says_what_was_wrong_in_one_line(words, line, capsys):
    assert report.main(words) == 2
    err = capsys.readouterr().err
    assert line in err
    assert err.count("\n") == 1
    assert len(err) < 400


def test_closed_standard_streams_are_no_error(tmp_path):
    command = f"{sys.executable} -m node_experiments.cli.main --version >&- 2>&-"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0
