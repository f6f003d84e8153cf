"""A state that is not laid out in the order of its axes is solved as it lies."""

import pytest
import torch
from torch.utils import _pytree as pytree

from node_experiments.ode import Adjoint, Solver, solve
from node_experiments.ode.state import order_in_memory

DOUBLE = torch.double
T = torch.linspace(0, 1, 4, dtype=DOUBLE)


def laid(layout):
    if layout == "channels last":
        x = torch.randn(2, 3, 4, 5, dtype=DOUBLE).to(memory_format=torch.channels_last)
    elif layout == "transposed":
        x = torch.randn(4, 3, dtype=DOUBLE).t()
    else:
        x = torch.randn(5, 2, 3, dtype=DOUBLE).permute(1, 2, 0)
    return x.requires_grad_()


@pytest.mark.parametrize("gradient", ["backprop", "discrete", "adjoint", "checkpoint"])
@pytest.mark.parametrize("layout", ["transposed", "channels last", "permuted"])
def test_the_solution_and_its_gradients_do_not_depend_on_the_layout(layout, gradient):
    seen = []
    scale = torch.tensor(0.7, dtype=DOUBLE, requires_grad=True)

    def field(t, y):
        seen.append(y.stride())
        return torch.tanh(scale * y.flip(0)) * torch.cos(t)

    y0 = laid(layout)
    found = solve(field, y0, T, Solver(rtol=1e-6, atol=1e-6), gradient).ys
    grads = torch.autograd.grad(found.square().sum(), (y0, scale))
    # In the backward pass too.
    assert set(seen) == {y0.stride()}
    plain = y0.detach().contiguous().requires_grad_()
    expected = solve(field, plain, T, Solver(rtol=1e-6, atol=1e-6), gradient).ys
    expected_grads = torch.autograd.grad(expected.square().sum(), (plain, scale))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)
    for one, other in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


def test_events_and_dense_output_see_the_state_as_it_was_given():
    y0 = laid("transposed").detach()
    solution = solve(lambda t, y: -y, y0, T, "dopri5", dense=True)
    torch.testing.assert_close(
        solution.interpolant(0.3), y0 * torch.exp(torch.tensor(-0.3)).double()
    )
    first = float(y0[0, 1])
    solution = solve(lambda t, y: -y, y0, T, "dopri5", events=[lambda t, y: y[0, 1] - 0.8 * first])
    torch.testing.assert_close(solution.ys[-1], 0.8 * y0, rtol=1e-5, atol=1e-7)


def test_halves_and_samples_are_told_apart_by_their_place():
    t = torch.tensor([0.0, 1.0], dtype=DOUBLE)
    y0 = torch.randn(3, 2, dtype=DOUBLE).t()  # positions in row 0, velocities in row 1
    turn = lambda t, y: torch.stack([y[1], -y[0]])  # noqa: E731
    solver = Solver("leapfrog", num_steps=10)
    torch.testing.assert_close(
        solve(turn, y0, t, solver).ys, solve(turn, y0.contiguous(), t, solver).ys
    )
    alone = Solver("dopri5", batching="independent")
    decay = lambda t, y: -y * (1 + t)  # noqa: E731
    torch.testing.assert_close(
        solve(decay, y0, t, alone, "backprop").ys,
        solve(decay, y0.contiguous(), t, alone, "backprop").ys,
    )


def test_a_derivative_of_another_shape_is_rejected_with_the_shapes_of_the_user():
    with pytest.raises(ValueError, match=r"shape \(3, 4\).*found shape \(1, 4\)"):
        solve(lambda t, y: y[:1], laid("transposed"), T)


def test_order_in_memory():
    x = torch.zeros(2, 3, 4)
    assert order_in_memory(x) is None
    assert order_in_memory(x.movedim(-1, 0)) == [1, 2, 0]
    # Gaps and repetitions have none, and are copied.
    assert order_in_memory(x[:, ::2]) is None
    assert order_in_memory(x[:, :1].expand(2, 5, 4)) is None
    assert order_in_memory(torch.zeros(1, 5).t()) is None


@pytest.mark.parametrize("gradient", ["adjoint", "backprop"])
def test_tuples_of_tensors_and_tuples_of_tuples_come_back_as_they_were_given(gradient):
    one, t = torch.ones(2, dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)

    def falls(t, y):
        return pytree.tree_map(torch.neg, y)

    for y0 in ((one,), (one, one[:1]), ((one,), (one[:1],)), (one, [one, {"a": one}])):
        ys = solve(falls, y0, t, "dopri5", gradient).ys
        assert pytree.tree_structure(ys) == pytree.tree_structure(y0)
        for leaf, start in zip(pytree.tree_leaves(ys), pytree.tree_leaves(y0), strict=True):
            assert leaf.shape == (2, *start.shape)
            assert torch.allclose(leaf[-1], start * torch.exp(-t[-1]), rtol=1e-4)


@pytest.mark.parametrize("gradient", ["discrete", Adjoint(rtol=[1e-9] * 4, atol=[1e-9] * 4)])
def test_tolerances_of_components_are_in_the_order_of_the_axes(gradient):
    """Of the four components the one that oscillates is the only one that is to be accurate."""
    rate = torch.tensor([[1.0, 30.0], [1.0, 1.0]], dtype=torch.float64)
    solver = Solver("dopri5", rtol=0.0, atol=[1.0, 1e-8, 1.0, 1.0])
    ends = []
    for y0 in (torch.zeros(2, 2).double(), torch.zeros(2, 2).double().t()):
        y0.requires_grad_()
        field = lambda t, y: rate * torch.cos(rate * t) + 0 * y  # noqa: E731
        ends.append(solve(field, y0, torch.tensor([0.0, 1.0]).double(), solver, gradient).ys[-1])
        assert float((ends[-1] - torch.sin(rate))[0, 1].abs().detach()) < 1e-6
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=0)
