"""What is shown while a run trains, at any width, and what is warned of."""

import io
import logging
import warnings
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from node_experiments.runner import messages
from node_experiments.tracking.progress import (
    Clock,
    ProgressLines,
    duration,
    in_one_line,
    progress_line,
)
from node_experiments.tracking.run_log import warnings_shown_once

NUMBERS = ["loss 2.2926", "accuracy 0.1336", "4.10 steps/s", "NFE 24+20"]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140, 200])
@pytest.mark.parametrize("numbers", [["starting"], NUMBERS])
def test_epoch_count_and_time_left_are_always_there(width, numbers):
    line = progress_line(width, "epoch 12/160", 2450, 279000, "10:00:00", numbers, "0:01:00").plain
    assert len(line) < width or width == 40
    for part in ("epoch 12/160", "2450/279000", "left 10:00:00"):
        assert part in line
    if width >= 60:
        assert numbers[0] in line
    if width >= 140:
        assert all(number in line for number in numbers)
        assert "elapsed 0:01:00" in line


EPOCH = {
    "epoch": "epoch 12/160", "train": "train loss 2.3125 accuracy 0.1094",
    "validation": "validation loss 2.3276 accuracy 0.0781",
    "test": "test loss 2.3117 accuracy 0.0938", "nfe": "NFE 24.0 + 20.0",
    "speed": "16.60 steps/s", "seconds": "239.6 s",
}  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_line_of_an_epoch_is_one_line(width, monkeypatch):
    """Of a terminal; where there is none, and in the log file, it is whole."""
    shown = io.StringIO()
    record = logging.makeLogRecord({"msg": "whole", "in_one_line": partial(in_one_line, EPOCH)})
    for terminal in (True, False):
        console = Console(file=shown, width=width, force_terminal=terminal)
        monkeypatch.setattr(messages, "console", console)
        messages.ConsoleHandler().emit(record)
    line, whole, end = shown.getvalue().split("\n")
    assert (whole, end) == ("whole", "")
    assert len(line) < width
    assert line.startswith("epoch 12/160 | ")
    assert "validation loss 2.3276 accuracy 0.0781" in line
    assert ("train loss" in line) == ("test loss" in line) == (width == 140)


@pytest.mark.parametrize("terminal", [True, False])
def test_messages_break_between_words_and_paths_stay_whole(terminal, monkeypatch):
    shown = io.StringIO()
    console = Console(file=shown, width=20, force_terminal=terminal)
    monkeypatch.setattr(messages, "console", console)
    messages.show("folder [a] of :x: in /a/path/of/many/characters and\n  a row\n")
    # A log file has one line, so that a search finds it.
    gap = "\n" if terminal else " "
    path = f"{gap}/a/path/of/many/characters{gap}"
    assert shown.getvalue() == f"folder [a] of :x: in{path}and\n  a row\n\n"


def test_a_bar_is_as_full_as_the_training_is():
    line = progress_line(140, "epoch 1/2", 50, 100, "0:00:01", [], "0:00:01")
    assert line.plain.count("━") == 24
    assert progress_line(140, "e", 0, 0, "-:--:--", [], "0:00:00").plain.count("━") == 24


def test_time_left_is_unknown_before_a_step():
    assert Clock(5).left(5, 10) is None
    assert duration(None) == "-:--:--"
    assert duration(3661.2) == "1:01:01"


def trainer(step):
    return SimpleNamespace(
        epoch=0, epochs=2, step=step, window={}, model=torch.nn.Linear(1, 1),
        task=SimpleNamespace(metric="accuracy"), steps_per_epoch=10,
    )  # fmt: skip


@pytest.fixture
def records():
    """What is logged, whatever other tests have done to handlers."""
    found = []
    handler = logging.Handler()
    handler.emit = found.append
    log = logging.getLogger("node_experiments")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    yield found
    log.removeHandler(handler)
    log.setLevel(level)


@pytest.mark.parametrize(("shown", "level"), [(True, logging.INFO), (False, logging.DEBUG)])
def test_a_line_every_half_minute_without_a_terminal(records, monkeypatch, shown, level):
    now = 0.0
    monkeypatch.setattr("node_experiments.tracking.progress.time.monotonic", lambda: now)
    lines = ProgressLines(shown)
    lines.fit_start(trainer(0))
    for step in range(1, 8):
        now = 10.0 * step
        lines.step_end(trainer(step))
    assert [record.levelno for record in records] == [level] * 2
    assert [record.getMessage() for record in records] == [
        "epoch 1/2 | step 3/20 | left 0:02:50", "epoch 1/2 | step 6/20 | left 0:02:20",
    ]  # fmt: skip


@pytest.mark.filterwarnings("default")
def test_a_warning_is_shown_once_and_counted(records):
    log = logging.getLogger("node_experiments.test")
    with warnings_shown_once(log) as warned:
        for error in (1.4e-1, 2.5e-3, 3.0):
            warnings.warn(f"a relative error of {error:.1e}\ncannot be trusted", stacklevel=1)
        warnings.warn("another one", stacklevel=1)
    messages = [record.getMessage() for record in records]
    assert messages == [
        "warning: a relative error of 1.4e-01 cannot be trusted",
        "warning: another one",
        "warned 3 times: a relative error of 1.4e-01 cannot be trusted",
    ]
    assert warned.counts() == {
        "a relative error of 1.4e-01 cannot be trusted": 3,
        "another one": 1,
    }
    assert not any(".py" in line for line in messages)
