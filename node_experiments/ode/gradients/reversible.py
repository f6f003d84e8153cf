"""Gradients of reversible methods: the steps are undone, so that no state has to be kept.

In the backward pass each step is first undone, which yields its initial vectors up to rounding,
and then repeated with a graph (Zhuang et al. 2021; Kidger et al. 2021; McCallum & Foster 2024).
The gradient is that of the discrete solve, in memory that does not grow with the number of steps.
The risk is rounding: a method that damps the solution amplifies rounding errors when it is undone.
The error of the reconstructed initial state is therefore measured, and a warning is issued if it
is too large.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from ..integrate import run
from ..methods.base import Time
from ..methods.functional_step import FunctionalStepper
from ..methods.make_stepper import functional_method
from ..methods.reversible import REVERSIBLE, ReversibleMethod, ReversibleRungeKutta
from ..norms import relative_distance
from ..problem import Problem
from ..solution import Trajectory
from ..solver import Solver
from .backward_pass import Evaluator, VJPAccumulator, backward_pass, forward_pass
from .base import Gradient
from .records import Grid
from .time_cotangents import TimeCotangents

__all__ = ["Reversible"]


@dataclass(frozen=True)
class Reversible(Gradient):
    """Gradient of the discrete solve by a reversible method, in constant memory.

    An explicit Runge-Kutta method is replaced by the reversible method that is built from it;
    `heun` by `reversible_heun` (Kidger et al. 2021).

    Attributes:
        reconstruction_tolerance: Error of the reconstructed initial state, relative to the larger
            of the initial and the final state, above which a warning is issued.

    Raises:
        ValueError: A negative tolerance.

    Example:
        >>> from node_experiments.ode import solve
        >>> rate = torch.tensor(0.5, requires_grad=True)
        >>> y0, t = torch.ones(1), torch.tensor([0.0, 2.0])
        >>> gradient = Reversible()
        >>> solution = solve(lambda t, y: -rate * y, y0, t, "reversible_heun", gradient)
        >>> solution.ys[-1].sum().backward()
        >>> round(rate.grad.item(), 3)  # -2 exp(-1)
        -0.736
    """

    replaces_method: ClassVar[bool] = True

    reconstruction_tolerance: float = 1e-3

    def __post_init__(self) -> None:
        if not self.reconstruction_tolerance >= 0:
            raise ValueError(
                f"gradient.reconstruction_tolerance={self.reconstruction_tolerance!r} must be a "
                "number >= 0"
            )

    def solver_for(self, solver: Solver) -> Solver:
        """Replace an explicit method by the reversible one built from it, also for evaluations."""
        rejected = solver.compile or solver.perturb or solver.batching == "independent"
        tableau = solver.properties.tableau
        if tableau is not None and tableau.explicit and not rejected:
            own = tableau is solver.method
            method = ReversibleRungeKutta(tableau) if own else f"reversible_{tableau.name}"
            return replace(solver, method=method)
        return solver

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times that were reached, shape `(time, *state)`.

        Raises:
            ValueError: The method is not reversible, or `jump_t` or `perturb` is set.
        """
        if problem.solver.jump_t:
            raise ValueError(
                "gradient='reversible' does not support solver.jump_t; leave it out, or use "
                "gradient='discrete' or 'adjoint'"
            )
        if problem.solver.perturb:
            raise ValueError(
                "gradient='reversible' does not support solver.perturb=True; leave it out, or "
                "use gradient='backprop' or 'discrete'"
            )
        if problem.solver.properties.family not in ("reversible", "symplectic"):
            raise ValueError(
                "gradient='reversible' is for reversible methods; found solver.method="
                f"{problem.solver.method!r}; use one of {', '.join(REVERSIBLE)}, or "
                "gradient='adjoint'"
            )
        grid = Grid()
        ys = ReversibleSolve.apply(problem, self, grid, problem.y0, problem.t, *problem.inputs)
        return ys, grid.trajectory


