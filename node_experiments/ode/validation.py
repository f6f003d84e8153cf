"""Validation of the arguments of a solve, before its first step."""

from __future__ import annotations

import math
import operator
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import TransformType
from torch._functorch.pyfunctorch import retrieve_all_functorch_interpreters
from torch.autograd import forward_ad
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.hooks import RemovableHandle

from .captured_tensors import Reachable, reachable_from
from .solver import Solver
from .state import FlatState

__all__ = [
    "check_arguments",
    "check_choices",
    "check_parameters",
    "check_times",
    "check_transform",
    "is_differentiated",
    "is_in_vmap",
    "is_mapped",
    "reject_batch_statistics",
    "transformed",
]


PARAMETERS = "parameters must be an iterable of tensors, such as net.parameters() or [weight]"


def check_arguments(solver: object, args: object, parameters: object) -> None:
    """Reject arguments of `solve` that have the wrong type.

    Raises:
        ValueError: `solver` is not a Solver, `args` is neither a tuple nor a list, or
            `parameters` is a single tensor, a mapping or not iterable.
    """
    if not isinstance(solver, Solver):
        raise ValueError(
            f"solver must be a Solver, or the name of a method; found {described(solver)}"
        )
    if not isinstance(args, tuple | list):
        raise ValueError(
            "args must be a tuple of the further arguments of func; found "
            f"{described(args)}; write args=(value,)"
        )
    # The rows of a tensor are other tensors, which the vector field does not read.
    iterable = isinstance(parameters, Iterable) and not isinstance(parameters, Tensor | Mapping)
    if parameters is not None and not iterable:
        raise ValueError(f"{PARAMETERS}; found {described(parameters)}")


def check_parameters(parameters: Sequence[object]) -> None:
    """Reject what is no tensor, and computed tensors with hooks or beside their sources.

    Raises:
        ValueError: With the type that was found, or about the hook or the source.
    """
    for each in parameters:
        if not isinstance(each, Tensor):
            raise ValueError(f"{PARAMETERS}; found {described(each)} among them")
        if not each.is_leaf and each._backward_hooks:
            raise ValueError(
                "parameters holds a tensor that was computed from others and has a hook, which "
                "would see the gradient of each evaluation; register the hook on the tensor that "
                "it was computed from, or pass the tensor in args=(...)"
            )
    tensors = [p for p in parameters if isinstance(p, Tensor)]
    computed = [p for p in tensors if p.grad_fn is not None]
    if not computed:
        return
    leaves, outputs = sources(computed)
    if any(id(p) in leaves or (p.grad_fn, p.output_nr) in outputs for p in tensors):
        raise ValueError(
            "parameters holds a tensor that was computed from another one of them, whose gradient "
            "would count twice; leave out the one that it was computed from if the vector field "
            "does not read it, or pass the tensor in args=(...)"
        )


def sources(computed: Sequence[Tensor]) -> tuple[set[int], set[tuple[Any, int]]]:
    """What tensors were computed from: ids of leaves, and outputs of operations."""
    leaves: set[int] = set()
    outputs: set[tuple[Any, int]] = set()
    nodes: list[Any] = [p.grad_fn for p in computed]
    seen = set(nodes)
    while nodes:
        for node, number in nodes.pop().next_functions:
            if node is None:
                continue
            outputs.add((node, number))
            leaves.add(id(getattr(node, "variable", None)))
            if node not in seen:
                seen.add(node)
                nodes.append(node)
    return leaves, outputs


def described(value: object) -> str:
    """Type of a value, for an error message."""
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def check_times(t: Tensor | Sequence[float], endless: bool = False) -> list[float]:
    """Validate the output times and convert them to host floats.

    Args:
        t: A tensor of shape `(time,)`, or a sequence of numbers.
        endless: Whether the last time may be infinite.

    Raises:
        ValueError: Fewer than two times, or times that are not strictly monotonic and finite.
    """
    if isinstance(t, Tensor):
        if t.is_meta:
            raise ValueError("t is on the device 'meta' and has no values; make it on another one")
        fits = t.dim() == 1 and t.is_floating_point()
        times = t.tolist() if fits else []
        found = ""
    else:
        fits = isinstance(t, Iterable) and all(isinstance(x, Real) for x in t)
        times = [float(x) for x in t] if fits else []
        found = f"{len(times)} numbers"
        if not fits:
            others = [x for x in t if not isinstance(x, Real)] if isinstance(t, Iterable) else []
            element = f" with an element of type {type(others[0]).__name__}" if others else ""
            found = type(t).__name__ + element
    if len(times) < 2:
        if isinstance(t, Tensor):
            found = f"shape {tuple(t.shape)}, {t.dtype}"
        raise ValueError(
            "t must be a floating-point tensor of shape (time,), or a sequence of numbers, with "
            f"at least 2 times; found {found}"
        )
    later = times[1:]
    if math.isfinite(times[-1] - times[0]) and (
        all(map(operator.lt, times, later)) or all(map(operator.gt, times, later))
    ):
        return times
    sign = math.copysign(1.0, times[1] - times[0])
    for i, (a, b) in enumerate(pairwise(times), start=1):
        finite = math.isfinite(b - a) or (endless and i == len(times) - 1 and math.isfinite(a))
        if not sign * (b - a) > 0 or not finite:
            raise ValueError(
                "t must be finite and strictly increasing or strictly decreasing"
                + ("; only the last time of a solve with events may be infinite" * endless)
                + f"; found t[{i - 1}]={a!r} followed by t[{i}]={b!r}"
            )
    return times


