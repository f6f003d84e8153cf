"""What a solve refuses before its first step, each with what was found and what to do."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import TransformType
from torch._functorch.pyfunctorch import retrieve_all_functorch_interpreters
from torch.autograd import forward_ad

from .methods.registry import METHODS
from .solver import Solver
from .state import FlatState
from .vector_field import graph_position, without_old_graph

__all__ = [
    "GraphLost",
    "check_choices",
    "check_times",
    "check_transform",
    "checked",
    "transformed",
]


def check_times(t: Tensor | Sequence[float], endless: bool = False) -> list[float]:
    """The output times as host floats.

    Args:
        t: A tensor of shape `(time,)`, or as many numbers.
        endless: Whether the last time may be infinite.

    Raises:
        ValueError: Fewer than two times, or times that are not strictly monotonic and finite.
    """
    if isinstance(t, Tensor):
        fits = t.dim() == 1 and t.is_floating_point()
        times = t.detach().double().tolist() if fits else []
        found = f"shape {tuple(t.shape)}, {t.dtype}"
    else:
        fits = isinstance(t, Iterable) and all(isinstance(x, Real) for x in t)
        times = [float(x) for x in t] if fits else []
        found = f"{len(times)} numbers" if fits else f"{type(t).__name__} of other things"
    if len(times) < 2:
        raise ValueError(
            "t must be a floating-point tensor of shape (time,), or a sequence of numbers, with "
            f"at least 2 times; found {found}"
        )
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
    solver: Solver, state: FlatState, times: Sequence[float], asked: Sequence[str]
) -> None:
    """Refuse what a method cannot do.

    Args:
        asked: Names of the arguments of `solve` that not every method can serve.

    Raises:
        ValueError: Choices that do not fit together.
    """
    for name in ("rtol", "atol"):
        value = getattr(solver, name)
        allowed = (len(state.sizes), sum(state.sizes))
        if not isinstance(value, float | int) and len(value) not in allowed:
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
    by_itself = METHODS[solver.method].family == "scipy" or solver.batching == "independent"
    if by_itself and asked:
        raise ValueError(
            f"solver.method={solver.method!r} with batching={solver.batching!r} cannot take "
            f"{' and '.join(asked)}; leave it out, or take "
            + ("batching='joint'" if solver.batching == "independent" else "another method")
        )
    if solver.method == "leapfrog" and sum(state.sizes) % 2:
        raise ValueError(
            "solver.method='leapfrog' needs a state of two halves (q, p) of one size; found "
            f"{sum(state.sizes)} numbers"
        )


def checked(func: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`func`, whose derivatives are compared with its states; this needs no synchronisation.

    A derivative may be in half precision, as autocast leaves it: the solver computes in that of
    the state. Any other dtype is a mistake, and would lose digits in silence. So is a change of
    the time or the state in place, for the solver goes on with them.
    """
    # Tensors of inference mode do not count their changes.
    counts_changes = not torch.compiler.is_compiling() and not torch.is_inference_mode_enabled()
    may_lack_graph = True

    def call(t: Tensor, y: Tensor, *args: Any) -> Tensor:
        nonlocal may_lack_graph
        if torch.compiler.is_compiling():  # what is traced has neither versions nor a graph yet
            return like_state(func(t, y, *args), y)
        versions = (t._version, y._version) if counts_changes else None
        position = graph_position()
        try:
            derivative = func(t, y, *args)
        except RuntimeError as error:
            # Autograd's own rejections, of a leaf and of the parts of one that was split.
            if y.is_leaf and y.requires_grad and NO_CHANGE.search(str(error)):
                raise ValueError(CHANGED.format("the state, or another leaf,", "y")) from error
            raise
        if versions is not None and (t._version, y._version) != versions:
            name, symbol = ("the time", "t") if t._version != versions[0] else ("the state", "y")
            raise ValueError(CHANGED.format(name, symbol))
        like_state(derivative, y)
        if not y.requires_grad:
            return derivative
        if derivative.requires_grad:
            return without_old_graph(derivative, position) if y.is_leaf else derivative
        if may_lack_graph and torch.is_grad_enabled():
            check_graph(func, t, y, args, derivative)
            may_lack_graph = False
        return derivative

    return call


def like_state(derivative: Tensor, y: Tensor) -> Tensor:
    """The derivative, which is a tensor of the shape, dtype and device of its state.

    Raises:
        ValueError: It is something else.
    """
    if (
        not isinstance(derivative, Tensor)
        or derivative.shape != y.shape
        or derivative.device != y.device
        or derivative.dtype not in (y.dtype, torch.bfloat16, torch.float16)
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


NO_CHANGE = re.compile("in-?place")


class GraphLost(ValueError):
    """A derivative depends on its state and is in no graph."""


CHANGED = (
    "the vector field changed {} in place, and the solver goes on with it; take an operation that "
    "returns a new tensor, such as torch.where or y.clamp(min=0) instead of y.clamp_(min=0), or "
    "{}.clone()"
)


def check_graph(
    func: Callable[..., Tensor], t: Tensor, y: Tensor, args: Sequence[Any], derivative: Tensor
) -> None:
    """Look whether a derivative without a graph, at a state that needs a gradient, is constant.

    A constant one is right to have none. Whether it is shows in its values at states nearby, in
    two directions: a function that is piecewise constant may jump here, and does so in one.

    Raises:
        ValueError: The derivative depends on the state, and its gradient would be lost.
    """
    if torch._C._are_functorch_transforms_active() or torch.compiler.is_compiling():
        return
    derivative = derivative.clone()  # the vector field may write to it again
    with torch.no_grad():
        if not torch.equal(func(t, y.detach().clone(), *args), derivative):
            return  # it draws random numbers, or counts its calls
        shift = (1 + y.detach().abs()) * torch.finfo(y.dtype).eps ** 0.5
        nearby = [func(t, y.detach() + sign * shift, *args).clone() for sign in (1, -1)]
        if any(torch.equal(value, derivative) for value in nearby):
            return
    raise GraphLost(
        "the derivative that the vector field returned depends on its state and is in no graph, "
        "so that gradients would be wrong: it was made by torch.tensor(...), .item(), NumPy or "
        ".detach(); compute it by torch operations on y, or solve under torch.no_grad()"
    )


def transformed(*inputs: Any) -> bool:
    """Whether a torch.func transform or forward-mode differentiation is going on."""
    return torch._C._are_functorch_transforms_active() or any(
        isinstance(x, Tensor) and forward_ad.unpack_dual(x).tangent is not None for x in inputs
    )


def check_transform(t: Tensor | Sequence[float], events: bool) -> None:
    """Refuse what `torch.func.vmap` cannot go through.

    Raises:
        ValueError: Times that differ between samples, or events.
    """
    interpreters = retrieve_all_functorch_interpreters()
    if not any(i.key() == TransformType.Vmap for i in interpreters):
        return
    if isinstance(t, Tensor) and torch._C._functorch.is_batchedtensor(t):
        raise ValueError(
            "torch.func.vmap cannot map over t, for the steps are those of all samples; pass t "
            "with in_dims=None, and scale the time of each sample inside the vector field"
        )
    if events:
        raise ValueError(
            "torch.func.vmap cannot map over a solve with events, which end at another time in "
            "each sample; solve the samples one after the other"
        )
