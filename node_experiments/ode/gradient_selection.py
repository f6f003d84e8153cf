"""The gradient method of a solve, and the tensors that need its gradients."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .captured_tensors import UnobservedTensors, find_parameters
from .gradients import Gradient, make_gradient
from .gradients.backward_pass import Evaluator
from .gradients.base import DEFAULTS
from .lost_graphs import GraphLost
from .problem import Constants, Problem
from .reachable import OPAQUE, Reachable, constants_in, reachable_from
from .validation import check_parameters, reject_batch_statistics, transformed

__all__ = ["gradient_method"]


def gradient_method(
    problem: Problem,
    func: Callable[..., Any],
    gradient: Gradient | str,
    parameters: Iterable[Tensor] | None,
) -> Gradient | None:
    """Choose the gradient method of this solve; None if nothing needs a gradient.

    Sets the problem's parameters.

    Raises:
        ValueError: A transform is applied to adaptive steps, or the gradient method does not
            support the vector field.
    """
    known = DEFAULTS.get(gradient) if isinstance(gradient, str) else None
    method = known or make_gradient(gradient)
    solver_method = problem.solver.properties
    if transformed(func, problem.y0, problem.t, *problem.args):
        if not problem.solver.fixed_steps:
            raise ValueError(
                "torch.func transforms and forward-mode differentiation go through fixed steps "
                "only, because the steps of an adaptive solve depend on the values; set "
                "solver.num_steps or solver.step_size"
            )
        if not solver_method.recordable:
            raise ValueError(
                "torch.func transforms and forward-mode differentiation go through the steps of "
                "explicit Runge-Kutta, reversible and symplectic methods and fixed-step Adams "
                f"methods; found solver.method={problem.solver.method!r}; use 'rk4', for example"
            )
        # Whatever was chosen: a transform can only go through the operations of the steps.
        return make_gradient("backprop")
    if not torch.is_grad_enabled():
        return None
    if problem.compilation is not None:
        from .gradients.compiled import compiled_gradient

        replacement = compiled_gradient(problem, method, parameters)
        if replacement is not None:
            inputs = (problem.y0, *replacement.tensors(problem))
            return replacement if any(x.requires_grad for x in inputs) else None
    objects = [arg for arg in problem.args if not isinstance(arg, (Tensor, *OPAQUE))]
    if objects:
        func = partial(func, *objects)  # so that the tensors that they hold are found as well
    if method.records_steps and solver_method.has_graph:
        return method
    # Steps that cannot have a graph are still correct if nothing needs a gradient.
    reachable = reachable_from(func)
    if not method.records_steps:
        name = type(method).__name__.lower()
        problem.hooks = reject_batch_statistics(reachable, name)
    try:
        problem.parameters, unobserved = parameters_of(func, reachable, parameters, problem)
    except GraphLost:
        held = [p for module in reachable.modules for p in module.parameters()]
        if any(x.requires_grad for x in (problem.y0, problem.t, *problem.inputs, *held)):
            raise
        return None
    problem.unobserved = unobserved
    given = [x for x in problem.args if isinstance(x, Tensor) and not x.requires_grad]
    problem.constants = Constants([*given, *constants_in(reachable), *unobserved.parameters])
    problem.parameters_are_all = parameters is None
    if problem.y0.requires_grad or problem.t.requires_grad or problem.inputs:
        warn_of_detached_parameters(problem, unobserved)
        return method
    return None


def warn_of_detached_parameters(problem: Problem, unobserved: UnobservedTensors) -> None:
    """Warn if parameters alone need a gradient, and no derivative was observed to depend on them.

    Autograd would raise an error for a loss without a graph; a gradient method returns zeros.
    """
    detached = len(unobserved.parameters)
    inputs_differentiated = problem.y0.requires_grad or problem.t.requires_grad
    if detached and detached == len(problem.inputs) and not inputs_differentiated:
        warnings.warn(
            "the vector field holds tensors that need a gradient, and its derivatives at the "
            "start and at the end depend on none of them, so that their gradients are zero unless "
            "it reads them in between; look for .item(), .detach() or torch.no_grad() in it",
            stacklevel=5,
        )


def parameters_of(
    func: Callable[..., Any],
    reachable: Reachable,
    parameters: Iterable[Tensor] | None,
    problem: Problem,
) -> tuple[tuple[Tensor, ...], UnobservedTensors]:
    """Tensors that need a gradient and that `func` may read: those given, or all found."""
    if parameters is not None:
        given = tuple(parameters)
        check_parameters(given)
        # Tied weights are one tensor, whose gradient counts once.
        return tuple({id(p): p for p in given if p.requires_grad}.values()), UnobservedTensors()

    def evaluate(t: float) -> tuple[Tensor, Sequence[Tensor]]:
        evaluator = Evaluator(problem)
        _, y, derivative = evaluator.at(t, problem.y0)
        return derivative, (y, *evaluator.inputs)

    first, last = problem.times[0], problem.times[-1]
    jumps = [t for t in problem.solver.jump_t if min(first, last) < t < max(first, last)]
    end = [last] if math.isfinite(last) else []
    differentiated = problem.y0.requires_grad or problem.t.requires_grad or bool(problem.inputs)
    return find_parameters(func, reachable, evaluate, (first, *jumps, *end), differentiated)
