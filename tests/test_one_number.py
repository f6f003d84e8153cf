"""One number, one meaning: all that shows a run's test metric shows the same, of one epoch."""

import json
import re
import statistics

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from node_experiments.cli import report


@pytest.fixture
def node_report(monkeypatch, capsys):
    def call(*arguments):
        assert report.main(arguments) == 0
        return capsys.readouterr().out

    return call


def test_six_places_show_the_number_of_the_best_validation_epoch(
    node_run, node_report, tiny, monkeypatch
):
    """A rate so large that the first epoch, which is nearly untrained, is not the last one's."""
    sweep = node_run(
        "-m", "experiment=mnist_mlp", "model.hidden=8", *tiny, "trainer.epochs=4", "seed=0,1,2",
        "scheduler=none", "optimizer.lr=3",
    )  # fmt: skip
    assert sweep.code == 0, sweep.err
    results = [json.loads((folder / "result.json").read_text()) for folder in sweep.folders]
    best, last = ([each[key] for each in results] for key in ("best", "metrics"))
    assert [each["accuracy/test"] for each in best] != [each["accuracy/test"] for each in last]
    values = [each["accuracy/test"] for each in best]
    mean = f"{statistics.fmean(values):.4f} ± {statistics.stdev(values):.2g}"

    lines = re.findall(r"test accuracy (\S+), .* epoch \((\d) of 4\)", sweep.out)
    assert lines == [(f"{b['accuracy/test']:.4f}", f"{b['epoch']}") for b in best]

    table, _, means = sweep.out.partition("over seeds")
    assert "Numbers are of the best epoch on validation data." in table
    assert re.findall(r"completed │ +(\S+) │", table) == [f"{value:.4f}" for value in values]
    assert mean in means

    listed = json.loads(node_report("list", "--format", "json"))
    rows = listed["rows"] if isinstance(listed, dict) else listed
    assert [row["on test data"] for row in rows] == values
    assert mean in node_report("table", "mnist_mlp", "--format", "md")

    for folder, run in zip(sweep.folders, best, strict=True):
        events = EventAccumulator(str(folder))
        events.Reload()
        shown = {tag: events.Scalars(f"Result/{tag}")[-1].value for tag in ("accuracy", "epoch")}
        assert shown == pytest.approx({"accuracy": run["accuracy/test"], "epoch": run["epoch"]})

    assert "best.pt" in [path.name for path in (sweep.folders[0] / "checkpoints").iterdir()]
    evaluated = node_run("mode=eval", f"checkpoint={sweep.folders[0]}")
    said = re.search(r"test accuracy (\S+), .* weights of epoch (\d) in (\S+)", evaluated.out)
    assert said[1] == f"{values[0]:.4f}"
    assert int(said[2]) == best[0]["epoch"]
    assert said[3].endswith("best.pt")
