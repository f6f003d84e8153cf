"""Figures can be read at the width of a README, and show nothing that is always zero."""

import itertools

import matplotlib.text
import pytest

from node_experiments.figures.comparison import cost_figure, curves_figure
from node_experiments.figures.labels import label_points
from node_experiments.figures.style import SMALLEST, WIDTH, new_figure, style
from node_experiments.figures.training import training_figure


def rows(scale=1.0, shift=0.0, backward=0.0, count=12):
    return [
        {"epoch": k, "step": 10.0 * k, "nfe/forward": 20.0 + k, "nfe/backward": backward}
        | {f"{name}/{split}": scale / k + shift for name in ("loss", "mse")
           for split in ("train", "validation", "test")}
        for k in range(1, count + 1)
    ]  # fmt: skip


def texts(figure):
    figure.canvas.draw()
    found = figure.findobj(matplotlib.text.Text)
    return [text for text in found if text.get_visible() and text.get_text().strip()]


@pytest.mark.parametrize(
    "figure",
    [
        lambda: training_figure(rows(), rows(), "mse", "run"),
        lambda: curves_figure({"a": [rows()], "b": [rows(2), rows(3)]}, "mse/test", "runs"),
        lambda: cost_figure({"a": rows()}, "nfe/forward", "mse/test", "runs"),
    ],
)
def test_no_letter_is_too_small(figure):
    drawn = figure()
    assert drawn.get_figwidth() <= WIDTH
    assert min(text.get_fontsize() for text in texts(drawn)) >= SMALLEST


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (1, 5), (1, -77), (0.02, 0.09), (1e6, 1)])
def test_every_axis_has_numbers(scale, shift):
    """Also of negative losses, and of values within one decade."""
    figure = training_figure(rows(scale, shift), rows(scale, shift), "mse", "run")
    figure.canvas.draw()
    for axis in figure.axes:
        low, high = axis.get_ylim()
        places = zip(axis.get_yticks(), axis.get_yticklabels(), strict=True)
        assert sum(low <= y <= high and bool(label.get_text()) for y, label in places) >= 2


def test_a_solve_that_is_not_made_is_not_drawn():
    def names(backward):
        figure = training_figure(rows(backward=backward), rows(backward=backward), "mse", "run")
        return [line.get_label() for line in figure.axes[2].lines]

    assert names(0.0) == ["forward solve"]
    assert names(30.0) == ["forward solve", "backward solve"]


def test_a_training_has_no_empty_panel_and_none_twice():
    def titles(metric, forward):
        windows = [{"step": k, "loss/train": 1.0 + k, "nfe/forward": forward} for k in range(3)]
        return [axis.get_title(loc="left") or axis.get_title()
                for axis in training_figure(windows, windows, metric, "run").axes]  # fmt: skip

    assert titles("loss", 0.0) == ["loss"]
    assert titles("loss", 8.0) == ["loss", "function evaluations per solve"]
    assert titles("mse", 0.0) == ["loss", "mean squared error"]


def test_one_evaluation_is_drawn_where_it_was():
    """Not in the middle of a panel whose axis begins near the end of the training."""
    windows = [{"step": 10.0 * k, "loss/train": 1.0 + k} for k in range(1, 13)]
    epochs = [{"step": 120.0, "loss/test": 2.0, "mse/test": 3.0}]
    loss, error = training_figure(windows, epochs, "mse", "run").axes
    assert loss.get_xlim() == error.get_xlim()
    low, high = error.get_xlim()
    assert low <= 0
    assert 120 <= high < 130


def test_names_beside_points_cover_no_other():
    """Also of points that lie together, and at an edge."""
    points = [(0.5, 0.5), (0.51, 0.5), (0.5, 0.52), (0.99, 0.99), (0.01, 0.01)]
    with style():
        figure = new_figure(height=3.0)
        axis = figure.subplots()
        axis.set(xlim=(0, 1), ylim=(0, 1))
        label_points(axis, points, [f"point {k}" for k in range(5)], ["black"] * 5)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in axis.texts]
    assert len(boxes) == 5
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    for box in boxes:
        assert box.x1 <= axis.bbox.x1 + 1


def test_names_of_a_crowd_at_an_edge_cover_no_other():
    """Where every line to a free place runs over another point, the name still goes there."""
    points = [(0.5 + 0.004 * k, 0.05 + 0.004 * (k % 2)) for k in range(9)]
    with style():
        figure = new_figure(height=3.0)
        axis = figure.subplots()
        axis.set(xlim=(0, 1), ylim=(0, 1))
        label_points(axis, points, [f"a long name {k}" for k in range(9)], ["black"] * 9)
    figure.canvas.draw()
    boxes = [
        matplotlib.text.Text.get_window_extent(text) for text in axis.texts
    ]  # without the lines
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_names_that_do_not_touch_their_points_are_joined_to_them():
    points = [(0.5 + 0.01 * k, 0.5) for k in range(6)]
    with style():
        figure = new_figure(height=3.0)
        axis = figure.subplots()
        axis.set(xlim=(0, 1), ylim=(0, 1))
        label_points(axis, points, ["a long name"] * 6, ["black"] * 6)
    near = [text for text in axis.texts if text.arrow_patch is None]
    for text in near:
        assert max(map(abs, text.xyann)) <= 12
    assert 0 < len(near) < 6
