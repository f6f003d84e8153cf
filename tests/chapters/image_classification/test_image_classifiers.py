from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from node_experiments.chapters.image_classification.chapter import (
    ImageClassifierConfig,
    MLPConfig,
    ODENetConfig,
    ResNetConfig,
)
from node_experiments.chapters.image_classification.networks import (
    ConvVectorField,
    mlp,
    odenet,
    resnet,
    stem_only,
)
from node_experiments.chapters.image_classification.ode_block import TimeConv2d
from node_experiments.chapters.image_classification.official_weights import load_official_odenet
from node_experiments.chapters.image_classification.residual_blocks import ResidualBlock
from node_experiments.ode import Adjoint, Backprop, Solver, solve


def data_of(shape, classes):
    return SimpleNamespace(image_shape=shape, classes=classes)


MNIST = (1, 28, 28)
DOPRI5 = Solver("dopri5", rtol=1e-3, atol=1e-3)


def parameters(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: mlp(MLPConfig(), data_of(MNIST, 10), Solver(), Adjoint()), 238_510),
        (
            lambda: resnet(ResNetConfig(stem="conv"), data_of(MNIST, 10), Solver(), Adjoint()),
            576_778,
        ),
        (
            lambda: resnet(ResNetConfig(stem="res"), data_of(MNIST, 10), Solver(), Adjoint()),
            601_482,
        ),
        (
            lambda: odenet(ODENetConfig(stem="conv"), data_of(MNIST, 10), DOPRI5, Adjoint()),
            208_266,
        ),
        (
            lambda: odenet(ODENetConfig(stem="res"), data_of(MNIST, 10), DOPRI5, Adjoint()),
            232_970,
        ),
        (
            lambda: stem_only(
                ImageClassifierConfig("stem_only"), data_of(MNIST, 10), Solver(), Adjoint()
            ),
            132_874,
        ),
        (
            lambda: stem_only(
                ImageClassifierConfig("stem_only", stem="res"),
                data_of(MNIST, 10),
                Solver(),
                Adjoint(),
            ),
            157_578,
        ),
        (lambda: resnet(ResNetConfig(blocks=1), data_of(MNIST, 10), Solver(), Adjoint()), 206_858),
    ],
)
def test_parameter_counts(build, expected):
    assert parameters(build()) == expected


@pytest.mark.parametrize("stem", ["conv", "res"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_logits_shape(stem, shape):
    for model in (
        resnet(
            ResNetConfig(stem=stem, channels=8, blocks=1), data_of(shape, 10), Solver(), Adjoint()
        ),
        odenet(ODENetConfig(stem=stem, channels=8), data_of(shape, 10), DOPRI5, Adjoint()),
    ):
        assert model(torch.rand(2, *shape)).shape == (2, 10)


def test_time_as_bias_field_equals_concatenation():
    layer = TimeConv2d(5, 7).double()
    y, t = torch.randn(2, 5, 6, 6).double(), torch.tensor(0.7, dtype=torch.float64)
    weight = torch.cat([layer.time_weight, layer.weight], dim=1)
    joint = torch.cat([torch.full_like(y[:, :1], 0.7), y], dim=1)
    expected = F.conv2d(joint, weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(t, y), expected, rtol=1e-12, atol=1e-12)


def test_residual_block_is_one_euler_step():
    """The first claim of the paper: y + f(y) is the Euler method with step 1, bit for bit."""
    block = ResidualBlock(8)

    def residual(t, y):
        return block.conv2(F.relu(block.norm2(block.conv1(F.relu(block.norm1(y))))))

    y = torch.randn(3, 8, 6, 6)
    with torch.no_grad():
        times = torch.tensor([0.0, 1.0])
        solution = solve(residual, y, times, Solver("euler", num_steps=1))
        assert torch.equal(solution.ys[-1], block(y))


class OfficialConcatConv(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self._layer = nn.Conv2d(channels + 1, channels, 3, 1, 1)

    def forward(self, t, x):
        return self._layer(torch.cat([torch.ones_like(x[:, :1]) * t, x], 1))


class OfficialFunction(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm1 = nn.GroupNorm(32, channels)
        self.conv1 = OfficialConcatConv(channels)
        self.norm2 = nn.GroupNorm(32, channels)
        self.conv2 = OfficialConcatConv(channels)
        self.norm3 = nn.GroupNorm(32, channels)

    def forward(self, t, x):
        out = self.conv1(t, F.relu(self.norm1(x)))
        return self.norm3(self.conv2(t, F.relu(self.norm2(out))))


class OfficialBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.odefunc = OfficialFunction(channels)

    def forward(self, x):
        times = torch.tensor([0.0, 1.0])
        return solve(self.odefunc, x, times, Solver("rk4", num_steps=2), Backprop()).ys[-1]


def test_state_dict_of_the_official_example_loads():
    """The official layout of modules, computed by concatenation, gives the same logits."""
    official = nn.Sequential(
        nn.Conv2d(1, 64, 3, 1),
        nn.GroupNorm(32, 64),
        nn.ReLU(),
        nn.Conv2d(64, 64, 4, 2, 1),
        nn.GroupNorm(32, 64),
        nn.ReLU(),
        nn.Conv2d(64, 64, 4, 2, 1),
        OfficialBlock(64),
        nn.GroupNorm(32, 64),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )
    ours = odenet(ODENetConfig(), data_of(MNIST, 10), Solver("rk4", num_steps=2), Backprop())
    load_official_odenet(ours, official.state_dict())
    images = torch.rand(2, *MNIST)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), official(images), rtol=1e-5, atol=1e-5)


def test_statistics_of_each_block_are_its_own():
    model = nn.Sequential(
        odenet(ODENetConfig(channels=8), data_of(MNIST, 10), DOPRI5, Adjoint())[1],
        odenet(
            ODENetConfig(channels=8),
            data_of(MNIST, 10),
            Solver("rk4", num_steps=3),
            Adjoint(),
        )[1],
    )
    model(torch.randn(2, 8, 6, 6)).sum().backward()
    assert model[1].stats.forward.evaluations == 12
    assert model[1].stats.backward.evaluations == 12
    assert model[0].stats.forward.evaluations > 12


def test_bf16_keeps_the_state_in_single_precision():
    field = ConvVectorField(8)
    seen = []

    def watched(t, y):
        seen.append(y.dtype)
        return field(t, y)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        y0 = torch.randn(2, 8, 6, 6)
        ys = solve(watched, y0, torch.tensor([0.0, 1.0]), DOPRI5, parameters=field.parameters()).ys
    ys.sum().backward()
    assert set(seen) == {torch.float32}
    assert ys.dtype == torch.float32
    assert all(p.grad is not None and p.grad.isfinite().all() for p in field.parameters())
