"""The loop on a problem small enough to know everything about it."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from node_experiments.config import OptimizerConfig
from node_experiments.nn.ode_module import ODEModule
from node_experiments.nn.regularizers import Penalty
from node_experiments.ode import Backprop, Solver, SolveStats
from node_experiments.ode.solution import StepCounts
from node_experiments.training.distributed import Group
from node_experiments.training.loop import Callback, Trainer, TrainingDiverged
from node_experiments.training.optimizers import make_optimizer, make_scheduler
from node_experiments.training.solver_statistics import SolverStatistics


class Regression:
    metric = "error"
    higher_is_better = False

    def loss(self, model, batch, step):
        x, y = batch
        loss = ((model(x) - y) ** 2).mean()
        return loss, {"error": loss.detach().sqrt()}

    def evaluate(self, model, batches):
        losses = [float(((model(x) - y) ** 2).mean()) for x, y in batches]
        mean = sum(losses) / len(losses)
        return {"loss": mean, "error": math.sqrt(mean)}


class Batches(list):
    epoch = 0


class Recorder(Callback):
    def __init__(self):
        self.events = []

    def __getattribute__(self, name):
        if name in vars(Callback) and not name.startswith("_"):
            return lambda trainer: self.events.append(name)
        return super().__getattribute__(name)


def make_trainer(
    callbacks=(), epochs=2, lr=0.1, clip_norm=None, scale=1.0, validation=True, model=None
):
    x = torch.randn(8, 3)
    batch = (x, scale * x.sum(1, keepdim=True))
    data = SimpleNamespace(
        train=Batches([batch, batch, batch]),
        validation=[batch] if validation else None,
        test=[batch],
    )
    model = model or nn.Linear(3, 1)
    optimizer = make_optimizer(model.parameters(), "sgd", lr)
    scheduler = make_scheduler(optimizer, "none", 3 * epochs, 3)
    return Trainer(
        Regression(),
        model,
        optimizer,
        scheduler,
        data,
        callbacks,
        epochs=epochs,
        device=torch.device("cpu"),
        clip_norm=clip_norm,
        log_every=2,
    )


def test_penalties_of_a_model_are_part_of_its_loss():
    """One step, whose gradient is compared with that of loss and penalty by hand."""
    model = ODEModule(nn.Linear(3, 1), Solver("euler", num_steps=1), Backprop())
    model.forward = lambda x: model.vector_field(x) + 0 * solved(model, x)
    penalty = Penalty(0.5, None)

    def solved(model, x):
        model.penalties = {"kinetic": penalty._replace(integral=model.vector_field(x).mean())}
        return 0

    trainer = make_trainer(model=model, epochs=1)
    (x, y) = trainer.data.train[0]
    expected = ((model.vector_field(x) - y) ** 2).mean() + 0.5 * model.vector_field(x).mean()
    loss, metrics = trainer.batch_loss((x, y), 0)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(metrics["regularizer/kinetic"], model.vector_field(x).mean())
    trainer.fit()
    assert "regularizer/kinetic" in trainer.metrics
    assert "regularizer/kinetic" in trainer.window


def test_every_process_leaves_training_mode_to_evaluate():
    """Whatever a callback computes of the model then costs no process a penalty."""
    trainer = make_trainer()
    trainer.group = Group(rank=1)
    trainer.model.train()
    assert trainer.evaluate(trainer.data.test) == {}
    assert not trainer.model.training


def test_order_of_events():
    recorder = Recorder()
    make_trainer([recorder], epochs=1).fit()
    step = ["step_start", "after_loss", "after_backward", "step_end"]
    assert recorder.events == [
        "fit_start",
        "epoch_start",
        *step,
        "between_steps",
        *step,
        "log",
        "between_steps",
        *step,
        "log",
        "between_steps",
        "between_steps",  # in the evaluation on validation data
        "between_steps",  # and on test data
        "evaluate",
        "epoch_end",
        "fit_end",
    ]


def test_fit_end_comes_also_after_an_error():
    recorder = Recorder()
    trainer = make_trainer([recorder], epochs=3, lr=1e20)
    with pytest.raises(TrainingDiverged, match=r"lower optimizer\.lr"):
        trainer.fit()
    assert recorder.events[-1] == "fit_end"


def test_loss_falls_and_the_best_epoch_is_known():
    trainer = make_trainer(epochs=10)
    trainer.fit()
    losses = [row["loss/train"] for row in trainer.history]
    assert losses[-1] < 0.1 * losses[0]
    assert [row["epoch"] for row in trainer.history] == list(range(1, 11))
    assert trainer.best_epoch.value == min(row["error/validation"] for row in trainer.history)
    assert trainer.step == 30


def test_epochs_between_evaluations_have_no_metrics_of_them_and_no_checkpoint_that_is_best():
    improved = []

    class Watcher(Callback):
        def epoch_end(self, trainer):
            improved.append(trainer.best_epoch.improved)

    trainer = make_trainer([Watcher()], epochs=5)
    trainer.evaluate_every = 2
    trainer.fit()
    for row in trainer.history:
        evaluated = row["epoch"] in (2, 4, 5)
        assert {"error/validation" in row, "error/test" in row} == {evaluated}
        assert {"loss/train", "lr"} <= row.keys()
    assert improved[:3] == [False, True, False]
    evaluated = [row for row in trainer.history if "error/validation" in row]
    assert trainer.best_epoch.value == min(row["error/validation"] for row in evaluated)


def test_without_validation_there_is_no_best():
    trainer = make_trainer(validation=False)
    trainer.fit()
    assert trainer.best_epoch.value is None
    assert not trainer.best_epoch.improved


def test_clipping_bounds_the_step():
    trainer = make_trainer(epochs=1, lr=1.0, clip_norm=1e-3, scale=100.0)
    trainer.optimizer.param_groups[0]["momentum"] = 0.0
    before = torch.cat([p.detach().clone().flatten() for p in trainer.model.parameters()])
    trainer.fit()
    after = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
    assert float((after - before).norm()) <= 3 * 1e-3 * 1.001


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("none", {}, [1, 1, 1, 1, 1, 1]),
        ("step", {"epochs": [1, 2], "factor": 0.1}, [1, 1, 0.1, 0.1, 0.01, 0.01]),
        ("exponential", {"factor": 0.5, "floor": 0.2}, [1, 0.5, 0.25, 0.2, 0.2, 0.2]),
        ("cosine", {}, [(1 + math.cos(math.pi * n / 6)) / 2 for n in range(6)]),
    ],
)
def test_schedules_count_steps(name, options, expected):
    optimizer = make_optimizer(nn.Linear(1, 1).parameters(), "sgd", 1.0)
    scheduler = make_scheduler(optimizer, name, total_steps=6, steps_per_epoch=2, **options)
    rates = []
    for _ in range(6):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx(expected)


def test_one_cycle_rises_to_the_rate_and_ends_near_zero():
    optimizer = make_optimizer(nn.Linear(1, 1).parameters(), "sgd", 1.0)
    scheduler = make_scheduler(optimizer, "one_cycle", total_steps=100, steps_per_epoch=10)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert max(rates) == pytest.approx(1.0, abs=1e-3)
    assert rates.index(max(rates)) in (29, 30)
    assert rates[-1] < 0.01


@pytest.mark.parametrize(
    ("name", "options", "highest", "lowest"),
    [
        ("sgd", {}, 0.95, 0.85),
        ("sgd", {"momentum": 0.5}, 0.75, 0.25),
        ("sgd", {"momentum": 0.0}, 0.0, 0.0),
        ("adam", {}, 0.95, 0.85),
        ("adam", {"beta1": 0.8}, 0.9, 0.7),
        ("rmsprop", {"momentum": 0.0}, 0.0, 0.0),
    ],
)
def test_one_cycle_moves_the_momentum_that_was_asked_for(name, options, highest, lowest):
    optimizer = make_optimizer(nn.Linear(1, 1).parameters(), name, 1.0, **options)
    scheduler = make_scheduler(optimizer, "one_cycle", total_steps=100, steps_per_epoch=10)
    found = []
    for _ in range(100):
        group = optimizer.param_groups[0]
        found.append(group["momentum"] if "momentum" in group else group["betas"][0])
        optimizer.step()
        scheduler.step()
    assert found[0] == max(found) == highest
    assert min(found) == pytest.approx(lowest, abs=2e-3)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sgd", {"lr": 0.2, "weight_decay": 0.3, "momentum": 0.4, "nesterov": True}),
        ("adam", {"lr": 0.2, "weight_decay": 0.3, "beta1": 0.4, "beta2": 0.5}),
        ("adamw", {"lr": 0.2, "weight_decay": 0.3, "beta1": 0.4, "beta2": 0.5}),
        ("adamax", {"lr": 0.2, "weight_decay": 0.3, "beta1": 0.4, "beta2": 0.5}),
        ("rmsprop", {"lr": 0.2, "weight_decay": 0.3, "momentum": 0.4}),
    ],
)
def test_every_setting_of_an_optimizer_arrives(name, options):
    assert tuple(options) == OptimizerConfig.SETTINGS[name]
    found = make_optimizer([nn.Parameter(torch.zeros(1))], name, **options).defaults
    if "betas" in found:
        found["beta1"], found["beta2"] = found["betas"]
    assert {setting: found[setting] for setting in options} == options


@pytest.mark.parametrize(("name", "left"), [("adamw", 1.0 - 0.2 * 0.3), ("adam", 1.0 - 0.2)])
def test_the_weight_decay_of_adamw_is_not_a_gradient(name, left):
    """Adam's first step is as long as the rate, whatever the gradient."""
    weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = make_optimizer([weight], name, lr=0.2, weight_decay=0.3)
    weight.grad = torch.zeros_like(weight)
    optimizer.step()
    assert weight.item() == pytest.approx(left)


