"""Stick figures of the Hopper: the body is MuJoCo's, and the figure says what it shows."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from node_experiments.chapters import datasets
from node_experiments.chapters.irregular_series import hopper_figures as hopper_figures
from node_experiments.chapters.irregular_series.forecast_data import forecast_data
from node_experiments.chapters.irregular_series.hopper import BODY, FEATURES, STEPS, on_grid
from node_experiments.chapters.irregular_series.hopper_body import BODIES, OFFSETS, STICKS, sticks
from node_experiments.chapters.irregular_series.settings import ForecastingConfig
from node_experiments.chapters.irregular_series.time_unit import TimeUnit
from node_experiments.data.scaling import Scaling
from node_experiments.runner import build

# What sticks have and capsules have not, in metres.
LONGER_BEFORE = {"nose": np.hypot(0.08, 0.08 / 7)}
LONGER_AFTER = {"pelvis": 0.05}


@pytest.fixture(scope="module")
def physics():
    mujoco = pytest.importorskip("mujoco", reason="the extra `mujoco` is not installed")
    model = mujoco.MjModel.from_xml_path(str(BODY))
    data = mujoco.MjData(model)

    def at(position):
        data.qpos[:] = position
        mujoco.mj_kinematics(model, data)
        return data

    return SimpleNamespace(model=model, at=at)


def test_the_order_of_positions_and_the_offsets_are_those_of_the_model(physics):
    model = physics.model
    joints = [model.joint(i).name for i in range(model.njnt)]
    words = [name.split()[-1 if "torso" in name else 0] for name in FEATURES[:7]]
    assert words == joints == ["x", "z", "pitch", "waist", "hip", "knee", "ankle"]
    for body, offset in OFFSETS.items():
        np.testing.assert_allclose(model.body(body).pos, [0, 0, offset])
    assert model.opt.timestep * STEPS == 1  # so that times are seconds


def test_sticks_are_where_mujoco_has_its_capsules(physics):
    generator = torch.Generator().manual_seed(0)
    positions = 4 * torch.rand(20, 7, generator=generator, dtype=torch.float64) - 2
    for position, ends in zip(positions, sticks(positions), strict=True):
        data = physics.at(position.numpy())
        for name, stick in zip(STICKS, ends.numpy(), strict=True):
            geometry = data.geom(name)
            along = geometry.xmat.reshape(3, 3)[:, 2] * physics.model.geom(name).size[1]
            capsule = np.stack([geometry.xpos - along, geometry.xpos + along])[:, [0, 2]]
            # A longer stick continues in the direction of its capsule.
            length = np.linalg.norm(stick[1] - stick[0])
            direction = (stick[1] - stick[0]) / length
            beside = (capsule - stick[0]) @ np.array([-direction[1], direction[0]])
            np.testing.assert_allclose(beside, 0, atol=1e-6)
            beyond = sorted((capsule - stick[0]) @ direction)
            before = LONGER_BEFORE.get(name, 0)
            after = length - LONGER_AFTER.get(name, 0)
            np.testing.assert_allclose(beyond, [before, after], atol=1e-6)
        hip = ends[list(STICKS).index("pelvis"), 1]
        np.testing.assert_allclose(hip, data.body("thigh").xpos[[0, 2]], atol=1e-9)


def test_a_body_hangs_together():
    ends = dict(zip(STICKS, sticks(torch.randn(3, 7)).unbind(1), strict=True))
    for upper, lower in (("pelvis", "thigh"), ("thigh", "calf")):
        torch.testing.assert_close(ends[upper][:, 1], ends[lower][:, 0])
    torch.testing.assert_close(ends["torso"][:, 0], ends["pelvis"][:, 0])
    assert BODIES == ("torso", "pelvis", "thigh", "calf", "foot")


class Knows(torch.nn.Module):
    """A model that says the truth, moved by some metres or to something that is no number."""

    def __init__(self, truth, off=0.0):
        super().__init__()
        self.log_noise_std = torch.tensor(-3.0)
        self.truth, self.off = truth, off

    def encode(self, observed):
        return torch.zeros(1, 1), torch.zeros(1, 1)

    def forecast(self, z0, observed, times, gap):
        return (self.truth + self.off).expand(len(z0), -1, -1, -1)

    def means(self, states):
        return states


def drawn(monkeypatch, off=0.0, task="interpolation", states=None):
    """The figure and, of truth and model, the sticks as they are in it."""
    monkeypatch.setitem(sys.modules, "mujoco", None)
    shown, draw_bodies = {}, hopper_figures.draw_bodies

    def keep(axis, ends, **look):
        shown[look["label"]] = ends
        draw_bodies(axis, ends, **look)

    monkeypatch.setattr(hopper_figures, "draw_bodies", keep)
    if states is None:
        states = torch.randn(3, 1, 14) + torch.linspace(0, 1, 60).view(-1, 1)
    series = on_grid(states)
    scale = Scaling.fit(series, "official_code")
    parts = [scale(series)] * 3
    data = forecast_data(
        parts,
        ForecastingConfig(task=task, observed_fraction=0.2, batch_size=1),
        features=FEATURES,
        time_unit=TimeUnit("s"),
        scaling=scale,
    )
    truth = next(iter(data.test)).target.values[:1]
    trainer = SimpleNamespace(model=Knows(truth, off), data=data, task=SimpleNamespace(kind=task))
    figures = hopper_figures.hopper_figures(trainer)
    assert list(figures) == ["hopper"]
    figures["hopper"].canvas.draw()
    return figures["hopper"], shown, states


def test_a_model_that_knows_is_drawn_over_the_truth(monkeypatch):
    figure, shown, states = drawn(monkeypatch)
    torch.testing.assert_close(shown["model"], shown["truth"], atol=1e-4, rtol=0)
    assert shown["truth"].shape == (8, 6, 2, 2)
    # The values are unscaled again: heights are those of the states, in metres.
    heights = sticks(states[0, [0, -1]])[..., 1]
    torch.testing.assert_close(shown["truth"][[0, -1]][..., 1], heights, atol=1e-4, rtol=0)
    (axis,) = figure.axes
    assert axis.get_xlabel() == "time (s)"
    assert axis.get_ylabel() == "height (m)"
    (seen,) = [line for line in axis.lines if line.get_label() == "observations"]
    assert len(seen.get_xdata()) == 12
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["truth", "model", "joins truth and model", "observations"]


def test_only_runs_of_the_hopper_show_it(monkeypatch):
    own = "node_experiments.chapters.irregular_series.hopper_figures:hopper_figures"
    assert {name for name, dataset in datasets().items() if dataset.figures == own} == {"hopper"}
    monkeypatch.setattr(
        build,
        "resolve",
        lambda name: lambda trainer: {"hopper" if name == own else "reconstruction": trainer},
    )
    for dataset, expected in (
        ("hopper", {"reconstruction", "hopper"}),
        ("periodic", {"reconstruction"}),
    ):
        config = SimpleNamespace(
            model=SimpleNamespace(name="ode_rnn"), dataset=SimpleNamespace(name=dataset)
        )
        assert set(build.build_figures(config)(None)) == expected


def test_extrapolation_shows_what_was_seen_without_a_model(monkeypatch):
    _, shown, _ = drawn(monkeypatch, task="extrapolation")
    said = shown["model"].isfinite().all(-1).all(-1).all(-1)
    assert said.tolist() == [False] * 4 + [True] * 4
    assert bool(shown["truth"].isfinite().all())


@pytest.mark.parametrize("off", [1e6, float("nan"), float("inf")])
def test_a_model_far_off_does_not_spoil_the_figure(monkeypatch, off):
    figure, shown, _ = drawn(monkeypatch, off)
    low, high = figure.axes[0].get_ylim()
    top = float(shown["truth"][..., 1].max())
    assert low < 0 < top < high < top + 1


def test_one_point_of_time_is_enough(monkeypatch):
    _, shown, _ = drawn(monkeypatch, states=torch.randn(3, 1, 14))
    assert shown["truth"].shape == (1, 6, 2, 2)
