"""What the measuring callbacks count, on models where the right number is known."""

import pytest
import torch
from torch import nn

from node_experiments.chapters.image_classification.ode_block import ODEBlock
from node_experiments.ode import Adjoint, Backprop, Solver
from node_experiments.training import timing
from node_experiments.training.device import DeviceError, select_device
from node_experiments.training.loop import Callback
from node_experiments.training.memory import SavedBytes
from node_experiments.training.solver_statistics import (
    CountedBatches,
    SolverStatistics,
    solve_statistics,
)

from .test_loop import Batches, make_trainer


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, t, y):
        return self.layer(y)


def ode_model(gradient):
    return nn.Sequential(ODEBlock(Linear(), Solver("rk4", num_steps=2), gradient), nn.Linear(3, 1))


@pytest.mark.parametrize(("gradient", "backward"), [(Adjoint(), 8), (Backprop(), 0)])
def test_evaluations_are_means_per_solve(gradient, backward):
    trainer = make_trainer([SolverStatistics()], epochs=2, lr=0.01, model=ode_model(gradient))
    trainer.fit()
    for row in (*trainer.history, *trainer.windows):
        assert row["nfe/forward"] == 8
        assert row["nfe/backward"] == backward
        assert (row["solver/accepted"], row["solver/rejected"]) == (2, 0)


def test_an_evaluation_counts_the_solves_of_all_batches():
    model = nn.Sequential(ODEBlock(Linear(), Solver("dopri5"), Backprop()), nn.Linear(3, 1))
    trainer = make_trainer(model=model)
    easy, hard = ((size * torch.ones(2, 3), torch.zeros(2, 1)) for size in (1e-9, 1e3))
    counts = []
    for batches in ([easy], [hard], [easy, hard, hard]):
        counted = CountedBatches(Batches(batches), model)
        trainer.evaluate(counted)
        assert counted.solves == len(batches)
        counts.append(counted.evaluations)
    assert counts[0] != counts[1]
    assert counts[2] == counts[0] + 2 * counts[1]


def test_models_without_solves_have_no_solver_metrics():
    trainer = make_trainer([SolverStatistics()], epochs=1)
    trainer.fit()
    assert not solve_statistics(trainer.model)
    assert "nfe/forward" not in trainer.history[0]


def test_saved_bytes_of_a_product():
    """x @ w saves x; the parameter w exists anyway and is not counted."""
    layer = nn.Linear(4, 5, bias=False)
    x = torch.randn(6, 4)
    with SavedBytes(layer) as counter:
        layer(x)
    assert counter.total == 6 * 4 * 4


def test_saved_bytes_count_a_storage_once():
    x = torch.randn(10, requires_grad=True)
    with SavedBytes(nn.Identity()) as counter:
        _ = x * x * x
    assert counter.total == 2 * 10 * 4


def test_a_device_that_is_not_there():
    missing = "mps" if not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(DeviceError, match=r"available: .*cpu"):
        select_device(missing)
    assert select_device("cpu").type == "cpu"
    assert select_device("auto").type in ("cpu", "cuda", "mps")


def test_time_is_that_of_batches_steps_and_evaluations(monkeypatch):
    class Clock(Callback):
        now = 0.0

        def perf_counter(self):
            return self.now

        def after_loss(self, trainer):
            self.now += 10

        def evaluate(self, trainer):
            self.now += 100

    class SlowBatches(Batches):
        def __iter__(self):
            for batch in super().__iter__():
                clock.now += 2
                yield batch

    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    trainer = make_trainer([clock, timing.Timing()], epochs=2)
    trainer.data.train = SlowBatches(trainer.data.train)
    trainer.fit()
    for metrics in trainer.history:
        assert metrics["time/data_seconds"] == 2
        assert metrics["time/step_seconds"] == 2 + 10
        assert metrics["time/epoch_seconds"] == 3 * (2 + 10) + 100
