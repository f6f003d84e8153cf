"""The field of the demonstration."""

import torch

from node_experiments.chapters.toy.chapter import CubicSpiralConfig
from node_experiments.chapters.toy.cubic_field import NeuralODE
from node_experiments.chapters.toy.cubic_spiral import MATRIX, cubic_spiral_data
from node_experiments.chapters.toy.trajectory_fit import TrajectoryFit
from node_experiments.ode import Backprop, Solver


def test_size_and_start_of_the_official_demonstration():
    torch.manual_seed(0)
    model = NeuralODE(2, 2000, Solver("dopri5"), Backprop())
    first, _, second = model.vector_field.net
    assert sum(p.numel() for p in NeuralODE(2, 50, Solver(), Backprop()).parameters()) == 252
    for layer in (first, second):
        assert abs(float(layer.weight.detach().std()) - 0.1) < 0.005
        assert not layer.bias.any()


def test_the_true_field_has_no_error():
    class True_(torch.nn.Module):
        def forward(self, t, y):
            return y**3 @ torch.tensor(MATRIX)

    model = NeuralODE(2, 50, Solver("dopri5", rtol=1e-6, atol=1e-7), Backprop())
    model.vector_field = True_()
    data = cubic_spiral_data(CubicSpiralConfig())
    found = TrajectoryFit().evaluate(model, data.test)
    assert found["rmse"] < 2e-3
    loss, _ = TrajectoryFit().loss(model, next(iter(data.train)), 0)
    assert float(loss) < 1e-4
