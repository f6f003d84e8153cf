"""Reversible residual networks: the gradient of autograd, in memory that depth does not change."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from node_experiments.chapters.image_classification.chapter import RevNetConfig
from node_experiments.chapters.image_classification.revnet import (
    ReversibleBlock,
    ReversibleSequence,
    revnet,
)
from node_experiments.ode import Backprop, Solver
from node_experiments.training.memory import SavedBytes


def images(shape, classes):
    return SimpleNamespace(image_shape=shape, classes=classes)


def sequence(blocks, reconstruct=True, channels=8):
    steps = [ReversibleBlock.residual(channels) for _ in range(blocks)]
    return ReversibleSequence(steps, reconstruct)


def gradients(model, y):
    y = y.clone().requires_grad_()
    (model(y) ** 2).sum().backward()
    found = [y.grad, *(p.grad.clone() for p in model.parameters())]
    model.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize("shared", [False, True])
def test_gradients_are_those_of_autograd_to_rounding(shared):
    model = sequence(4).double()
    if shared:
        model.blocks = nn.ModuleList([model.blocks[0]] * 4)
    y = torch.randn(3, 8, 5, 5, dtype=torch.float64)
    undone = gradients(model, y)
    model.reconstruct = False
    for one, other in zip(undone, gradients(model, y), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_frozen_parameters_and_inputs_get_no_gradient():
    model = sequence(2)
    model.blocks[0].f.conv1.weight.requires_grad_(False)
    model(torch.randn(2, 8, 4, 4)).sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == ["blocks.0.f.conv1.weight"]


def test_a_block_is_one_coupled_euler_step():
    """y1 = x1 + f(x2) and y2 = x2 + g(y1), on functions that show the order."""
    block = ReversibleBlock(nn.Identity(), nn.Identity())
    y1, y2 = block(torch.tensor(1.0), torch.tensor(10.0))
    assert (float(y1), float(y2)) == (11.0, 21.0)


def saved_bytes(model, y):
    with SavedBytes(model) as counter:
        model(y)
    return counter.total


def test_saved_bytes_do_not_grow_with_depth():
    y = torch.randn(4, 8, 6, 6)
    state = y.numel() * 4
    assert [saved_bytes(sequence(n), y) for n in (1, 4, 16)] == [state] * 3
    kept = [saved_bytes(sequence(n, reconstruct=False), y) for n in (4, 8, 16)]
    assert kept[2] - kept[1] == 2 * (kept[1] - kept[0]) > 0


def test_bf16_keeps_the_state_in_single_precision():
    model = sequence(3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = model(torch.randn(2, 8, 4, 4).bfloat16())
    assert result.dtype == torch.float32
    result.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_parameters_are_those_of_its_residual_functions():
    model = revnet(RevNetConfig(), images((1, 28, 28), 10), Solver(), Backprop())
    # 132,874 of stem and head; a function has two 3x3 convolutions and norms of 32 channels.
    function = 2 * (9 * 32 * 32 + 2 * 32)
    assert sum(p.numel() for p in model.parameters()) == 132_874 + 6 * 2 * function
