"""When figures are drawn, where they are shown, and what they may not change."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from node_experiments.tracking import figures
from node_experiments.tracking.animation import Film
from node_experiments.tracking.arrays import Arrays
from node_experiments.tracking.figures import Figures
from node_experiments.training.loop import Trainer


def trainer_at(epoch, epochs=4, steps=7, stopped=False):
    trainer = SimpleNamespace(
        task=SimpleNamespace(metric="accuracy"), windows=[], history=[], epoch=epoch,
        epochs=epochs, step=steps * epoch, is_evaluated=lambda epoch: epoch % 2 == 0,
        best_epoch=SimpleNamespace(stopped=stopped),
    )  # fmt: skip
    trainer.is_last = Trainer.is_last.fget(trainer)
    return trainer


@pytest.fixture
def shown(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "training_figure", lambda *given: Figure())
    found = []
    drawn = Figures(
        tmp_path, lambda name, figure, step: found.append((name, step)), "run",
        lambda trainer: {"errors": Figure(figsize=(1, float(torch.rand(1)) + 1))},
    )  # fmt: skip
    drawn.fit_start(None)
    return drawn, found


def test_pictures_are_shown_at_the_steps_of_evaluations(shown, tmp_path):
    drawn, found = shown
    for epoch in range(1, 5):
        drawn.epoch_end(trainer_at(epoch))
    assert found == [("training", 14), ("errors", 14), ("training", 28), ("errors", 28)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["errors.png", "training.png"]


def test_the_last_epoch_is_always_drawn(shown):
    drawn, found = shown
    drawn.epoch_end(trainer_at(3, epochs=3))
    assert len(found) == 2


def test_the_epoch_after_which_a_run_is_stopped_is_the_last(shown, monkeypatch):
    drawn, found = shown
    monkeypatch.setattr(figures, "SECONDS", 0.0)
    monkeypatch.setattr(figures, "MAX_FRACTION", 0.0)  # what was drawn once took too long
    for epoch in (2, 4, 6):
        drawn.epoch_end(trainer_at(epoch, epochs=9, stopped=epoch == 6))
    assert [step for name, step in found if name == "training"] == [14, 42]


@pytest.mark.parametrize(
    ("kind", "content"), [(Arrays, {"x": np.zeros(2)}), (Film, [Figure(figsize=(1, 1))])]
)
def test_what_is_kept_of_the_end_is_that_of_a_run_that_was_stopped(tmp_path, kind, content):
    path = tmp_path / "kept"
    kept = kind(path, lambda trainer: content)
    kept.epoch_end(trainer_at(2, epochs=9))
    assert not path.exists()
    kept.epoch_end(trainer_at(4, epochs=9, stopped=True))
    assert path.exists()


def test_what_is_drawn_at_random_changes_no_training(shown):
    drawn, _ = shown
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    drawn.epoch_end(trainer_at(2))
    assert torch.equal(torch.rand(1), expected)
