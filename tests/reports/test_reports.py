"""node-report, over run folders written here: whole ones, failed ones, and ones cut short."""

import base64
import csv
import io
import json
from pathlib import Path

import pytest

from node_experiments.cli.report import main
from node_experiments.cli.report_figures import cost, curves, labelled, loss_curves
from node_experiments.reports.table import Estimate
from node_experiments.runs import load_runs

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)


def write_run(outputs, number, accuracy=0.9, seed=0, method="dopri5", status="completed"):
    folder = outputs / "mnist_odenet" / f"2026-01-01_00-00-0{number}"
    (folder / "figures").mkdir(parents=True)
    config = f"name: mnist_odenet\nseed: {seed}\nsolver: {{method: {method}, rtol: 1.0e-3}}\n"
    (folder / "config.yaml").write_text(config + "dataset: {name: mnist}\n")
    (folder / "run_info.json").write_text('{"config_hash": "a"}')
    rows = [
        {"epoch": n, "step": 10 * n, "accuracy/test": accuracy * n / 2, "nfe/forward": 20.0 + n}
        for n in (1, 2)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = {
        "status": status,
        "reason": None if status == "completed" else "the loss became nan",
        "name": "mnist_odenet",
        "choices": {"model": "odenet", "solver": method},
        "metric": "accuracy",
        "metrics": rows[-1] if status == "completed" else {},
        "best": None,
        "seconds": {"total": 12.3},
    }
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "figures" / "training.png").write_bytes(PNG)
    return folder


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outputs = tmp_path / "outputs"
    write_run(outputs, 0, 0.90, seed=0)
    write_run(outputs, 1, 0.92, seed=1)
    write_run(outputs, 2, 0.50, seed=0, method="euler")
    write_run(outputs, 3, status="failed")
    unfinished = write_run(outputs, 4)
    (unfinished / "result.json").unlink()
    (unfinished / "metrics.jsonl").write_text(
        '{"epoch": 1, "accuracy/test": 0.4}\n{"epoch": 2, "a'
    )
    damaged = write_run(outputs, 5)
    for name in ("result.json", "config.yaml", "metrics.jsonl"):
        (damaged / name).write_bytes(b'{"status": \xff\xfe\x00')
    return outputs


def call(capsys, *arguments):
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_list_shows_every_run_with_its_status(outputs, capsys):
    code, out, _ = call(capsys, "list", "--format", "csv")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["status"] for row in rows] == [
        "completed", "completed", "completed", "failed", "unfinished", "damaged",
    ]  # fmt: skip
    assert float(rows[0]["on test data"]) == 0.9
    assert rows[0]["epoch"] == "last epoch (2 of 2)"
    assert rows[0]["choices"] == "model=odenet solver=dopri5"
    assert rows[3]["reason"] == "the loss became nan"
    assert call(capsys, "list")[0] == 0


def test_table_groups_over_seeds(outputs, capsys):
    code, out, _ = call(capsys, "table", "mnist_odenet", "--format", "json")
    assert code == 0
    content = json.loads(out)
    dopri5, euler = content["rows"]
    assert (dopri5["solver.method"], dopri5["runs"]) == ("dopri5", 2)
    assert dopri5["accuracy/test"] == pytest.approx(0.91)
    assert dopri5["accuracy/test spread"] == pytest.approx(0.02 / 2**0.5)
    assert dopri5["accuracy/test count"] == 2
    assert (euler["solver.method"], euler["accuracy/test spread"]) == ("euler", None)
    # The run whose files are damaged does not say of what experiment it is.
    assert "2 of 5 runs are not completed" in " ".join(content["notes"])


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("md", "| dopri5 | 2 | 0.9100 ± 0.014 | 22 ± 0 |"),
        ("csv", "dopri5,2,0.91,"),
        ("latex", r"dopri5 & 2 & 0.9100 $\pm$ 0.014 & 22 $\pm$ 0 \\"),
    ],
)
def test_formats(outputs, capsys, form, line):
    code, out, _ = call(capsys, "table", "mnist_odenet", "--format", form)
    assert code == 0
    assert line in out


def test_compare_shows_what_differs(outputs, capsys):
    one, _, other, failed = load_runs(outputs)["directory"][:4]
    code, out, _ = call(capsys, "compare", one, other)
    assert code == 0
    settings, _, metrics = out.partition("metrics")
    assert "solver.method" in settings
    assert "seed" not in settings
    assert "-0.4" in metrics
    code, out, _ = call(capsys, "compare", one, failed)
    assert code == 0
    assert "is failed the loss became nan" in out


def test_figures(outputs, capsys, tmp_path):
    for figure in ("curves", "loss_curves", "cost"):
        code, out, err = call(capsys, "figure", figure, "mnist_odenet")
        assert code == 0, err
        content = (tmp_path / out.strip()).read_bytes()
        assert content[:8] == PNG[:8]
        assert len(content) > 5000


