"""Curves of many runs."""

import pytest

from node_experiments.figures.comparison import curves_figure


@pytest.mark.parametrize(
    ("losses", "scale"),
    [([2.0, 0.1], "log"), ([2.0, 1.0], "linear"), ([2.0, -0.1], "linear")],
)
def test_losses_that_fall_far_are_on_a_logarithmic_axis(losses, scale):
    runs = [[{"epoch": epoch, "loss/train": loss} for epoch, loss in enumerate(losses, 1)]] * 2
    figure = curves_figure({"fp32": runs}, "loss/train", "")
    assert figure.axes[0].get_yscale() == scale
    (line,) = figure.axes[0].lines
    assert list(line.get_ydata()) == losses


def test_a_curve_is_drawn_at_the_epochs_of_its_evaluations():
    """Also where a run was stopped, or evaluated after another number of epochs."""
    whole = [{"epoch": epoch, "loss/train": 1.0} for epoch in range(1, 151)]
    for epoch, mse in ((50, 3.0), (100, 2.0), (150, 1.0)):
        whole[epoch - 1]["mse/test"] = mse
    stopped = [{"epoch": 50, "mse/test": 5.0}, {"epoch": 75, "mse/test": 9.0}]
    stopped.append({"epoch": 100, "mse/test": 4.0})
    figure = curves_figure({"rk4": [whole, stopped], "none": [[]]}, "mse/test", "")
    (line,) = figure.axes[0].lines
    assert list(line.get_xdata()) == [50, 100]
    assert list(line.get_ydata()) == [4.0, 3.0]
    (band,) = figure.axes[0].collections
    assert band.get_datalim(figure.axes[0].transData).intervaly.tolist() == [2.0, 5.0]