def test_windows_hold_the_means_of_their_own_steps_at_the_steps_of_the_whole_run():
    class Counting(Regression):
        def loss(self, model, batch, step):
            loss, _ = super().loss(model, batch, step)
            return 0 * loss + step, {"twice": torch.tensor(2.0 * step)}

    trainer = accumulating([2] * 6, 1, epochs=2, task=Counting())
    trainer.log_every = 4
    trainer.fit()
    # Steps 0 to 3, 4 and 5 to the end of the epoch, and so on.
    assert [window["step"] for window in trainer.windows] == [4, 6, 10, 12]
    assert [window["loss/train"] for window in trainer.windows] == [1.5, 4.5, 7.5, 10.5]
    assert [window["twice/train"] for window in trainer.windows] == [3, 9, 15, 21]
    assert [row["loss/train"] for row in trainer.history] == [2.5, 8.5]
    assert [row["step"] for row in trainer.history] == [6, 12]


def accumulating(sizes, accumulate, epochs=2, clip_norm=None, task=None):
    """A trainer on batches of these sizes, of the same 12 samples whatever the sizes."""
    torch.manual_seed(0)
    x = torch.randn(12, 3, dtype=torch.float64)
    y = x.sum(1, keepdim=True) + 1
    model = nn.Linear(3, 1).double()
    train = Batches(zip(x.split(sizes), y.split(sizes), strict=True))
    steps = math.ceil(len(sizes) / accumulate)
    optimizer = make_optimizer(model.parameters(), "adam", 0.1)
    return Trainer(
        task or Regression(), model, optimizer,
        make_scheduler(optimizer, "one_cycle", epochs * steps, steps),
        SimpleNamespace(train=train, validation=None, test=[(x, y)]),
        epochs=epochs, device=torch.device("cpu"), clip_norm=clip_norm, log_every=1,
        accumulate=accumulate,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("small", "accumulate", "large"),
    [
        ([4, 4, 4], 3, [12]),
        ([5, 5, 2], 3, [12]),  # a last batch that is smaller
        ([3, 3, 3, 3], 3, [9, 3]),  # a last step of fewer batches
        ([5, 4, 2, 1], 2, [9, 3]),
        ([6, 6], 5, [12]),
    ],
)
@pytest.mark.parametrize("clip_norm", [None, 0.01])
def test_accumulated_batches_are_one_large_batch(small, accumulate, large, clip_norm):
    one = accumulating(large, 1, clip_norm=clip_norm)
    many = accumulating(small, accumulate, clip_norm=clip_norm)
    one.fit()
    many.fit()
    assert many.step == one.step == 2 * len(large)
    for a, b in zip(one.model.parameters(), many.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    rates = [[window["lr"] for window in trainer.windows] for trainer in (one, many)]
    assert rates[0] == rates[1]
    losses = [[window["loss/train"] for window in trainer.windows] for trainer in (one, many)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


def test_every_solve_of_an_accumulated_step_is_counted():
    """Solves of 1, 2 and 3 evaluations in an epoch of two steps: a mean of 2 each."""

    class Counts(Callback):
        def step_start(self, trainer):
            self.batches = 0

        def after_loss(self, trainer):
            solving.solves = [SolveStats(StepCounts(evaluations=1 + len(taken)))]
            taken.append(trainer.step)

    taken = []
    solving = ODEModule(nn.Linear(3, 1), Solver("euler", num_steps=1), Backprop())
    trainer = accumulating([4, 4, 4], 2, epochs=1)
    trainer.model.add_module("solving", solving)
    trainer.callbacks = [Counts(), SolverStatistics()]
    trainer.fit()
    assert taken == [0, 0, 1]
    assert [window["nfe/forward"] for window in trainer.windows] == [1.5, 3.0]
    assert trainer.metrics["nfe/forward"] == 2.0


@pytest.mark.parametrize(("accumulate", "steps"), [(1, 3), (2, 2), (3, 1), (5, 1)])
def test_a_loss_in_epochs_counts_steps_of_the_optimizer(accumulate, steps):
    """A warm-up over epochs takes as many of them whatever a step is made of."""

    class Warming(Regression):
        steps_per_epoch = 1

        def loss(self, model, batch, step):
            epochs.append(step / self.steps_per_epoch)
            return super().loss(model, batch, step)

    epochs = []
    trainer = accumulating([4, 4, 4], accumulate, epochs=2, task=Warming())
    trainer.fit()
    assert trainer.task.steps_per_epoch == steps
    assert epochs[0] == 0
    assert epochs[3] == 1, "the second epoch begins here"
