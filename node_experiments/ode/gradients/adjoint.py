"""The adjoint method of Chen et al. 2018, section 2 and appendices B and C.

The adjoint a(t) = dL/dy(t), a row vector, obeys da/dt = -a df/dy. Solving it backwards together
with y itself needs no stored activations, so the memory does not grow with the number of
evaluations, and one call yields all gradients:

    dL/dtheta = -integral from t_N to t_0 of a df/dtheta dt,
    dL/dt_i = dL/dy(t_i) f(t_i, y(t_i)),    dL/dt_0 = -a(t_0) f(t_0, y(t_0)).

At every output time the adjoint jumps by the gradient that arrives there. The parameter gradients
do not feed back into the solution, so they are quadratures along it and not part of its state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..captured_tensors import reachable_from
from ..integrate import solve_forward
from ..methods.explicit_runge_kutta import ExplicitRungeKutta
from ..methods.one_step import OneStep
from ..methods.registry import METHODS, nearest
from ..problem import Problem
from ..solution import Solution, SolveError, Trajectory
from ..solver import Solver
from .augmented_solve import AugmentedSolve, UnexpectedRead
from .backward_pass import backward_pass, forward_pass
from .backward_solve import check_dense_inputs
from .base import Gradient

__all__ = ["Adjoint"]


@dataclass(frozen=True)
class Adjoint(Gradient):
    """The gradient of the paper: accurate to the solver's tolerance, in constant memory.

    Attributes:
        rtol, atol: Tolerances of the backward solve, numbers or sequences as in `Solver`; those
            of the forward solve when None. As in the paper, `atol` applies to the state and to
            the adjoint alike, whatever their units: where gradients are much smaller than `atol`,
            the state alone determines the steps.
        seminorm: Measure the errors of the parameter gradients against 30 times the tolerance:
            they do not feed back into the solution, and are mostly as smooth. (Kidger et al. 2021
            leave them out of the error norm altogether.) Adams methods and those of SciPy always
            measure them like the state.
        method: Method of the backward solve. When None, that of the forward solve; but where
            outputs are closer together than its steps, every interval costs a whole step, and a
            low-order method with cheaper steps is used as long as one such step is enough.
            A fixed step size is that of the forward solve.
        state_tolerance: Relative error of the state that is solved backwards above which a
            warning is issued.
        solver: The whole solver of the backward solve (method, tolerances, step size, limits),
            instead of one derived from that of the forward solve by the options above.
        norm: Error norm of the augmented state. It is called with the errors of the state, of the
            adjoint (in the structure of the state) and of the parameter gradients (a tuple), all
            in multiples of their tolerances, and returns a 0-d tensor. When None, the state and
            the adjoint are each measured by the norm of the forward solve, and the parameter
            gradients by their root mean square, in multiples of 30 tolerances with `seminorm`.
        watch: Called for every step of the backward solve with (t, h, (state, adjoint),
            accepted), where the sign of h is the direction.
        error: The exception of a backward solve that does not reach its end, made of the solution.
        materialize_grads: Return gradients of zeros, as torchdiffeq does, and not None for
            parameters that the vector field could read but was not seen to read.

    Raises:
        ValueError: A negative tolerance, an unknown method, or mutually exclusive options.

    Example:
        >>> gradient = Adjoint(solver=Solver("rk4", step_size=0.05))  # for any forward solve
    """

    solves_backwards: ClassVar[bool] = True

    rtol: float | Sequence[float] | None = None
    atol: float | Sequence[float] | None = None
    seminorm: bool = True
    method: str | None = None
    state_tolerance: float = 0.1
    solver: Solver | None = None
    norm: Callable[[Any, Any, tuple[Tensor, ...]], Tensor] | None = None
    watch: Callable[[float, float, tuple[Any, Any], bool], None] | None = None
    error: Callable[[Solution], SolveError] = SolveError
    materialize_grads: bool = False

    def __post_init__(self) -> None:
        if not self.state_tolerance >= 0:
            raise ValueError(
                f"gradient.state_tolerance={self.state_tolerance!r} must be a number >= 0"
            )
        for name in ("rtol", "atol"):
            value = getattr(self, name)
            one = value is None or isinstance(value, float | int)
            parts = [0.0 if value is None else value] if one else list(value)
            if not (parts and all(0 <= part < math.inf for part in parts)):
                raise ValueError(
                    f"gradient.{name}={value!r} must be a number >= 0, a list of such numbers, or "
                    "null"
                )
        if self.method is not None and self.method not in METHODS:
            raise ValueError(f"gradient.method={self.method!r} is unknown{nearest(self.method)}")
        if self.solver is None:
            return
        for name in ("rtol", "atol", "method"):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"gradient.solver and gradient.{name} are both set; set {name} in the solver"
                )
        if self.solver.batching != "joint":
            raise ValueError(
                "gradient.solver.batching='independent' is not for the backward solve, whose "
                "parameter gradients belong to all samples; use batching='joint'"
            )

    @property
    def method_is_chosen(self) -> bool:
        """Whether the user chose the method of the backward solve."""
        return self.method is not None or self.solver is not None

    def needs_all_gradients(self, problem: Problem) -> bool:
        """Whether the norm or the tolerances are defined on all parameter gradients."""
        solver = self.backward_solver(problem.solver, problem.times)
        single = all(isinstance(x, float | int) for x in (solver.rtol, solver.atol))
        return self.norm is not None or not single

    def backward_solver(self, solver: Solver, times: Sequence[float]) -> Solver:
        """The solver of the backward solve: the given one, or the forward solver with changes.

        Raises:
            ValueError: The method needs a step size and has none.
        """
        if self.solver is not None:
            solver = self.solver
        step_size = solver.step_size
        if solver.num_steps is not None:
            step_size = abs(times[-1] - times[0]) / solver.num_steps
        changes = self.method, self.rtol, self.atol, solver.num_steps
        if all(change is None for change in changes):
            return solver
        return replace(
            solver,
            method=self.method or solver.method,
            rtol=solver.rtol if self.rtol is None else self.rtol,
            atol=solver.atol if self.atol is None else self.atol,
            num_steps=None,
            step_size=step_size,
        )

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times that were reached, shape `(time, *state)`.

        Raises:
            ValueError: A sparse tensor needs a gradient; a symplectic method, since the augmented
                system is not separable; a method of the user's, which was written for the state
                of the forward solve; a method that needs a step size and has none; or `norm` or
                `watch` with SciPy.
        """
        check_dense_inputs(problem, "adjoint")
        # Before the forward solve, since this may reject the options.
        backwards = self.backward_solver(problem.solver, problem.times)
        method, family = backwards.method, backwards.properties.family
        if family == "scipy" and (self.norm or self.watch):
            raise ValueError(
                f"the backward solve by {method!r} cannot take gradient.norm and gradient.watch, "
                "since SciPy measures errors and chooses steps; leave them out, or set "
                "gradient.method"
            )
        if family == "symplectic":
            raise ValueError(
                f"gradient='adjoint' cannot use the method {method!r}, whose backward problem is "
                "not separable; set gradient.method, or use gradient='reversible' or 'backprop'"
            )
        if family == "one_step" and self.solver is None:
            raise ValueError(
                f"gradient='adjoint' cannot use {method!r} backwards, because the state of the "
                "backward solve has further parts; set gradient.method, for example to 'rk4', or "
                "gradient.solver, or use gradient='backprop'"
            )
        if problem.solver.properties.family == "one_step":
            reject_tensors_of_step(problem)
        trajectories: list[Trajectory] = []
        ys = _Solve.apply(problem, self, trajectories, problem.y0, problem.t, *problem.inputs)
        return ys, trajectories[0]