class ReversibleSolve(torch.autograd.Function):
    """The solve as one node of the outer graph."""

    @staticmethod
    @forward_pass
    def forward(
        ctx: Any,
        problem: Problem,
        options: Reversible,
        grid: Grid,
        y0: Tensor,
        t: Tensor,
        *inputs: Tensor,
    ) -> Tensor:
        method = functional_method(problem.solver)
        field = problem.flat_field(problem.stats.forward)
        step = FunctionalStepper(method, field, y0.numel())
        start = y0.detach().reshape(-1)

        def keep(t: float, t_end: float, y: Tensor) -> None:
            grid.spans.append((t, t_end))

        grid.trajectory = run(problem, step, start, keep)
        ctx.problem, ctx.options, ctx.method, ctx.spans = problem, options, method, grid.spans
        vectors = step.state or method.start(field, problem.times[0], start)
        ctx.size = len(vectors)
        ctx.save_for_backward(*vectors, y0, *problem.read_inputs)
        return torch.stack(grid.trajectory.outputs).view(-1, *y0.shape)

    @staticmethod
    @backward_pass
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:
        problem, saved = ctx.problem, ctx.saved_tensors
        vectors, y0 = saved[: ctx.size], saved[ctx.size].detach().reshape(-1)
        grad_ys, time_gradients = grad_ys.reshape(len(grad_ys), -1), ctx.needs_input_grad[4]
        undoing = ReversibleBackward(problem, ctx.method, grad_ys, vectors, time_gradients)
        for t, t_end in reversed(ctx.spans):
            undoing.step_back(t, t_end)
        grad_y0, reconstructed = undoing.finish()
        error = float(relative_distance(reconstructed, y0, vectors[0]))
        if not error <= ctx.options.reconstruction_tolerance:
            warnings.warn(
                f"{problem.solver.properties.name} was undone with a relative error of "
                f"{error:.1e} in the initial state, above "
                f"{ctx.options.reconstruction_tolerance:.1e}; its gradient is no better than "
                "that. Check that the vector field did not change since the solve, solve in "
                "float64, take fewer steps, or use gradient='checkpoint' with the method it is "
                "built from",
                stacklevel=2,
            )
        grad_y0 = grad_y0.view(problem.y0.shape)
        return None, None, None, grad_y0, undoing.grad_t, *undoing.grads