def check_choices(
    solver: Solver, state: FlatState, times: Sequence[float], options: Mapping[str, Any]
) -> None:
    """Reject settings and arguments that the method does not support.

    Args:
        options: Arguments of `solve` that not every method supports, by name.

    Raises:
        ValueError: The choices do not fit together.
    """
    for name in ("rtol", "atol"):
        value = getattr(solver, name)
        if isinstance(value, float | int):
            continue
        if len(value) not in (len(state.sizes), sum(state.sizes)):
            raise ValueError(
                f"solver.{name} has {len(value)} numbers for a state of {len(state.sizes)} "
                f"tensors with {sum(state.sizes)} components; give a single number, or one for "
                "each tensor or each component"
            )
    if math.isinf(times[-1]) and solver.fixed_steps and solver.step_size is None:
        raise ValueError(
            "solver.num_steps and a grid of step_t need a finite interval; found "
            f"t[-1]={times[-1]!r}; set solver.step_size, or take a finite last time"
        )
    first, last = min(times[0], times[-1]), max(times[0], times[-1])
    grid = solver.step_t if solver.fixed_steps else ()
    if len(grid) and (max(grid) <= first or min(grid) >= last):
        raise ValueError(
            f"solver.step_t has times from {min(grid):g} to {max(grid):g}, and the solve goes "
            f"from {times[0]:g} to {times[-1]:g}, which would be one step; give times inside of it"
        )
    by_itself = solver.properties.family == "scipy" or solver.batching == "independent"
    unsupported = [name for name, value in options.items() if value] if by_itself else []
    if unsupported:
        raise ValueError(
            f"solver.method={solver.method!r} with batching={solver.batching!r} cannot take "
            f"{' and '.join(unsupported)}; leave it out, or use "
            + ("batching='joint'" if solver.batching == "independent" else "another method")
        )
    if solver.properties.family == "one_step" and state.is_complex:
        raise ValueError(
            f"solver.method={solver.method!r} takes steps of real states, and y0 is complex; "
            "solve (y0.real, y0.imag), or use a Tableau"
        )
    if solver.method == "leapfrog" and sum(state.sizes) % 2:
        raise ValueError(
            "solver.method='leapfrog' needs a state of two halves (q, p) of one size; found "
            f"{sum(state.sizes)} numbers"
        )


def transformed(func: Callable[..., Any], *inputs: Any) -> bool:
    """Whether a torch.func transform is active, or the function or an input has a tangent."""
    if torch._C._are_functorch_transforms_active():
        return True
    if forward_ad._current_level < 0:
        return False
    held = reachable_from(func)
    tensors = [x for x in (*inputs, *held.tensors) if isinstance(x, Tensor)]
    tensors += (x for module in held.modules for x in (*module.parameters(), *module.buffers()))
    return any(forward_ad.unpack_dual(x).tangent is not None for x in tensors)


def is_differentiated(x: Tensor) -> bool:
    """Whether a derivative with respect to a tensor may be required, forward or backward."""
    if x.requires_grad or torch.compiler.is_compiling():
        return x.requires_grad
    if forward_ad._current_level >= 0 and forward_ad.unpack_dual(x).tangent is not None:
        return True
    # Each transform wraps the tensor once more, also one that it does not differentiate.
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor(x)
    return wrapped and is_differentiated(torch._C._functorch.get_unwrapped(x))


def is_in_vmap() -> bool:
    """Whether `torch.func.vmap` is active; forward-mode Jacobians use it too."""
    interpreters = retrieve_all_functorch_interpreters()
    return any(i.key() == TransformType.Vmap for i in interpreters)


def is_mapped(x: Tensor) -> bool:
    """Whether `torch.func.vmap` maps over the values of a tensor, not only over tangents."""
    functorch = torch._C._functorch
    if not functorch.is_functorch_wrapped_tensor(x):
        return False
    return functorch.is_batchedtensor(x) or is_mapped(functorch.get_unwrapped(x))


def check_transform(t: Tensor | Sequence[float], events: bool) -> None:
    """Reject solves that transforms and forward-mode differentiation cannot go through.

    Raises:
        ValueError: Times that differ between samples, or events.
    """
    if not is_in_vmap():
        if events:
            raise ValueError(
                "transforms of torch.func and forward-mode differentiation do not go through "
                "events; use torch.autograd.grad or backward()"
            )
        return
    if isinstance(t, Tensor) and torch._C._functorch.is_batchedtensor(t):
        raise ValueError(
            "torch.func.vmap cannot map over t, because all samples share the steps; pass t "
            "with in_dims=None, and scale the time of each sample inside the vector field"
        )
    if events:
        raise ValueError(
            "torch.func.vmap cannot map over a solve with events, which end at another time in "
            "each sample; solve the samples one after the other"
        )


def reject_batch_statistics(reachable: Reachable, gradient: str) -> list[RemovableHandle]:
    """Reject batch normalisation that updates its statistics at every evaluation.

    A function may hold such a module without calling it, such as that of an encoder.

    Returns:
        Hooks of the modules that it holds, which raise a `ValueError` if it calls one of them; to
        be removed after the solve.
    """
    thread = threading.get_ident()

    def hook_of(name: str) -> Callable[[nn.Module, Any], None]:
        def reject(module: nn.Module, inputs: Any) -> None:
            if module.training and threading.get_ident() == thread:
                raise ValueError(
                    f"{type(module).__name__} {name!r} of the vector field updates its running "
                    f"statistics at every evaluation, and gradient={gradient!r} evaluates again "
                    "in the backward pass; use GroupNorm or LayerNorm, call eval() on it, set "
                    "track_running_stats=False, or use gradient='backprop'"
                )

        return reject

    return [
        part.register_forward_pre_hook(hook_of(name))
        for module in reachable.modules
        for name, part in module.named_modules()
        if isinstance(part, _BatchNorm) and part.training and part.track_running_stats
    ]
