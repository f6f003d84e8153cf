"""The augmented dynamics of the adjoint method (Chen et al. 2018, appendix B.1)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..methods.newton import AugmentedLinearization, Linearization
from ..problem import Problem
from .vjp import Evaluator

__all__ = ["AugmentedDynamics", "real_view"]


class AugmentedDynamics:
    """(y, a) -> (f, -a df/dy), with -a df/dtheta beside it: one evaluation and one product."""

    def __init__(self, problem: Problem):
        self._problem = problem
        self._shape = problem.y0.shape
        self._evaluate = Evaluator(problem)

    def __call__(self, t: float, y: Tensor, derivative: Tensor, integrand: Tensor | None) -> None:
        n = len(y) // 2
        y, a = y[:n].view(self._shape), y[n:].view(self._shape)
        inputs = () if integrand is None else self._evaluate.inputs
        _, y, f = self._evaluate(t, y)
        if f.requires_grad:
            grad_y, *grads = torch.autograd.grad(
                f,
                (y, *inputs),
                (-a).to(f.dtype),
                retain_graph=self._evaluate.retain_graph,
                allow_unused=True,
                materialize_grads=True,
            )
        else:
            grad_y, *grads = [torch.zeros_like(x) for x in (y, *inputs)]
        derivative[:n].copy_(f.detach().reshape(-1))
        derivative[n:].copy_(grad_y.reshape(-1))
        if integrand is not None:
            torch.cat([real_view(grad).reshape(-1) for grad in grads], out=integrand)

    def linearize(self, t: float, y: Tensor) -> AugmentedLinearization:
        """The Jacobian at (t, y), for implicit methods."""
        problem = self._problem

        def flat(y: Tensor) -> Tensor:
            f = problem.func(problem.time(t), y.view(self._shape), *problem.args)
            return f.reshape(-1).to(y.dtype)

        return AugmentedLinearization(Linearization(flat, y[: len(y) // 2]))


def real_view(x: Tensor) -> Tensor:
    """A complex tensor as pairs of real numbers; a real one as it is."""
    return torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
