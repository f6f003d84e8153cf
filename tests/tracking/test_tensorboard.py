"""What is in the event files of runs, and what is not."""

import json
import shlex
import time

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from node_experiments.config import GradientConfig, RunConfig, SolverConfig
from node_experiments.runner.tracked_run import format_command
from node_experiments.runner.train import zero_tags
from node_experiments.tracking.loggers import GROUPS, TrackedRun, logged
from node_experiments.tracking.tensorboard import TensorBoard, put_earlier_files_first
from node_experiments.training.checkpoints import Checkpoints


def read(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0, "images": 0})
    accumulator.Reload()
    return accumulator


def settings_of(events):
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    found = HParamsPluginData.FromString(content).session_start_info.hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in found.items()}


def test_numbers_are_in_groups_and_memory_in_mb(sweep):
    events = read(sweep[0])
    tags = set(events.Tags()["scalars"])
    assert {
        "loss/train", "loss/validation", "loss/test", "accuracy/train", "accuracy/test",
        "nfe/forward", "nfe/backward", "solver/accepted", "memory/saved_mb", "memory/peak_mb",
        "time/step_seconds", "time/epoch_seconds", "lr", "epoch",
    } <= tags  # fmt: skip
    result = json.loads((sweep[0] / "result.json").read_text())
    last = result["metrics"]
    assert events.Scalars("memory/peak_mb")[-1].value == pytest.approx(
        last["memory/peak_bytes"] / 1e6
    )
    assert not any("bytes" in tag for tag in tags)
    assert "solver/rejected" in tags
    # Among the numbers, figures would push the loss off the first screen.
    assert min(events.Tags()["images"]) > max(tags)


def test_steps_and_values_are_those_of_the_training(sweep):
    for folder, steps in zip(sweep, (2, 1), strict=True):
        events = read(folder)
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        points = events.Scalars("accuracy/test")
        assert [point.step for point in points] == [steps, 2 * steps]
        assert [point.value for point in points] == pytest.approx(
            [row["accuracy/test"] for row in rows]
        )
        for name in ("z_figures/training", "z_figures/errors"):
            assert [image.step for image in events.Images(name)] == [steps, 2 * steps]
        assert events.Scalars("epoch")[-1].value == 2
        assert [point.step for point in events.Scalars("Result/accuracy")] == [steps, 2 * steps]


def test_hyperparameters_tell_the_runs_of_a_sweep_apart(sweep):
    found = [settings_of(read(folder)) for folder in sweep]
    assert [each.pop("trainer.accumulate") for each in found] == [1, 2]
    assert found[0] == found[1]
    assert found[0]["model.channels"] == 8
    assert found[0]["solver.rtol"] == 1e-3
    assert {"dataset", "model", "solver", "gradient", "seed", "optimizer.lr"} <= set(found[0])
    # Of one run's experiment summary TensorBoard would show the settings of that run alone.
    assert "_hparams_/experiment" not in read(sweep[0]).Tags()["tensors"]


def test_texts_and_layout(sweep):
    events = read(sweep[0])
    for name, part in (("command", "node-run"), ("config", "channels: 8"), ("commit", "")):
        (event,) = events.Tensors(f"{name}/text_summary")
        text = event.tensor_proto.string_val[0].decode()
        assert part in text
        assert all(line.strip() for line in text.splitlines())
    (tensor,) = events.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(tensor.tensor_proto.string_val[0])
    charts = {chart.title: list(chart.multiline.tag) for c in layout.category for chart in c.chart}
    assert charts["function evaluations per solve"] == ["^nfe/forward$", "^nfe/backward$"]
    # Numbers of one scale: 0.2 MB beside 900 would be a line at zero.
    assert charts["peak memory, MB"] == ["^memory/peak_mb$"]
    assert [category.title for category in layout.category] == ["learning", "solver", "cost"]


def test_a_model_without_an_ode_has_no_charts_of_its_solver(tmp_path):
    TensorBoard(TrackedRun(tmp_path, "run", "accuracy", solves=False)).close("completed")
    (tensor,) = read(tmp_path).Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(tensor.tensor_proto.string_val[0])
    assert [category.title for category in layout.category] == ["learning", "cost"]


def test_a_long_command_takes_a_line_for_each_word():
    words = ["node-run", *(f"dataset.column={number} x" for number in range(9))]
    lines = format_command(words).splitlines()
    assert len(lines) == 10
    assert shlex.split(format_command(words).replace("\\\n", "")) == words


def written(folder, metric="accuracy", **values):
    writer = TensorBoard(TrackedRun(folder, "run", metric))
    writer.scalars(logged(values, metric), step=1)
    writer.close("completed")


