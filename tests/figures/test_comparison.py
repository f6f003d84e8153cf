"""Curves of many runs."""

import pytest

from node_experiments.figures.comparison import curves_figure


@pytest.mark.parametrize(
    ("losses", "scale"),
    [([2.0, 0.1], "log"), ([2.0, 1.0], "linear"), ([2.0, -0.1], "linear")],
)
def test_losses_that_fall_far_are_on_a_logarithmic_axis(losses, scale):
    runs = [[{"loss/train": loss} for loss in losses]] * 2
    figure = curves_figure({"fp32": runs}, "loss/train", "")
    assert figure.axes[0].get_yscale() == scale
    (line,) = figure.axes[0].lines
    assert list(line.get_ydata()) == losses
