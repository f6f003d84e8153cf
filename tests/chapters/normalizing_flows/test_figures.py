"""The film of a flow: it begins with noise and ends with the trained density."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from node_experiments.chapters.normalizing_flows import figures as flow_figures
from node_experiments.chapters.normalizing_flows.chapter import PlanarCNFConfig, PointsConfig
from node_experiments.chapters.normalizing_flows.flow import normal_log_density
from node_experiments.chapters.normalizing_flows.flows import planar_cnf
from node_experiments.chapters.normalizing_flows.grid import square_grid
from node_experiments.chapters.normalizing_flows.panels import FRACTIONS, flow_panels, in_255ths
from node_experiments.chapters.normalizing_flows.planar_nf import PlanarNF
from node_experiments.chapters.normalizing_flows.point_sets import point_data
from node_experiments.ode import Backprop, Solver

DATA = point_data(PointsConfig(name="two_moons", batch_size=16, batches=1, test_size=50))


def far_from_the_identity():
    """A flow that leaves nothing of the noise it begins with."""
    model = planar_cnf(
        PlanarCNFConfig(units=8, base_std=0.7),
        SimpleNamespace(dim=2),
        Solver("dopri5", 1e-5, 1e-5),
        Backprop(),
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return model


@pytest.fixture
def film(monkeypatch):
    shown = SimpleNamespace(densities=[], samples=[], titles=[])
    draw_density, draw_points = flow_figures.draw_density, flow_figures.draw_points

    def density(axis, values, half_width):
        shown.densities.append(values)
        draw_density(axis, values, half_width)

    def points(axis, values, half_width):
        shown.samples.append(values)
        draw_points(axis, values, half_width)

    monkeypatch.setattr(flow_figures, "draw_density", density)
    monkeypatch.setattr(flow_figures, "draw_points", points)
    shown.model = far_from_the_identity()
    for figure in flow_figures.flow_frames(SimpleNamespace(model=shown.model, data=DATA)):
        shown.titles.append(figure.get_suptitle())
        assert all(axis.get_xlabel() == "$z_1$ (data units)" for axis in figure.axes)
    return shown


def test_the_first_frame_is_the_noise_and_the_last_the_flow(film):
    assert film.titles[0] == "0 % of the way from noise to data"
    assert film.titles[-1] == "100 % of the way from noise to data"
    assert len(set(film.titles)) == len(film.titles)
    grid = square_grid(DATA.half_width, 50)
    noise = in_255ths(normal_log_density(grid.reshape(-1, 2), 0.7).reshape(50, 50))
    trained = flow_panels(film.model, DATA, [1.0], points=50)["densities"][0]
    apart = [np.abs(density.astype(int) - noise).max() for density in film.densities]
    assert apart[0] <= 5
    assert apart[-1] > 50
    np.testing.assert_array_equal(film.densities[-1], trained)
    draws = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(film.samples[0].astype("f4"), 0.7 * draws, atol=0.03)


def test_a_flow_without_time_has_no_film():
    trainer = SimpleNamespace(model=PlanarNF(2, 2), data=DATA)
    assert list(flow_figures.flow_frames(trainer)) == []


def test_panels_are_at_the_times_of_the_paper():
    assert FRACTIONS == (0.05, 0.2, 0.4, 0.6, 0.8, 1.0)
    figure = flow_figures.flow_figure(flow_panels(PlanarNF(2, 2), DATA, points=10), "untrained")
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles[:7] == ["5 %", "20 %", "40 %", "60 %", "80 %", "100 %", "target"]


def test_panels_are_computed_once_for_a_step(monkeypatch):
    computed = []
    monkeypatch.setattr(flow_figures, "flow_panels", lambda model, data: computed.append(1) or {})
    trainer = SimpleNamespace(model=PlanarNF(2, 2), data=DATA, step=5)
    flow_figures.panels_now(trainer)
    flow_figures.panels_now(trainer)
    assert len(computed) == 1
    trainer.step = 6
    flow_figures.panels_now(trainer)
    trainer.model = PlanarNF(2, 2)
    flow_figures.panels_now(trainer)
    assert len(computed) == 3