def test_a_figure_counts_the_last_run_of_a_seed(tmp_path):
    for number, seed in enumerate((0, 1, 1)):
        write_run(tmp_path, number, seed=seed)
    (group,) = labelled(load_runs(tmp_path)).values()
    assert [Path(run["directory"]).name[-1] for run in group] == ["0", "2"]


@pytest.mark.parametrize("how", ["failed", "interrupted", "diverged", "killed"])
def test_a_figure_shows_completed_runs_alone_and_counts_the_others(tmp_path, how):
    """A repetition that did not end replaces no completed seed, and shortens no curve."""
    for number, seed in enumerate((0, 1)):
        write_run(tmp_path, number, seed=seed)
    stopped = write_run(tmp_path, 2, seed=1, status="failed" if how == "killed" else how)
    if how == "killed":
        (stopped / "result.json").unlink()
    (stopped / "metrics.jsonl").write_text('{"epoch": 1, "accuracy/test": 0.1, "loss/train": 9}\n')
    runs = load_runs(tmp_path)
    (group,) = labelled(runs).values()
    assert [Path(run["directory"]).name[-1] for run in group] == ["0", "1"]
    for draw in (curves, loss_curves, cost):
        assert "1 of 3 runs are not completed and not shown" in draw(runs, "mine").get_suptitle()
    axis = curves(runs, "mine").axes[0]
    assert axis.lines[0].get_xdata().tolist() == [1, 2]


def test_a_figure_without_a_completed_run_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "outputs", 0, status="interrupted")
    for figure in ("curves", "loss_curves", "cost"):
        code, _, err = call(capsys, "figure", figure, "mnist_odenet")
        assert code == 2
        assert err.count("\n") == 1
        assert "mnist_odenet: none of its runs (1) is completed; figure training" in err


def test_html_is_one_page_that_needs_nothing_else(outputs, capsys, tmp_path):
    code, out, _ = call(capsys, "html", "--to", "report.html")
    assert code == 0
    page = (tmp_path / out.strip()).read_text()
    assert "0.9100 ± 0.014" in page
    assert "data:image/png;base64," in page
    assert "<h2>Pictures of several runs" not in page  # where there are none
    assert 'href="outputs/mnist_odenet/2026-01-01_00-00-00"' in page
    assert 'class="failed"' in page
    assert "http" not in page.replace("https://www.w3.org", "")
    assert page.count("<script>") == page.count("<script") == 1


def test_html_may_link_its_pictures(outputs, capsys, tmp_path):
    assert call(capsys, "html", "--link-pictures", "--to", "report.html")[0] == 0
    page = (tmp_path / "report.html").read_text()
    assert "data:image" not in page
    assert 'src="outputs/mnist_odenet/2026-01-01_00-00-00/figures/' in page


def test_html_shows_what_made_a_run_and_why_another_failed(outputs, capsys, tmp_path):
    folder = write_run(outputs, 6)
    info = {"command": ["node-run", "name=a b"], "packages": {"torch": "9.9"}, "cpu": "<cpu>"}
    (folder / "run_info.json").write_text(json.dumps(info))
    (folder / "figures").mkdir(exist_ok=True)
    (folder / "figures" / "broken.png").write_bytes(b"no picture")
    damaged = write_run(outputs, 7)
    (damaged / "result.json").write_text("{")
    assert call(capsys, "html")[0] == 0
    page = (tmp_path / "report.html").read_text()
    assert "node-run &#x27;name=a b&#x27;" in page
    assert "torch 9.9" in page
    assert "&lt;cpu&gt;" in page
    assert 'class="damaged"' in page
    assert 'class="reason"' in page
    assert "method: dopri5" in page  # its configuration
    assert "/broken.png" in page  # linked, not inside


def test_a_seed_counts_once_and_other_differences_are_named(outputs, capsys):
    repeated = write_run(outputs, 6, 0.96, seed=0)
    for name, threads in ((repeated, 1), (write_run(outputs, 7, 0.7, seed=2), 4)):
        with (name / "config.yaml").open("a") as file:
            file.write(f"trainer: {{threads: {threads}}}\n")
    write_run(outputs, 8, 0.98, seed=1)
    code, out, _ = call(capsys, "table", "mnist_odenet", "--format", "json")
    assert code == 0
    content = json.loads(out)
    found = {row["trainer.threads"]: (row["runs"], row["accuracy/test"]) for row in content["rows"]
             if row["solver.method"] == "dopri5"}  # fmt: skip
    # Seed 1 was run twice with the same settings: the last counts.
    assert found["null"] == (2, pytest.approx((0.90 + 0.98) / 2))
    assert found["1"] == (1, pytest.approx(0.96))
    assert "1 of 8 runs repeat a seed" in " ".join(content["notes"])


def test_settings_that_vary_together_are_named_under_the_table(outputs, capsys):
    for folder in outputs.glob("mnist_odenet/*"):
        text = (folder / "config.yaml").read_text(errors="replace")
        if "euler" in text:
            (folder / "config.yaml").write_text(text.replace("rtol: 1.0e-3", "rtol: 1.0e-5"))
    code, out, _ = call(capsys, "table", "mnist_odenet", "--format", "md")
    assert code == 0
    assert "| solver.method | runs |" in out
    assert "The runs also differ in: solver.rtol (0.001, 1e-05)." in out


