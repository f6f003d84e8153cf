"""The trajectories of the demonstration."""

import pytest
import torch

from node_experiments.chapters.toy.chapter import CubicSpiralConfig
from node_experiments.chapters.toy.cubic_spiral import (
    HELD_OUT_START,
    MATRIX,
    START,
    cubic_spiral_data,
)
from node_experiments.errors import DataError


@pytest.mark.parametrize("start", [START, HELD_OUT_START])
def test_trajectories_solve_their_equation(start):
    data = cubic_spiral_data(CubicSpiralConfig())
    (whole,) = [
        one for one in (data.fitted, *data.test) if torch.allclose(one.y0[0], torch.tensor(start))
    ]
    ys, h = whole.ys[:, 0].double(), 25 / 999
    slopes = (ys[2:] - ys[:-2]) / (2 * h)
    expected = ys[1:-1] ** 3 @ torch.tensor(MATRIX, dtype=torch.float64)
    assert float((slopes - expected).abs().max()) < 0.02 * float(expected.abs().max())


def test_the_test_is_not_of_the_points_that_are_fitted():
    data = cubic_spiral_data(CubicSpiralConfig())
    (held_out,) = data.test
    distances = torch.cdist(held_out.ys[:, 0], data.fitted.ys[:, 0]).min(1).values
    # Not one trajectory a bit later: the spiral is left on its way in, and not met again.
    assert float(distances[:20].min()) > 0.1
    assert float(distances.min()) > 0.01


def test_windows_are_pieces_of_the_fitted_one():
    data = cubic_spiral_data(CubicSpiralConfig(window=5, batch_size=4, batches=3), seed=1)
    whole = data.fitted
    batches = list(data.train)
    assert len(batches) == len(data.train) == 3
    for batch in batches:
        assert batch.ys.shape == (5, 4, 2)
        assert torch.equal(batch.y0, batch.ys[0])
        for k in range(4):
            start = int((whole.ys[:, 0] == batch.y0[k]).all(1).nonzero()[0])
            assert torch.equal(batch.ys[:, k], whole.ys[start : start + 5, 0])
    assert torch.equal(batches[0].y0, next(iter(data.train)).y0)


def test_more_windows_than_there_are():
    with pytest.raises(DataError, match="raise that"):
        cubic_spiral_data(CubicSpiralConfig(points=20))
