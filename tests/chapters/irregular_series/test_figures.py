"""Figures of irregular series call features and units by their names."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from node_experiments.chapters.irregular_series.bands import PredictiveNoise, bands
from node_experiments.chapters.irregular_series.figures import SAMPLES, irregular_series_figures
from node_experiments.chapters.irregular_series.forecast_data import forecast_data
from node_experiments.chapters.irregular_series.models import autoregressive, variational
from node_experiments.chapters.irregular_series.settings import (
    ForecastingConfig,
    SeriesModelConfig,
)
from node_experiments.chapters.irregular_series.time_unit import TimeUnit
from node_experiments.data.ragged import ragged
from node_experiments.data.scaling import Scaling
from node_experiments.nn.likelihoods import BAND
from node_experiments.ode import Backprop, Solver
from node_experiments.training.random_state import seeded


class Zero(torch.nn.Module):
    """A latent variable model that predicts 0."""

    log_noise_std = torch.tensor(0.0)
    follows_times = True

    def __init__(self, dim):
        super().__init__()
        self.dim, self.predictive_noise = dim, PredictiveNoise(dim)

    def encode(self, observed):
        return torch.zeros(len(observed), 1), torch.zeros(len(observed), 1)

    def forecast(self, z0, observed, times, gap):
        return torch.zeros(*z0.shape[:-1], times.shape[1], self.dim)

    def means(self, states):
        return states


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
        assert band.get_datalim(figure.axes[0].transData).height == pytest.approx(
            2 * 2 * BAND, rel=1e-4
        )


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


@pytest.mark.parametrize("name", ["ode_rnn", "gru_d", "rnn_vae", "irregular_latent_ode"])
def test_the_band_of_a_figure_is_that_of_a_forecast(name):
    """Also at targets that are further apart than the observations in training."""
    times = torch.cat([torch.arange(11.0), torch.tensor([13.0, 14.0, 20.0])]) / 20
    values = torch.randn(6 * len(times), 2)
    series = ragged(times.repeat(6), values, torch.full((6,), len(times)), None, None)
    settings = ForecastingConfig(task="extrapolation", batch_size=2)
    data = forecast_data((series, series, series), settings)
    sizes = {"latent": 4, "unit_hidden": 4, "hidden": 4, "head_hidden": 4, "encoder_size": 4}
    config = SeriesModelConfig(name=name, noise_std=None, **sizes)
    build = variational if name in ("rnn_vae", "irregular_latent_ode") else autoregressive
    model = build(config, data, Solver("rk4", num_steps=20), Backprop())
    torch.manual_seed(1)
    expected_next = torch.rand(1)
    torch.manual_seed(1)
    task = SimpleNamespace(kind="extrapolation")
    drawn = irregular_series_figures(SimpleNamespace(model=model, data=data, task=task))
    assert torch.equal(torch.rand(1), expected_next)  # training draws the same numbers
    axis = drawn["reconstruction"].axes[0]
    (line,) = (line for line in axis.lines if line.get_label() == "model")
    (band,) = axis.collections
    (corners,) = [path.vertices for path in band.get_paths()]
    batch = next(iter(data.test)).select(torch.arange(3))
    shown = torch.tensor(line.get_xdata()).float().expand(3, -1)
    with torch.no_grad(), seeded(0, torch.device("cpu")):
        mean, low, high = bands(model, batch.observed, shown, SAMPLES, data.target_gap)
    np.testing.assert_allclose(line.get_ydata(), mean[0, :, 0], atol=1e-5)
    for edge in (low, high):
        gaps = np.abs(corners[:, None, 1] - edge[0, :, 0].numpy())
        gaps += np.abs(corners[:, None, 0] - shown[0].numpy())
        assert gaps.min(0).max() < 1e-5


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
