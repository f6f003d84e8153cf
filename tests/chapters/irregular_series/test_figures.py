"""Figures of irregular series call features and units by their names."""

from types import SimpleNamespace

import pytest
import torch

from node_experiments.chapters.irregular_series.bands import PredictiveNoise
from node_experiments.chapters.irregular_series.figures import irregular_series_figures
from node_experiments.chapters.irregular_series.forecast_data import forecast_data
from node_experiments.chapters.irregular_series.settings import ForecastingConfig
from node_experiments.chapters.irregular_series.time_unit import TimeUnit
from node_experiments.data.ragged import ragged
from node_experiments.data.scaling import Scaling
from node_experiments.nn.likelihoods import BAND


class Zero(torch.nn.Module):
    """A model that says 0."""

    log_noise_std = torch.tensor(0.0)

    def __init__(self, dim):
        super().__init__()
        self.predictive_noise = PredictiveNoise(dim)

    def read(self, observed):
        return observed

    def predict(self, observed, times):
        return torch.zeros(*observed.values.shape[:1], times.shape[-1], observed.values.shape[-1])


def figures(dim, test_names=(), **known):
    series = ragged(
        torch.arange(5.0).repeat(4), torch.randn(20, dim), torch.full((4,), 5), None, None
    )
    data = forecast_data((series, series, series), ForecastingConfig(batch_size=2), **known)
    data.test_names = test_names
    task = SimpleNamespace(kind="interpolation")
    drawn = irregular_series_figures(SimpleNamespace(model=Zero(dim), data=data, task=task))
    for figure in drawn.values():
        figure.canvas.draw()
    return drawn


def words(figure, kind):
    where = {"loc": "left"} if kind == "title" else {}
    return [text for axis in figure.axes if (text := getattr(axis, f"get_{kind}")(**where))]


def test_names_and_units_of_the_data():
    scaling = Scaling(torch.full((4,), 37.0), torch.full((4,), 2.0))
    names = ("heart rate", "temperature", "pH", "urine")
    drawn = figures(4, features=names, time_unit=TimeUnit("h", 2.0), scaling=scaling)
    assert set(drawn) == {"reconstruction", "features"}
    assert words(drawn["reconstruction"], "title") == list(names[:3])
    assert words(drawn["features"], "title") == list(names)
    for figure in drawn.values():
        assert set(words(figure, "xlabel")) == {"time (h)"}
        assert all("(data units)" in label for label in words(figure, "ylabel"))
        (model,) = (line for line in figure.axes[0].lines if line.get_label() == "model")
        assert set(model.get_ydata()) == {37.0}  # 0 as the model sees it
        (band,) = figure.axes[0].collections
        assert band.get_datalim(figure.axes[0].transData).height == pytest.approx(2 * 2 * BAND)


def test_unknown_names_and_units():
    drawn = figures(2, scaling=Scaling(torch.zeros(2), torch.ones(2)))
    assert set(drawn) == {"reconstruction"}
    assert words(drawn["reconstruction"], "title") == ["feature 1", "feature 2"]
    assert set(words(drawn["reconstruction"], "xlabel")) == {"time (data units)"}
    assert "series 1\n(data units)" in words(drawn["reconstruction"], "ylabel")


def test_series_have_their_names():
    drawn = figures(2, test_names=("$A$", "a patient with a long name", "c"))
    labels = [label.partition("\n")[0] for label in words(drawn["reconstruction"], "ylabel")]
    assert [label for label in labels if label][:2] == ["series $A$", "series a patient w…"]


def test_titles_stay_over_their_panels():
    names = ("the mean of all temperatures", "$x", r"$\price_$", "a" * 300, "")
    for drawn in (figures(5, features=names), figures(5, features=names[::-1])):
        for figure in drawn.values():
            for axis in filter(lambda axis: axis.get_visible(), figure.axes):
                title = axis._left_title.get_window_extent()
                assert title.width <= 1.1 * axis.get_window_extent().width
    titles = words(drawn["features"], "title")
    assert titles[0] == "a" * 24 + "\n…"
    assert titles[1:] == [*names[2:0:-1], "the mean of all\ntemperatures"]
