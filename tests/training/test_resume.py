"""A training that was stopped anywhere and resumed ends as one that was never stopped."""

import logging
import os
import signal
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from node_experiments import files
from node_experiments.training.checkpoints import CheckpointError, Checkpoints, load_last
from node_experiments.training.loop import Callback, Trainer
from node_experiments.training.optimizers import make_optimizer, make_scheduler
from node_experiments.training.signals import Interrupted, StopRequest, stop_on_signals

EPOCHS, STEPS, EVALUATIONS = 3, 4, 2


class Noisy:
    """A task that draws random numbers while it trains and while it is evaluated."""

    metric = "loss"
    higher_is_better = False

    def loss(self, model, batch, step):
        x, y = batch
        noisy = x + 0.1 * torch.randn_like(x)
        loss = ((model(noisy) - y) ** 2).mean()
        return loss, {"error": loss.detach().sqrt()}

    def evaluate(self, model, batches):
        losses = [float(((model(x + torch.randn_like(x)) - y) ** 2).mean()) for x, y in batches]
        return {"loss": sum(losses) / len(losses)}


class Shuffled:
    """The order of an epoch depends on its number alone."""

    epoch = 0

    def __len__(self):
        return STEPS

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.epoch)
        for _ in range(STEPS):
            x = torch.randn(8, 3, generator=generator)
            yield x, x.sum(1, keepdim=True)


class StopAt(Callback):
    """Asks for a stop before the n-th opportunity to stop."""

    def __init__(self, stop, number):
        self.stop, self.number, self.count = stop, number, 0

    def between_steps(self, trainer):
        self.count += 1
        if self.count == self.number:
            self.stop.signum = signal.SIGTERM


