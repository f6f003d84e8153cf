"""The interface of gradient methods, and what their backward passes have in common.

Those written by hand never record the solver's arithmetic. What they need of the vector field is
one evaluation f(t, y, theta) at a time, with a small separate graph, and its vector-Jacobian
products; the gradients of theta are accumulated in place beside the solve.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from ..captured_tensors import reject_unknown
from ..problem import Problem
from ..solution import Trajectory
from ..solver import Solver

__all__ = [
    "GRADIENTS",
    "Evaluation",
    "Evaluator",
    "Gradient",
    "Pullback",
    "backward_pass",
    "gradient_class",
    "make_gradient",
]

Backward = Callable[[Any, Tensor], tuple[Tensor | None, ...]]


class Gradient(Protocol):
    """Solves a problem such that its outputs can be differentiated.

    It meets the rest of the solver in the problem and in the accepted steps; it knows nothing of
    step control, and the loop knows nothing of it.

    Attributes:
        records_steps: Whether autograd records the operations of the steps.
        solves_backwards: Whether it solves an ODE backwards in time, with its own step control.
        replaces_method: Whether it solves by another method than it is given; see `solver_for`.
    """

    records_steps: ClassVar[bool] = False
    solves_backwards: ClassVar[bool] = False
    replaces_method: ClassVar[bool] = False

    def solver_for(self, solver: Solver) -> Solver:
        """The solver that is solved by when this one is asked for, also without gradients."""
        return solver

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times that were reached, shape `(time, *state)`."""
        ...

    def solve_samples(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """As `solve`, with a step size for every sample along the first axis of the state.

        Raises:
            ValueError: The method differentiates no such steps.
        """
        raise ValueError(
            "solver.batching='independent' computes gradients by gradient='backprop', 'discrete' "
            f"or 'checkpoint'; found gradient={type(self).__name__.lower()!r}; take one of them, "
            "or solver.batching='joint'"
        )


# A method is the class of this name in the file of the method's name.
GRADIENTS = {
    "adjoint": "Adjoint",
    "backprop": "Backprop",
    "checkpoint": "Checkpoint",
    "discrete": "Discrete",
    "interpolated": "Interpolated",
    "reversible": "Reversible",
}
DEFAULTS: dict[str, Gradient] = {}


def gradient_class(name: str) -> type[Gradient]:
    """The class of a gradient method, by the method's name in `GRADIENTS`."""
    return getattr(import_module(f".{name}", __package__), GRADIENTS[name])


def records_steps(gradient: Gradient | str) -> bool:
    """Whether autograd records the steps; by its name, for nothing is imported while tracing."""
    return gradient == "backprop" if isinstance(gradient, str) else gradient.records_steps


def make_gradient(gradient: Gradient | str) -> Gradient:
    """The gradient method of that name with its defaults, or the one that was given.

    Raises:
        ValueError: An unknown name, or something else.
    """
    if not isinstance(gradient, str):
        if isinstance(gradient, type) or not hasattr(gradient, "records_steps"):
            name = getattr(gradient, "__name__", type(gradient).__name__)
            raise ValueError(
                "gradient must be the name of a gradient method, or one such as Discrete(); found "
                f"{name}"
            )
        return gradient
    if gradient not in DEFAULTS:
        if gradient not in GRADIENTS:
            near = difflib.get_close_matches(gradient, GRADIENTS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"gradient={gradient!r} is unknown; allowed: {', '.join(GRADIENTS)}{hint}"
            )
        DEFAULTS[gradient] = gradient_class(gradient)()
    return DEFAULTS[gradient]


def backward_pass(function: Backward) -> Backward:
    """Makes a backward solve the `backward` of an autograd function.

    It runs without a graph and in the precision of the state. Its gradients can therefore not be
    differentiated again, and say so when that is tried: torch's `once_differentiable` drops the
    second derivatives in silence where the gradients that arrive do not need any themselves.
    """

    @functools.wraps(function)
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:
        # By its name, for the key of autograd's older vmap has no other in Python.
        if "Batched" in str(torch._C._dispatch_keys(grad_ys)):
            raise NotImplementedError(BATCHED)
        if changed := ctx.problem.constants.changed:
            from ..changed_field import reject_if_read

            reject_if_read(ctx.problem, changed)
        precision: AbstractContextManager[None] = nullcontext()
        if torch.is_autocast_enabled(grad_ys.device.type):
            from ..autocast import full_precision

            precision = full_precision(grad_ys.device)
        with torch.no_grad(), precision, hooks_set_aside(ctx.problem.parameters):
            grads = function(ctx, grad_ys)
        if not torch.is_grad_enabled():
            return grads
        problem = ctx.problem
        read = () if problem.compilation is None else problem.compilation.field.tensors
        sources = (grad_ys, problem.y0, problem.t, *problem.inputs, *read)
        return OnceDifferentiable.apply(len(sources), *sources, *grads)

    return backward


BATCHED = (
    "this gradient method takes one gradient at a time, and no batch of them, which "
    "jacobian(vectorize=True), torch.func.vmap and is_grads_batched=True make; leave them out, or "
    "take gradient='backprop'"
)


@contextmanager
def hooks_set_aside(parameters: Sequence[Tensor]) -> Iterator[None]:
    """Without the hooks that the user registered on parameters (`Tensor.register_hook`).

    They are to run once, on the whole gradient, when autograd hands it on. Inside, each gradient
    of a parameter is that of a single evaluation, and autograd would run them on every one.
    """
    hooks = [(p, p._backward_hooks) for p in parameters if p.is_leaf and p._backward_hooks]
    for p, _ in hooks:
        p._backward_hooks = None
    try:
        yield
    finally:
        for p, registered in hooks:
            p._backward_hooks = registered


class OnceDifferentiable(torch.autograd.Function):
    """Hands gradients on; to differentiate them is an error.

    The tensors that they depend on are inputs, so that autograd reaches this node and its error;
    otherwise second derivatives would be taken for zero.
    """

    @staticmethod
    def forward(ctx: Any, sources: int, *tensors: Tensor | None) -> tuple[Tensor | None, ...]:
        grads = tensors[sources:]
        return tuple(None if grad is None else grad.view_as(grad) for grad in grads)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        raise NotImplementedError(
            "this gradient method gives no second derivatives, which the gradient of a gradient "
            "(create_graph=True) needs; take gradient='backprop'"
        )


class Evaluation(NamedTuple):
    """dy/dt at one point, with a graph from (t, y, theta) and nothing else.

    Attributes:
        t: Time, 0-d; a leaf of the graph when time gradients are wanted.
        y: State, a leaf of the graph.
        derivative: f(t, y), of the shape of y.
    """

    t: Tensor
    y: Tensor
    derivative: Tensor


class Evaluator:
    """Evaluates a problem's vector field.

    Args:
        problem: The initial value problem.
        time_gradients: Whether the time should be a leaf of the graphs.

    Attributes:
        args: Arguments of the vector field, with leaves where a gradient is needed.
        shape: Shape of the state.
        retain_graph: Whether the graphs may have parts in common, which are kept.
        inputs: Leaves of the graphs besides time and state: detached copies of the arguments
            that need gradients, then the parameters, as in `problem.inputs`.
    """

    def __init__(self, problem: Problem, time_gradients: bool = False):
        self._problem = problem
        self.shape = problem.y0.shape
        self._time_gradients = time_gradients
        leaves = {
            i: arg.detach().requires_grad_()
            for i, arg in enumerate(problem.args)
            if isinstance(arg, Tensor) and arg.requires_grad
        }
        self.args = tuple(leaves.get(i, arg) for i, arg in enumerate(problem.args))
        # Parameters are read by the vector field itself, so the originals are what to ask for.
        self.inputs = (*leaves.values(), *problem.parameters)
        # A field may read a tensor in some of its evaluations only: the next one to look at.
        self._made, self._checked_at = 0, 1 if problem.parameters_are_all else -1
        # Given parameters may reach the vector field through a graph that was made outside of
        # it, which every evaluation goes through.
        self.retain_graph = not problem.parameters_are_all

    def at(self, t: float, y: Tensor) -> Evaluation:
        """Evaluate at a host time and a state of any shape with as many components."""
        return self(self._problem.time(t), y.view(self.shape))

    def __call__(self, time: Tensor, y: Tensor) -> Evaluation:
        """Evaluate at a time and a state of the problem's shape, whose memory is kept.

        Raises:
            ValueError: The vector field reads a tensor whose gradient would be lost.
        """
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            if self._time_gradients:
                time = time.detach().clone().requires_grad_()
            derivative = self._problem.func(time, y, *self.args)
            self._made += 1
            if self._made == self._checked_at:
                known = (time, y, *self.inputs)
                reject_unknown(derivative, known, lambda: self._problem.func(time, y, *self.args))
                self._checked_at *= 2
        return Evaluation(time, y, derivative)


class Pullback:
    """Vector-Jacobian products of evaluations, with the gradients of their inputs accumulated.

    Attributes:
        grads: Accumulated gradients of `inputs`; None for those that no evaluation depended on.
    """

    def __init__(self, evaluator: Evaluator):
        self._inputs, self._retain_graph = evaluator.inputs, evaluator.retain_graph
        self.grads: list[Tensor | None] = [None] * len(self._inputs)

    def __call__(self, evaluation: Evaluation, cotangent: Tensor, out: Tensor) -> Tensor | None:
        """Write the cotangent of the state into `out`; return that of the time, if it has one.

        Args:
            cotangent: Cotangent of the derivative, shape `(n,)`.
            out: Shape `(n,)`; may not overlap with `cotangent`.
        """
        t, y, derivative = evaluation
        if not derivative.requires_grad:
            out.zero_()
            return None
        times = (t,) if t.requires_grad else ()
        grad_y, *grads = torch.autograd.grad(
            derivative,
            (y, *times, *self._inputs),
            cotangent.view(y.shape).to(derivative.dtype),
            retain_graph=self._retain_graph,
            allow_unused=True,
        )
        if grad_y is None:
            out.zero_()
        else:
            out.view(y.shape).copy_(grad_y)
        self.accumulate(grads[len(times) :])
        return grads[0] if times else None

    def accumulate(self, grads: Sequence[Tensor | None]) -> None:
        """Add gradients of the inputs; None is zero."""
        sums, terms = [], []
        for i, grad in enumerate(grads):
            if grad is None:
                continue
            total = self.grads[i]
            if total is None:
                # A copy, for autograd may return a view of the cotangent.
                self.grads[i] = grad.clone()
            else:
                sums.append(total)
                terms.append(grad)
        if sums:
            torch._foreach_add_(sums, terms)