class ReversibleBackward:
    """Propagates the method's vectors and their gradients backwards over the accepted steps.

    Args:
        grad_ys: Gradients that arrive at the outputs, shape `(time, n)`.
        vectors: The method's vectors after the last step, the solution first, shape `(n,)`.
        time_gradients: Whether `grad_t` is wanted.

    Attributes:
        grads: Gradients of the problem's inputs.
        grad_t: Gradient of the output times, shape `(time,)`, or None.
    """

    def __init__(
        self,
        problem: Problem,
        method: ReversibleMethod,
        grad_ys: Tensor,
        vectors: Sequence[Tensor],
        time_gradients: bool,
    ):
        self._problem, self._method, self._grad_ys = problem, method, grad_ys
        self._times = problem.times[: len(grad_ys)]
        self._vectors = tuple(vectors)
        self._cotangents = [torch.zeros_like(v) for v in vectors]
        self._evaluator = evaluator = Evaluator(problem)
        # Those of earlier steps as well: the graph of a buffer that is written again leads there.
        self._leaves = WeakTensorKeyDictionary()
        self._inputs, self._retain_graph = evaluator.inputs, evaluator.retain_graph
        self._vjp = VJPAccumulator(evaluator)
        self._field = problem.flat_field(problem.stats.backward, evaluator.args)
        self._step = FunctionalStepper(method, self._field, problem.y0.numel())
        self._output = len(self._times) - 1
        self._clock = TimeCotangents(problem, grad_ys) if time_gradients else None

    @property
    def grad_t(self) -> Tensor | None:
        return None if self._clock is None else self._clock.total()

    @property
    def grads(self) -> list[Tensor | None]:
        return self._vjp.grads

    def step_back(self, t: float, t_end: float) -> None:
        """Undo one step and backpropagate through it."""
        h = t_end - t
        vectors = self._method.undo(self._field, t, h, self._vectors)
        outputs = self._enter_outputs(t, t_end)
        with torch.enable_grad():
            leaves = tuple(v.detach().requires_grad_() for v in vectors)
            times = self._time_leaves(t, t_end, outputs)
            start, size, thetas = times.start, times.size, times.thetas

            def step() -> list[Tensor]:
                self._step.resume(leaves)
                y1 = self._step.step(start, size, leaves[0])
                inside = [self._inside(start, size, leaves[0], y1, thetas)] if thetas else []
                self._step.accept(h)
                return [*(self._step.state or ()), *inside]

            results = step()
        self._reject_unknown(results, (*leaves, *times.leaves), step)
        cotangents = [*self._cotangents, *([self._grad_ys[outputs]] if thetas else [])]
        pulled = self._pull(results, cotangents, (*leaves, *times.leaves))
        self._cotangents, moved = pulled[: len(leaves)], pulled[len(leaves) :]
        self._vectors = tuple(vectors)
        if self._clock is not None:
            start_moved, end_moved, outputs_moved = moved
            self._clock.at(t, start_moved)
            self._clock.at(t_end, end_moved)
            self._clock.outputs(outputs, outputs_moved)

    def finish(self) -> tuple[Tensor, Tensor]:
        """Gradient of the initial state, and the reconstructed initial state."""
        with torch.enable_grad():
            y = self._vectors[0].detach().requires_grad_()
            first = self._times[0]
            times = self._time_leaves(first, self._times[-1], slice(0, 0))

            def start() -> list[Tensor]:
                return list(self._method.start(self._field, times.start, y))

            vectors = start()
        self._reject_unknown(vectors, (y, *times.leaves), start)
        grad_y, *moved = self._pull(vectors, self._cotangents, (y, *times.leaves))
        if self._clock is not None:
            self._clock.at(first, moved[0])
        return grad_y + self._grad_ys[0], self._vectors[0]

    def _reject_unknown(
        self,
        results: Sequence[Tensor],
        leaves: Sequence[Tensor],
        again: Callable[[], Sequence[Tensor]],
    ) -> None:
        self._leaves.update((leaf, True) for leaf in leaves)
        self._evaluator.reject_unknown(results, self._leaves, again)

    def _inside(self, t: Time, h: Time, y0: Tensor, y1: Tensor, thetas: Sequence[Time]) -> Tensor:
        """The outputs inside the step that was just made, shape `(len(thetas), n)`."""
        if self._problem.solver.interpolation == "linear":
            return torch.stack([y0 + theta * (y1 - y0) for theta in thetas])
        return self._step.interpolant(t, h, y0, y1)(thetas)

    def _pull(
        self, results: list[Tensor], cotangents: list[Tensor], leaves: tuple[Tensor, ...]
    ) -> list[Tensor]:
        pairs = [(r, c) for r, c in zip(results, cotangents, strict=True) if r.requires_grad]
        grads = torch.autograd.grad(
            [r for r, _ in pairs],
            [*leaves, *self._inputs],
            [c for _, c in pairs],
            retain_graph=self._retain_graph,
            allow_unused=True,
        )
        self._vjp.accumulate(grads[len(leaves) :])
        return [
            torch.zeros_like(leaf) if grad is None else grad
            for leaf, grad in zip(leaves, grads, strict=False)
        ]

    def _time_leaves(self, t: float, t_end: float, outputs: slice) -> StepTimes:
        times, h = self._times[outputs], t_end - t
        thetas: list[Time] = [(time - t) / h for time in times]
        if self._clock is None:
            return StepTimes(t, h, thetas)
        start, end = (self._grad_ys.new_zeros(()).requires_grad_() for _ in range(2))
        moved = self._grad_ys.new_zeros(len(times)).requires_grad_()
        thetas = [
            theta + (moved[i] - start - theta * (end - start)) / h
            for i, theta in enumerate(thetas)
        ]
        time = self._problem.time(t) + start
        return StepTimes(time, h + (end - start), thetas, (start, end, moved))

    def _enter_outputs(self, t: float, t_end: float) -> slice:
        """Add the gradients of outputs at the end of a step; return which outputs are inside."""
        times, last, direction = self._times, self._output, 1.0 if t_end > t else -1.0
        while last > 0 and direction * (times[last] - t_end) >= 0:
            if self._clock is not None and times[last] != self._problem.times[-1]:
                slope = self._field(t_end, self._vectors[0])
                self._clock.output(last, torch.dot(slope, self._grad_ys[last]))
            self._cotangents[0] = self._cotangents[0] + self._grad_ys[last]
            last -= 1
        first = last
        while first > 0 and direction * (times[first] - t) > 0:
            first -= 1
        self._output = first
        return slice(first + 1, last + 1)


class StepTimes(NamedTuple):
    """Start and size of a step and relative positions of outputs in it, floats or 0-d tensors.

    Attributes:
        leaves: If the times need gradients, zeros that are added to the step's start, its end and
            the output times.
    """

    start: Time
    size: Time
    thetas: list[Time]
    leaves: tuple[Tensor, ...] = ()
