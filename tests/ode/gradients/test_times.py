"""Gradients of times where the vector field jumps."""

from __future__ import annotations

import pytest
import torch

from node_experiments.ode import Solver, solve


@pytest.mark.parametrize("way", ["adjoint", "backprop", "discrete", "checkpoint"])
@pytest.mark.parametrize("backwards", [False, True])
def test_jumps_stay_where_they_are_when_the_ends_move(way, backwards):
    sign = -1.0 if backwards else 1.0
    t = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64).mul_(sign).requires_grad_()
    y0 = torch.ones(1, dtype=torch.float64, requires_grad=True)

    def field(t, y):
        t = sign * t
        rate = torch.where(t < 0.2, 2.0, torch.where(t < 0.5, 1.0, 3.0))
        return sign * (rate * (1 + t)) + 0 * y

    solver = Solver("dopri5", 1e-8, 1e-8, jump_t=(sign * 0.5, sign * 0.2))
    ys = solve(field, y0, t, solver, way).ys
    found = [torch.autograd.grad(ys[i].sum(), t, retain_graph=True)[0] * sign for i in (1, 2)]
    first = torch.tensor([-2.0, 1.3, 0.0], dtype=torch.float64)
    last = torch.tensor([-2.0, 0.0, 6.0], dtype=torch.float64)
    torch.testing.assert_close(found, [first, last], rtol=1e-6, atol=1e-6)