def make_trainer(folder, stop_at=None, accumulate=1):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 16), nn.Dropout(0.3), nn.Linear(16, 1))
    optimizer = make_optimizer(model.parameters(), "adam", 0.01)
    steps = -(-STEPS // accumulate)
    scheduler = make_scheduler(optimizer, "one_cycle", EPOCHS * steps, steps)
    x = torch.ones(5, 3)
    data = SimpleNamespace(
        train=Shuffled(), validation=[(x, x[:, :1])] * EVALUATIONS, test=[(x, x[:, :1])]
    )
    stop = StopRequest()
    callbacks = [StopAt(stop, stop_at), Checkpoints(folder, {"config": {}}, 10, stop)]
    return Trainer(
        Noisy(),
        model,
        optimizer,
        scheduler,
        data,
        callbacks,
        epochs=EPOCHS,
        device=torch.device("cpu"),
        log_every=3,
        accumulate=accumulate,
    )


def what_counts(trainer):
    weights = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
    return weights, trainer.history, trainer.windows, trainer.best_epoch.value, trainer.step


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    trainer = make_trainer(tmp_path_factory.mktemp("undisturbed"))
    trainer.fit()
    return what_counts(trainer)


# Between all steps, and between the batches of both evaluations, of every epoch.
@pytest.mark.parametrize("number", range(1, EPOCHS * (STEPS + EVALUATIONS + 1) + 1))
def test_stopped_anywhere_and_resumed_is_the_same_to_the_bit(tmp_path, undisturbed, number):
    trainer = make_trainer(tmp_path / "checkpoints", stop_at=number)
    with pytest.raises(Interrupted):
        trainer.fit()
    resumed = make_trainer(tmp_path / "checkpoints")
    torch.manual_seed(12345)
    resumed.load_state_dict(load_last(tmp_path))
    resumed.fit()
    weights, *rest = what_counts(resumed)
    assert torch.equal(weights, undisturbed[0])
    assert rest == list(undisturbed[1:])


@pytest.mark.parametrize("accumulate", [2, 3])
def test_stopped_while_batches_are_accumulated(tmp_path, accumulate):
    """Three is no divisor of the batches of an epoch."""
    undisturbed = make_trainer(tmp_path / "undisturbed", accumulate=accumulate)
    undisturbed.fit()
    for number in range(1, EPOCHS * (2 + EVALUATIONS + 1) + 1):
        folder = tmp_path / str(number)
        trainer = make_trainer(folder / "checkpoints", number, accumulate)
        with pytest.raises(Interrupted):
            trainer.fit()
        resumed = make_trainer(folder / "checkpoints", accumulate=accumulate)
        resumed.load_state_dict(load_last(folder))
        resumed.fit()
        weights, *rest = what_counts(resumed)
        expected, *others = what_counts(undisturbed)
        assert torch.equal(weights, expected)
        assert rest == others


def test_stopped_again_and_again(tmp_path, undisturbed):
    # An evaluation starts again each time, so it must fit between two stops.
    for _ in range(EPOCHS * (STEPS + EVALUATIONS + 1) + 1):
        trainer = make_trainer(tmp_path / "checkpoints", stop_at=EVALUATIONS + 2)
        checkpoint = load_last(tmp_path)
        if checkpoint is not None:
            trainer.load_state_dict(checkpoint)
        try:
            trainer.fit()
            break
        except Interrupted:
            pass
    weights, *rest = what_counts(trainer)
    assert torch.equal(weights, undisturbed[0])
    assert rest == list(undisturbed[1:])


@pytest.fixture
def saved(tmp_path):
    make_trainer(tmp_path / "checkpoints").fit()
    return tmp_path


def test_last_and_the_one_before_are_kept(saved):
    folder = saved / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == ["best.pt", "last.pt", "previous.pt"]
    assert torch.load(folder / "last.pt", weights_only=True)["epoch"] == EPOCHS
    assert torch.load(folder / "previous.pt", weights_only=True)["epoch"] == EPOCHS - 1


def test_a_checkpoint_cut_at_every_kilobyte_falls_back_with_a_warning(saved, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("node_experiments"), "propagate", True)
    last = saved / "checkpoints" / "last.pt"
    whole = last.read_bytes()
    sizes = range(0, len(whole), 1024)
    assert len(sizes) > 10
    for size in sizes:
        last.write_bytes(whole[:size])
        caplog.clear()
        assert load_last(saved)["epoch"] == EPOCHS - 1
        assert "resuming from previous.pt instead" in caplog.text
    last.unlink()
    assert load_last(saved)["epoch"] == EPOCHS - 1
    (saved / "checkpoints" / "previous.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="damaged"):
        load_last(saved)
    assert load_last(saved / "elsewhere") is None


@pytest.mark.parametrize("size", [0, 1, 4096])
def test_a_full_disk_leaves_the_checkpoints_whole(tmp_path, monkeypatch, size):
    trainer = make_trainer(tmp_path / "checkpoints")
    trainer.epochs = 1
    trainer.fit()
    before = {path.name: path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()}

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def write(self, content):
            self.file.write(bytes(content)[:size])
            raise OSError(28, "No space left on device")

    fdopen = os.fdopen
    monkeypatch.setattr(files.os, "fdopen", lambda handle, mode: Full(fdopen(handle, mode)))
    trainer.epochs = 2
    with pytest.raises(OSError, match="No space left"):
        trainer.fit()
    monkeypatch.undo()
    after = {path.name: path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()}
    assert after == before


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2"])
def test_signals_ask_for_a_stop(name):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        signal.raise_signal(number)
        assert stop.signum == number
    assert signal.getsignal(number) == before
    assert stop.exit_code == (130 if name == "SIGINT" else 144)


def test_a_second_ctrl_c_does_not_wait():
    with stop_on_signals():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_launcher_keeps_its_sigterm():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with stop_on_signals() as stop:
            signal.raise_signal(signal.SIGTERM)
        assert seen == [signal.SIGTERM]
        assert stop.signum is None
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_what_cannot_be_stopped_between_two_steps_stops_at_once(number):
    with stop_on_signals(at_once=True) as stop:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert stop.signum == number
        assert stop.exit_code == (130 if number == signal.SIGINT else 144)