@pytest.mark.parametrize("metric", ["accuracy", "rmse", "upright", "held_out_nll"])
def test_diagnostics_are_the_last_group_of_numbers(tmp_path, metric):
    """The page sorts tags by the codes of their characters."""
    groups = [f"{group}/x" for group in (*GROUPS, metric, "kl", "regularizer", "coverage_90")]
    written(tmp_path, metric, **dict.fromkeys(groups, 1.0))
    tags = read(tmp_path).Tags()["scalars"]
    assert len(tags) == len(groups)
    assert sorted(tags)[-3:] == [
        f"z_diagnostics/{name}/x" for name in ("coverage_90", "kl", "regularizer")
    ]


@pytest.mark.parametrize("name", ["backup", "copy.1", "", "1764.old", "1764"])
def test_a_file_that_is_named_like_one_of_events_is_left_alone(tmp_path, name):
    other = tmp_path / f"events.out.tfevents.{name}"
    other.write_bytes(b"")
    put_earlier_files_first(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    assert other.exists() or name == "1764.old"


def test_a_resume_keeps_the_points_that_are_valid(tmp_path):
    for valid_until, steps in ((None, range(1, 5)), (2, range(3, 6))):
        writer = TensorBoard(TrackedRun(tmp_path, "run", "accuracy", valid_until=valid_until))
        for step in steps:
            writer.scalars({"loss/train": float(step)}, step)
        writer.close("completed")
        time.sleep(1.01)  # files of one second have no order
    points = read(tmp_path).Scalars("loss/train")
    assert [point.step for point in points] == [1, 2, 3, 4, 5]


def test_files_from_the_future_are_renamed_in_their_order(tmp_path):
    names = ["events.out.tfevents.1000.host.1.0", *(
        f"events.out.tfevents.{seconds}.host.1.0" for seconds in (9999999998, 9999999999)
    )]  # fmt: skip
    for number, name in enumerate(names):
        (tmp_path / name).write_text(str(number))
    put_earlier_files_first(tmp_path)
    found = sorted(tmp_path.iterdir())
    assert [path.read_text() for path in found] == ["0", "1", "2"]
    assert all(int(path.name.split(".")[3]) < time.time() for path in found)


def test_settings_that_do_not_apply_are_no_hyperparameters(node_run, tiny):
    result = node_run(
        "experiment=mnist_mlp", "model.hidden=8", "solver.rtol=1e-3", "gradient=discrete", *tiny
    )
    found = settings_of(read(result.folders[0]))
    assert found["model.hidden"] == 8
    assert not any(name.startswith(("solver", "gradient", "regularizer")) for name in found)


@pytest.mark.parametrize("zero", ["nfe/backward", "solver/rejected"])
def test_what_a_run_never_does_has_no_chart(zero):
    assert zero not in zero_tags(RunConfig())
    config = RunConfig(
        solver=SolverConfig("rk4", num_steps=2), gradient=GradientConfig("backprop")
    )
    assert zero in zero_tags(config)


def test_no_point_twice_after_a_kill_between_an_epochs_end_and_its_checkpoint(
    node_run, tiny, tmp_path, monkeypatch
):
    """With a checkpoint made at the last step of the epoch, and the evaluation written after."""
    arguments = (
        "experiment=mnist_mlp", "model.hidden=8", *tiny, "trainer.epochs=2",
        "trainer.checkpoint_minutes=0", "resume=auto", "trainer.loggers=[tensorboard,csv]",
    )  # fmt: skip
    whole = node_run(*arguments, "outputs=whole").folders[0]

    class Killed(BaseException):
        pass

    def killed(checkpoints, trainer):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "epoch_end", killed)
        with pytest.raises(Killed):
            node_run(*arguments, "outputs=resumed")
    result = node_run(*arguments, "outputs=resumed")
    assert "resumed after step 2, in epoch 1" in result.out
    (resumed,) = (folder for folder in result.folders if "resumed" in folder.parts)
    expected, found = read(whole), read(resumed)
    for tag in expected.Tags()["scalars"]:
        points = [(point.step, point.value) for point in found.Scalars(tag)]
        assert len({step for step, _ in points}) == len(points), tag
        if not tag.startswith(("time/", "memory/peak", "Result/step")):
            assert points == [(p.step, p.value) for p in expected.Scalars(tag)], tag
    for tag in expected.Tags()["images"]:
        assert [i.step for i in found.Images(tag)] == [i.step for i in expected.Images(tag)]
    steps = [
        [line.partition(",")[0] for line in (folder / "metrics.csv").read_text().splitlines()]
        for folder in (whole, resumed)
    ]
    assert steps[0] == steps[1]