def reject_tensors_of_step(problem: Problem) -> None:
    """Reject a step of the user that holds tensors whose gradient would be lost.

    Raises:
        ValueError: It holds a tensor that needs a gradient and is no parameter of the field.
    """
    method = problem.solver.properties.functions
    if not isinstance(method, OneStep) or not method.searched:
        return
    held = reachable_from(method.step)
    tensors = [*held.tensors, *(p for module in held.modules for p in module.parameters())]
    differentiated = {id(x) for x in problem.inputs}
    if any(x.requires_grad and id(x) not in differentiated for x in tensors):
        raise ValueError(
            f"the step of {method!r} reads a tensor that needs a gradient, which "
            "gradient='adjoint' does not give; use gradient='backprop'"
        )


class _Solve(torch.autograd.Function):
    @staticmethod
    @forward_pass
    def forward(
        ctx: Any,
        problem: Problem,
        options: Adjoint,
        trajectories: list[Trajectory],
        y0: Tensor,
        t: Tensor,
        *differentiable: Tensor,
    ) -> Tensor:
        explicit = problem.solver.properties.family == "explicit"
        stepper = problem.stepper(problem.stats.forward) if explicit else None
        ys, trajectory = solve_forward(problem, stepper=stepper)
        trajectories.append(trajectory)
        ctx.problem, ctx.options, ctx.end = problem, options, None
        if isinstance(stepper, ExplicitRungeKutta):
            ctx.end = stepper.known_end(trajectory.outputs[-1])
        ctx.save_for_backward(ys, *problem.read_inputs)
        return ys

    @staticmethod
    @backward_pass
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:
        ys, *_ = ctx.saved_tensors
        problem, options = ctx.problem, ctx.options
        solver = options.backward_solver(problem.solver, problem.times)
        inputs = problem.inputs
        known = {*map(id, inputs if options.needs_all_gradients(problem) else problem.read_inputs)}
        read = {i for i, x in enumerate(inputs) if id(x) in known}
        while True:
            backward_solve = AugmentedSolve(
                problem, options, ys, grad_ys, solver, options.method_is_chosen, sorted(read)
            )
            backward_solve.set_expected_derivative(ctx.end)
            try:
                grads = backward_solve.solve(needs_grad_t=ctx.needs_input_grad[4])
            except UnexpectedRead as unexpected:
                read.add(unexpected.index)
            except SolveError as failure:
                raise options.error(failure.solution) from None
            else:
                return None, None, None, *grads
