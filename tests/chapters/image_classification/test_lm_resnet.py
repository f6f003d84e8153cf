"""Residual networks as solvers: two-step methods, and Euler's with shared weights."""

from types import SimpleNamespace

import pytest
import torch

from node_experiments.chapters.image_classification.chapter import ResNetConfig
from node_experiments.chapters.image_classification.lm_resnet import LMResNet, MultistepBlock
from node_experiments.chapters.image_classification.networks import resnet
from node_experiments.chapters.image_classification.residual_blocks import ResidualFunction
from node_experiments.ode import Backprop, Solver, solve


def images(shape, classes):
    return SimpleNamespace(image_shape=shape, classes=classes)


def count(model):
    return sum(p.numel() for p in model.parameters())


def test_the_step_is_that_of_the_paper():
    """x_{n+1} = (1 - k_n) x_n + k_n x_{n-1} + f(x_n)."""
    block = MultistepBlock(8, 8, two_step=True).eval()
    torch.nn.init.constant_(block.k, 0.3)
    before, x = torch.randn(2, 3, 8, 5, 5)
    kept, new = block(before, x)
    assert kept is x
    torch.testing.assert_close(new, 0.7 * x + 0.3 * before + block.f(x))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_without_memory_it_is_the_residual_network(shape):
    """k = 0 in all blocks gives the logits of the network whose blocks are plain."""
    model = LMResNet(shape[0], 10, (4, 8, 8), 2, True)
    plain = LMResNet(shape[0], 10, (4, 8, 8), 2, False)
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.endswith(".k")})
    images = torch.rand(2, *shape)
    model.eval(), plain.eval()
    assert model(images).shape == (2, 10)
    assert not torch.equal(model(images), plain(images))
    for block in model.blocks:
        if block.k is not None:
            torch.nn.init.zeros_(block.k)
    torch.testing.assert_close(model(images), plain(images), rtol=0, atol=0)


def test_twenty_layers_have_one_number_more_for_each_block_with_a_past():
    """The first block of each stage is a plain one, in the paper's code and here."""
    assert count(LMResNet(3, 10, (16, 32, 64), 3, False)) == 272_378
    assert count(LMResNet(3, 10, (16, 32, 64), 3, True)) == 272_378 + 6
    k = [block.k for block in LMResNet(3, 10, (16, 32, 64), 3, True).blocks]
    assert [each is None for each in k] == [True, False, False] * 3
    assert all(-0.1 <= each.item() <= 0 for each in k if each is not None)


def test_resnet_with_shared_weights_is_eulers_method():
    """Section 1 of the paper: y_{n+1} = y_n + f(y_n, theta) with one theta is Euler's method."""
    model = resnet(
        ResNetConfig(channels=8, blocks=5, shared=True),
        images((1, 28, 28), 10),
        Solver(),
        Backprop(),
    )
    block = model[1][0]
    assert count(model) == count(
        resnet(ResNetConfig(channels=8, blocks=1), images((1, 28, 28), 10), Solver(), Backprop())
    )
    y = torch.randn(3, 8, 6, 6)

    def field(t, y):
        return ResidualFunction.forward(block, y)

    times = torch.tensor([0.0, 5.0])
    by_solver = solve(
        field, y, times, Solver("euler", num_steps=5), "backprop", parameters=block.parameters()
    ).ys[-1]
    by_network = model[1](y)
    torch.testing.assert_close(by_network, by_solver, rtol=1e-6, atol=1e-6)
    ours = torch.autograd.grad(by_network.square().sum(), list(block.parameters()))
    solvers = torch.autograd.grad(by_solver.square().sum(), list(block.parameters()))
    for one, other in zip(ours, solvers, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
