"""What is in the event file of a run."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData


@pytest.fixture
def events(node_run, tiny):
    result = node_run("experiment=mnist_odenet", *tiny)
    assert result.code == 0, result.err
    files = list(result.folders[0].rglob("events*"))
    assert len(files) == 1, "hyperparameters must not make a sub-run"
    accumulator = EventAccumulator(str(files[0]), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator


def test_tags_layout_hyperparameters_and_figures(events):
    tags = events.Tags()
    assert {
        "loss/train",
        "loss/validation",
        "loss/test",
        "accuracy/train",
        "accuracy/test",
        "nfe/forward",
        "nfe/backward",
        "solver/accepted",
        "solver/rejected",
        "memory/saved_bytes",
        "memory/peak_bytes",
        "time/step_seconds",
        "time/data_seconds",
        "time/epoch_seconds",
        "lr",
    } <= set(tags["scalars"])
    assert {"figures/training", "figures/errors"} <= set(tags["images"])

    metadata = events.SummaryMetadata("_hparams_/session_start_info")
    data = HParamsPluginData.FromString(metadata.plugin_data.content)
    compared = data.session_start_info.hparams
    assert compared["solver"].string_value == "dopri5"
    assert {"dataset", "model", "solver", "gradient", "seed", "optimizer", "lr"} <= set(compared)
    experiment = events.SummaryMetadata("_hparams_/experiment").plugin_data.content
    info = HParamsPluginData.FromString(experiment).experiment
    metrics = {metric.name.tag for metric in info.metric_infos}
    assert metrics <= set(tags["scalars"]), "columns of the table are real scalars"

    (tensor,) = events.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(tensor.tensor_proto.string_val[0])
    charts = {chart.title: list(chart.multiline.tag) for c in layout.category for chart in c.chart}
    assert charts["function evaluations per solve"] == ["^nfe/forward$", "^nfe/backward$"]
    assert charts["loss"] == ["^loss/train$", "^loss/validation$", "^loss/test$"]
