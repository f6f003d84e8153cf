"""Which checkpoint is which, and what a random state holds."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from node_experiments.training.checkpoints import Checkpoints, checkpoint_file, load_checkpoint
from node_experiments.training.loop import Trainer
from node_experiments.training.optimizers import make_optimizer, make_scheduler
from node_experiments.training.random_state import random_state, set_random_state
from node_experiments.training.signals import StopRequest
from node_experiments.training.task import samples_in


def test_of_a_run_the_best_checkpoint_is_read_else_the_last(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for name in ("previous", "last", "best"):
        path = tmp_path / "checkpoints" / f"{name}.pt"
        torch.save({"config": {}, "model": {"name": torch.tensor(len(name))}}, path)
        assert checkpoint_file(tmp_path) == path
        assert int(load_checkpoint(tmp_path)["model"]["name"]) == len(name)


VALIDATION = 2.0


class Course:
    """A task whose validation metric takes the given course over the epochs."""

    metric = "score"

    def __init__(self, scores, higher_is_better):
        self.scores, self.higher_is_better = iter(scores), higher_is_better

    def loss(self, model, batch, step):
        loss = model(batch).square().mean()
        return loss, {}

    def evaluate(self, model, batches):
        is_validation = float(next(iter(batches))[0]) == VALIDATION
        return {"loss": 0.0, "score": next(self.scores) if is_validation else 0.0}


class Batches(list):
    epoch = 0


@pytest.mark.parametrize(
    ("scores", "higher", "best"),
    [
        ([0.1, 0.5, 0.3, 0.4], True, 2),
        ([0.9, 0.2, 0.3, 0.1], False, 4),
        ([0.5, float("nan"), 0.7, 0.5], True, 3),
        ([float("nan"), 0.4, 0.4, float("nan")], False, 2),
        ([0.3, 0.2, 0.1, 0.0], True, 1),
    ],
)
def test_the_best_checkpoint_is_that_of_the_best_epoch(tmp_path, scores, higher, best):
    torch.manual_seed(0)
    model = nn.Linear(1, 1)
    optimizer = make_optimizer(model.parameters(), "sgd", 0.01)
    data = SimpleNamespace(
        train=Batches([torch.ones(2, 1)]),
        validation=[torch.full((2, 1), VALIDATION)],
        test=[torch.ones(2, 1)],
    )
    trainer = Trainer(
        Course(scores, higher), model, optimizer, make_scheduler(optimizer, "none", 4, 1), data,
        [Checkpoints(tmp_path, {"config": {}}, 10, StopRequest())],
        epochs=4, device=torch.device("cpu"),
    )  # fmt: skip
    trainer.fit()
    assert load_checkpoint(tmp_path / "best.pt")["epoch"] == best
    assert load_checkpoint(tmp_path / "last.pt")["epoch"] == 4
    assert trainer.best_epoch.value == scores[best - 1]
    assert trainer.reported["epoch"] == best


def test_what_was_tested_and_how_the_best_epoch_was_chosen_is_known_after_a_resume(tmp_path):
    """Also where nothing is left to be trained, and the metric was undefined."""

    class Undefined(Course):
        def evaluate(self, model, batches):
            loss = super().evaluate(model, batches)["score"]
            return {"loss": loss}

    def make_trainer():
        model = nn.Linear(1, 1)
        optimizer = make_optimizer(model.parameters(), "sgd", 0.01)
        data = SimpleNamespace(
            train=Batches([torch.ones(2, 1)]),
            validation=[torch.full((2, 1), VALIDATION)],
            test=[torch.ones(5, 1)],
            class_counts={},
        )
        return Trainer(
            Undefined([0.3, 0.1, 0.2], True), model, optimizer,
            make_scheduler(optimizer, "none", 3, 1), data, epochs=3, device=torch.device("cpu"),
        )  # fmt: skip

    trainer, resumed = make_trainer(), make_trainer()
    with pytest.warns(UserWarning, match="score is undefined"):
        trainer.fit()
    resumed.load_state_dict(trainer.state_dict())
    resumed.fit()
    for each in (trainer, resumed):
        assert each.tested == 5
        assert each.best_epoch.chosen_by == "loss"
        assert each.reported["epoch"] == 2


def test_every_generator_draws_on_from_a_state():
    def drawn():
        legacy = np.random.random()  # noqa: NPY002
        return random.random(), legacy, float(torch.rand(1))

    drawn()
    state = random_state()
    expected = drawn()
    drawn()
    set_random_state(state)
    assert drawn() == expected


def test_a_lack_of_memory_is_no_damage(tmp_path, monkeypatch):
    (tmp_path / "best.pt").write_bytes(b"")

    def load(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(torch.OutOfMemoryError):
        load_checkpoint(tmp_path / "best.pt")


def test_samples_of_batches():
    x = torch.zeros(3, 2)
    batches = (x, (x, torch.zeros(())), [x], {"x": x, "t": torch.zeros(5)}, {"a": {"x": x}})
    assert [samples_in(batch) for batch in batches] == [3] * 5
    assert [samples_in(batch) for batch in ({}, (), torch.zeros(()))] == [0] * 3
