"""One small problem that has every kind of gradient: y0, t, an argument and parameters."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from node_experiments.ode import Gradient, Solution, Solver, solve


class VectorField(nn.Module):
    """Depends on time, so that a wrong stage time shows."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(3, 6, dtype=torch.float64)
        self.out = nn.Linear(6, 3, dtype=torch.float64)

    def forward(self, t: Tensor, y: Tensor, gain: Tensor) -> Tensor:
        return gain * self.out(torch.tanh(self.hidden(y) * (1 + torch.sin(2 * t))))


@dataclass
class Example:
    func: VectorField
    y0: Tensor
    gain: Tensor

    @property
    def parameters(self) -> list[Tensor]:
        return list(self.func.parameters())

    def solve(
        self,
        t: Tensor,
        solver: Solver,
        gradient: Gradient | str,
        y0: Tensor | None = None,
        gain: Tensor | None = None,
    ) -> Solution:
        y0 = self.y0 if y0 is None else y0
        gain = self.gain if gain is None else gain
        return solve(self.func, y0, t, solver, gradient, args=(gain,))

    def loss(self, ys: Tensor) -> Tensor:
        weights = torch.linspace(-1, 1, ys.numel(), dtype=ys.dtype).view_as(ys)
        return (weights * ys + ys.square()).sum()

    def gradients(
        self, t: Tensor, solver: Solver, gradient: Gradient | str
    ) -> tuple[tuple[Tensor, ...], Solution]:
        """Gradients of y0, the argument, the parameters and, when it wants one, of t."""
        solution = self.solve(t, solver, gradient)
        inputs = [self.y0, self.gain, *self.parameters, *([t] if t.requires_grad else [])]
        return torch.autograd.grad(self.loss(solution.ys), inputs), solution


@pytest.fixture
def example() -> Example:
    torch.manual_seed(0)
    y0 = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    gain = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    return Example(VectorField(), y0, gain)