def test_which_epoch_a_number_is_of_is_said(outputs, capsys):
    assert "Numbers are of the last epoch" in call(
        capsys, "table", "mnist_odenet", "--format", "md"
    )[1]  # fmt: skip
    folder = write_run(outputs, 9, seed=5)
    result = json.loads((folder / "result.json").read_text())
    result["best"] = {"by": "accuracy/validation", "epoch": 1, "accuracy/test": 0.45}
    (folder / "result.json").write_text(json.dumps(result))
    out = call(capsys, "table", "mnist_odenet", "--format", "md")[1]
    assert "best epoch on validation data, or of the last where there is none" in out
    rows = list(csv.DictReader(io.StringIO(call(capsys, "list", "--format", "csv")[1])))
    assert rows[-1]["epoch"] == "best validation epoch (1 of 2)"
    assert float(rows[-1]["on test data"]) == 0.45


def test_places_may_follow_the_command(outputs, capsys):
    (outputs.parent / "other").mkdir()
    reference = outputs / "reference"
    write_run(reference, 0, seed=7)
    for arguments in (
        ["--outputs", str(outputs), "list", "--format", "csv"],
        ["list", "--outputs", str(outputs), "--format", "csv"],
        ["--outputs", "other", "list", "--outputs", str(outputs), "--format", "csv"],
    ):
        code, out, err = call(capsys, *arguments)
        assert code == 0, err
        assert len(list(csv.DictReader(io.StringIO(out)))) == 6
    for arguments in (["--reference", "list"], ["list", "--reference"]):
        _, out, _ = call(capsys, *arguments, "--format", "csv")
        assert len(list(csv.DictReader(io.StringIO(out)))) == 7
    _, out, _ = call(capsys, "table", str(reference), "--format", "csv")
    assert len(list(csv.DictReader(io.StringIO(out)))) == 1


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("x.xyz", "--to x.xyz: .xyz is not a figure format; allowed: ."),
        ("x", "--to x: a name without suffix is not a figure format"),
        ("/", "--to / is a directory"),
        ("outputs", "--to outputs is a directory"),
        ("nowhere/x.png", "there is no directory nowhere"),
    ],
)
def test_where_no_figure_can_be_written(outputs, capsys, to, message):
    for command in (["figure", "curves", "mnist_odenet"], ["html"]):
        if command == ["html"] and to.startswith("x"):
            continue
        code, out, err = call(capsys, *command, "--to", to)
        assert (code, out) == (2, "")
        assert message in err
        assert len(err.splitlines()) == 1
    assert not list(outputs.parent.glob("*.partial"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--outputs", "/nope", "table1"], "there is no directory /nope"),
        (["table1", "--outputs", "/nope"], "there is no directory /nope"),
        (["figure4"], "there is no completed run for figure4 below outputs"),
        (["figure3"], "there is no completed run for figure3 below outputs"),
        (["solver_transfer"], "there is no completed run for solver_transfer"),
        (["table", "mnist_odnet"], "did you mean mnist_odenet"),
        (["compare", "nowhere", "outputs"], "is not a run folder"),
        (["--outputs", "empty", "list"], "there is no directory empty"),
    ],
)
def test_what_is_not_there_is_named(outputs, capsys, arguments, message):
    code, _, err = call(capsys, *arguments)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1


def test_names_in_a_page_are_text(outputs, capsys, tmp_path):
    folder = write_run(outputs, 6)
    result = json.loads((folder / "result.json").read_text())
    result |= {"name": "<script>alert(1)</script>", "status": "failed", "reason": "<b>"}
    (folder / "result.json").write_text(json.dumps(result))
    assert call(capsys, "html")[0] == 0
    page = (tmp_path / "report.html").read_text()
    assert "alert(1)" in page
    assert page.count("<script") == 1  # the page's own
    assert "<b>" not in page


def test_cells():
    assert str(Estimate.of([1.0]).cell()) == "1"
    assert str(Estimate.of([1.0, 2.0, 3.0]).cell()) == "2 ± 1"
    assert str(Estimate.of([1.0, 2.0, 3.0], 10).cell(".1f", ".1f", count=1)) == "20.0 ± 10.0 (3)"
    assert Estimate.of([]) is None
    assert str(Estimate.of([1.0, float("inf"), 2.0]).cell()) == "inf ± nan"
    assert str(Estimate.of([1.0, float("nan")]).cell()) == "nan ± nan"


def test_committed_runs_that_are_not_there_are_said(tmp_path, capsys):
    """And are not those of the user in their place."""
    (tmp_path / "outputs").mkdir()
    for command in (["table1"], ["figure3"], ["table", "table2"], ["list"]):
        assert main(["--outputs", str(tmp_path / "outputs"), *command, "--reference"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "--reference reads the committed runs, and there is no" in line
