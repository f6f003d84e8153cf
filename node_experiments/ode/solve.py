"""The one door to the solvers: the paper's ODESolve(z(t0), f, t0, t1, theta)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from .discovery import SameRandomNumbers, find_parameters, refuse_batch_statistics
from .forward import conclude, solve_forward
from .gradients import Backprop, Gradient, make_gradient
from .gradients.evaluation import Evaluator
from .problem import Problem, autocast_like_now
from .solution import Solution
from .solver import Solver
from .state import FlatState

__all__ = ["solve"]


def solve(
    func: Callable[..., Any],
    y0: Any,
    t: Tensor,
    solver: Solver | str = "dopri5",
    gradient: Gradient | str = "adjoint",
    *,
    args: tuple = (),
    parameters: Sequence[Tensor] | None = None,
    throw: bool = True,
) -> Solution:
    """Solve dy/dt = func(t, y, *args) with y(t[0]) = y0 (Chen et al. 2018, section 2).

    Args:
        func: The vector field. It takes a 0-d time, a state and `args`, and returns a derivative
            of the shape, dtype and device of the state.
        y0: Initial state: a floating-point tensor of any shape, or a tuple, list or dict of them.
        t: Times at which the solution is wanted, shape `(time,)`, at least two, strictly
            increasing or strictly decreasing; the first is the time of y0.
        solver: The method with its tolerances, or the name of an adaptive method.
        gradient: How gradients are computed, or its name.
        args: Further arguments of `func`; gradients flow into tensors among them.
        parameters: Tensors that `func` reads by itself and that need gradients. When None they
            are found: those of the modules that `func` is, belongs to or holds, and the leaves
            of the graph of one evaluation.
        throw: Raise when the end was not reached; otherwise return the part that was.

    Returns:
        The states at all times, statistics and the status.

    Raises:
        ValueError: Arguments that do not fit together, or a vector field that this way to
            gradients cannot do justice.
        SolveError: The solve did not reach the end (with `throw`).
    """
    if isinstance(solver, str):
        solver = Solver(solver)
    state = FlatState(y0)
    packed = state.pack(y0)
    times = check_times(t)
    if not packed.is_floating_point() or packed.numel() == 0:
        raise ValueError(
            f"y0 must hold at least one floating-point number; found {packed.dtype} of shape "
            f"{tuple(packed.shape)}"
        )
    method = make_gradient(gradient)
    problem = Problem(
        func=SameRandomNumbers(checked(state.wrap(func)), packed.device),
        y0=packed,
        t=t,
        times=times,
        solver=solver,
        args=args,
        autocast=autocast_like_now(packed.device),
    )
    if transformed(packed, t, *args):
        if not solver.fixed_steps:
            raise ValueError(
                "torch.func transforms and forward-mode differentiation go through fixed steps "
                "only, for the steps of an adaptive solve depend on the values; set "
                "solver.num_steps or solver.step_size"
            )
        # Whatever the choice: the operations of the steps are what a transform can go through.
        ys, trajectory = Backprop().solve(problem)
    elif not torch.is_grad_enabled():
        ys, trajectory = solve_forward(problem)
    else:
        if not isinstance(method, Backprop):
            refuse_batch_statistics(func, type(method).__name__.lower())
            problem.parameters = parameters_of(func, parameters, problem)
        inputs = (packed, t, *problem.inputs)
        if isinstance(method, Backprop) or any(x.requires_grad for x in inputs):
            ys, trajectory = method.solve(problem)
        else:
            ys, trajectory = solve_forward(problem)
    solution = conclude(problem, ys, trajectory, throw)
    solution.ys = state.unpack(solution.ys)
    return solution


def parameters_of(
    func: Callable[..., Any], parameters: Sequence[Tensor] | None, problem: Problem
) -> tuple[Tensor, ...]:
    """Tensors that need a gradient and that `func` reads by itself: those given, or all found."""
    if parameters is not None:
        return tuple(p for p in parameters if p.requires_grad)

    def evaluate() -> tuple[Tensor, Sequence[Tensor]]:
        evaluator = Evaluator(problem)
        _, y, derivative = evaluator(problem.times[0], problem.y0)
        return derivative, (y, *evaluator.inputs)

    return find_parameters(func, evaluate)


def transformed(*inputs: Any) -> bool:
    """Whether a torch.func transform or forward-mode differentiation is going on."""
    return torch._C._are_functorch_transforms_active() or any(
        isinstance(x, Tensor) and forward_ad.unpack_dual(x).tangent is not None for x in inputs
    )


def check_times(t: Tensor) -> list[float]:
    """The output times as host floats.

    Raises:
        ValueError: Fewer than two times, or times that are not strictly monotonic and finite.
    """
    if not isinstance(t, Tensor) or t.dim() != 1 or len(t) < 2 or not t.is_floating_point():
        found = f"shape {tuple(t.shape)}, {t.dtype}" if isinstance(t, Tensor) else type(t).__name__
        raise ValueError(
            "t must be a floating-point tensor of shape (time,) with at least 2 times; "
            f"found {found}"
        )
    times = t.detach().double().tolist()
    sign = math.copysign(1.0, times[1] - times[0])
    for i, (a, b) in enumerate(pairwise(times)):
        if not sign * (b - a) > 0 or not math.isfinite(b - a):
            raise ValueError(
                "t must be finite and strictly increasing or strictly decreasing; found "
                f"t[{i}]={a!r} followed by t[{i + 1}]={b!r}"
            )
    return times


def checked(func: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`func`, whose derivatives are compared with its states; this needs no synchronisation."""

    def call(t: Tensor, y: Tensor, *args: Any) -> Tensor:
        derivative = func(t, y, *args)
        if (
            not isinstance(derivative, Tensor)
            or derivative.shape != y.shape
            or derivative.device != y.device
            or not derivative.is_floating_point()
        ):
            found = (
                f"shape {tuple(derivative.shape)}, {derivative.dtype}, {derivative.device}"
                if isinstance(derivative, Tensor)
                else type(derivative).__name__
            )
            raise ValueError(
                f"the vector field must return a derivative like its state of shape "
                f"{tuple(y.shape)}, {y.dtype}, {y.device}; found {found}"
            )
        return derivative

    return call
