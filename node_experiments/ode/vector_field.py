"""The vector field as the methods call it: on packed states, checked, and repeatable."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .lost_graphs import GraphCheck

__all__ = [
    "AdaptedField",
    "Dynamics",
    "PlainField",
    "VectorField",
    "checked",
    "compute_stage_times",
    "graph_position",
    "is_traced_or_transformed",
    "like_state",
    "without_old_graph",
]


class Dynamics:
    """The right-hand side of dy/dt = f(t, y).

    It is called with a 0-d time, a state, and further arguments: those of the vector field, or a
    tensor to which the integrands of quadratures are written.

    Attributes:
        direct_call: The function that steps call directly, without a Python frame in between; None
            if a call needs more than that.
        reuses_memory: Whether a derivative may be overwritten by the next evaluation.
        has_versions: Whether its tensors have version counters, so that changes in place are
            rejected; traced tensors and those of inference mode have none.
        draws: Whether it draws random numbers, which is known from the second evaluation on.
        resolution: Relative precision of its derivatives, if coarser than the state's; else 0.
        first: Its derivative at the start of a solve, if that is known.
    """

    first: Tensor | None = None
    direct_call: Callable[..., Any] | None = None
    reuses_memory: bool = False
    has_versions: bool = True
    draws: bool = False
    resolution: float = 0.0

    def __call__(self, t: Tensor, y: Tensor, *args: Any) -> Tensor:
        raise NotImplementedError

    def conform(self, derivative: Any, y: Tensor) -> Tensor:
        """Validate a derivative of `direct_call` and convert it to the dtype of the state.

        Raises:
            ValueError: It is not a tensor like the state.
        """
        return like_state(derivative, y).to(y.dtype)

    def check_graph(self, t: Tensor, y: Tensor, args: Sequence[Any], derivative: Tensor) -> None:
        """Check that a derivative may lack a graph at a state that has one; see `lost_graphs`."""


class PlainField(Dynamics):
    """A function without the checks of `VectorField`, such as that of a traced solve."""

    def __init__(self, func: Callable[..., Any]):
        self.direct_call = func
        self.has_versions = tensors_have_versions()

    def __call__(self, t: Tensor, y: Tensor, *args: Any) -> Tensor:
        assert self.direct_call is not None
        return self.conform(self.direct_call(t, y, *args), y)


@dataclass(slots=True)
class AdaptedField:
    """A vector field behind another interface.

    Attributes:
        call: A function of (t, y, *args) that calls `origin`.
        origin: The vector field as the user wrote it, whose modules and tensors are searched.
        fit: Converts a derivative of `origin` to the form of its state, if `origin` can be called
            directly; else None.
    """

    call: Callable[..., Any]
    origin: Callable[..., Any]
    fit: Callable[[Any, Tensor], Any] | None = None

    def __call__(self, *args: Any) -> Any:
        return self.call(*args)


class VectorField(Dynamics):
    """The user's function on packed states, which is the same function at every evaluation.

    It draws the same random numbers at every evaluation of one solve: with new numbers each time,
    dy/dt would not be a function, step size control would see noise, and an evaluation could not
    be repeated in the backward pass. Whether the first evaluation drew numbers is checked before
    the second one, or at the end of a solve that needs only one.

    Args:
        func: The function with its checks; see `checked`.
        device: The device whose random numbers it may draw, besides those of the CPU.
        origin: The vector field as the user gave it.
        direct: The user's function, if it takes packed states directly.
    """

    def __init__(
        self,
        func: Callable[..., Tensor],
        device: torch.device,
        origin: Any,
        direct: Callable[..., Any] | None = None,
    ):
        self._func, self._direct = func, direct
        self.origin = origin
        self._fit: Callable[[Any, Tensor], Any] | None = None
        if isinstance(direct, AdaptedField):
            self._direct, self._fit = (direct.origin, direct.fit) if direct.fit else (direct, None)
        self._device = device
        draws = device.type in ("cuda", "mps")
        self._of_device = torch.get_device_module(device) if draws else None
        self._draws: bool | None = None
        self._graph_check: GraphCheck | None = None
        self.has_versions = not torch.is_inference_mode_enabled()
        self._states: list[Tensor] = []
        self._before = b""
        self.first: Tensor | None = None

    def __call__(self, t: Tensor, y: Tensor, *args: Any) -> Tensor:
        if not self._states:
            return self._evaluate_first(t, y, args)
        if self._draws is None:
            moved = self._moved()
            if moved and threading.active_count() > 1:
                from .random_draws import draws_numbers

                # All threads share the generator, so another one may have advanced it.
                moved = draws_numbers(lambda: self._repeated(t, y, args))
                if not moved:
                    self._states = self._random_states()
                    self._before = self._before and bits(self._states)
            self.draws = self._draws = moved
            if not self._draws:
                self.direct_call = self._direct
        if not self._draws:
            return self._func(t, y, *args)
        return self._repeated(t, y, args)

    def _repeated(self, t: Tensor, y: Tensor, args: Sequence[Any]) -> Tensor:
        """Evaluate with the random numbers of the first evaluation."""
        before = self._random_states()
        self._restore(self._states)
        try:
            return self._func(t, y, *args)
        finally:
            self._restore(before)

    def _evaluate_first(self, t: Tensor, y: Tensor, args: Sequence[Any]) -> Tensor:
        states = self._random_states()
        transformed = torch._C._are_functorch_transforms_active()
        before = b"" if transformed else bits(states)
        # NumPy writes to a state without counting a version.
        given = y.detach().clone() if y.device.type == "cpu" and not transformed else None
        derivative = self._func(t, y, *args)
        if given is not None and not (torch.equal(given, y) or bool(given.isnan().any())):
            raise changed_in_place(time=False)
        if derivative.dtype != y.dtype and derivative.is_floating_point():  # autocast
            self.resolution = max(self.resolution, torch.finfo(derivative.dtype).eps)
        # Only now: after an evaluation that was rejected, the next one counts as the first.
        self._states, self._before = states, before
        # A derivative that is in a graph and was never changed in place was created by this
        # evaluation. Other memory may belong to a tensor that is kept, or to a NumPy array.
        if not (derivative.requires_grad and derivative._version == 0):
            self.reuses_memory = sys.getrefcount(derivative) > 2 or not owns_memory(derivative)
        if not self.reuses_memory:
            self.first = derivative.detach()
        return derivative

    def conform(self, derivative: Any, y: Tensor) -> Tensor:
        if self._fit is not None:
            derivative = self._fit(derivative, y)
        return like_state(derivative, y).to(y.dtype)

    def check_graph(self, t: Tensor, y: Tensor, args: Sequence[Any], derivative: Tensor) -> None:
        if self.direct_call is not None and torch.is_grad_enabled():
            self._graph_check = self._graph_check or GraphCheck()
            self._graph_check(self._conformed, t, y, args, derivative)

    def _conformed(self, t: Tensor, y: Tensor, *args: Any) -> Tensor:
        assert self.direct_call is not None
        return self.conform(self.direct_call(t, y, *args), y)

    def check_late_draws(self) -> None:
        """Check for late random draws at the end of a solve.

        Raises:
            ValueError: Numbers were drawn at some evaluations, and not at the first.
        """
        if not self._states:
            return
        if self._draws is None:
            self._draws = self._moved()
        elif not self._draws and self._moved():
            from .random_draws import report_late_draws

            report_late_draws()

    def watched(self, func: Callable[..., None]) -> Callable[..., None]:
        """Wrap a callback so that its random draws are not attributed to the vector field."""

        def call(*args: Any) -> None:
            own = bool(self._states) and not self._draws and not self._moved()
            func(*args)
            if own:
                self._states = self._random_states()
                self._before = self._before and bits(self._states)

        return call

    def _moved(self) -> bool:
        states = self._random_states()
        if self._before:
            return bits(states) != self._before
        return not all(map(torch.equal, states, self._states))

    def _random_states(self) -> list[Tensor]:
        states = [torch.get_rng_state()]
        if self._of_device is not None:
            states.append(self._of_device.get_rng_state(self._device))
        return states

    def _restore(self, states: list[Tensor]) -> None:
        torch.set_rng_state(states[0])
        if self._of_device is not None:
            self._of_device.set_rng_state(states[1], self._device)


def bits(states: Sequence[Tensor]) -> bytes:
    """States of random number generators as bytes, which are the cheapest to compare."""
    return b"".join([state.numpy().tobytes() for state in states])


def checked(func: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Wrap `func` with checks of its derivatives against its states, without a synchronisation.

    A derivative may be in half precision, as autocast leaves it: the solver computes in the
    precision of the state. Any other dtype is a mistake that would silently lose digits. So is a
    change of the time or the state in place, because the solver continues with them.
    """
    has_versions = tensors_have_versions()
    graph_check: GraphCheck | None = None

    def call(t: Tensor, y: Tensor, *args: Any) -> Tensor:
        nonlocal graph_check
        if torch.compiler.is_compiling():  # traced tensors have neither versions nor a graph yet
            return like_state(func(t, y, *args), y)
        versions = (t._version, y._version) if has_versions else None
        position = graph_position()
        try:
            derivative = func(t, y, *args)
        except RuntimeError as error:
            # Autograd itself rejects changes of a leaf, and of the parts of one that was split.
            if y.is_leaf and y.requires_grad and NO_CHANGE.search(str(error)):
                what = CHANGED.format("the vector field", "the state, or another leaf,", "y")
                raise ValueError(what) from error
            raise
        if versions is not None and (t._version, y._version) != versions:
            raise changed_in_place(t._version != versions[0])
        like_state(derivative, y)
        if not y.requires_grad:
            return derivative
        if derivative.requires_grad:
            return without_old_graph(derivative, position) if y.is_leaf else derivative
        if torch.is_grad_enabled():
            graph_check = graph_check or GraphCheck()
            graph_check(func, t, y, args, derivative)
        return derivative

    return call


def is_traced_or_transformed() -> bool:
    """Whether values of tensors cannot be read, because of tracing or a transform."""
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()


def tensors_have_versions() -> bool:
    """Whether tensors currently have version counters, which count changes in place."""
    return not torch.compiler.is_compiling() and not torch.is_inference_mode_enabled()


def like_state(derivative: Any, y: Tensor) -> Tensor:
    """Check that a derivative has the shape, dtype and device of its state, and return it.

    Raises:
        ValueError: It differs in one of them.
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


def compute_stage_times(
    time: Callable[[float], Tensor],
    t: float | Tensor,
    h: float | Tensor,
    nodes: Sequence[float],
) -> tuple[list[Tensor], float | Tensor]:
    """Return the stage times t + c h, as the vector field receives them, and the step size.

    Args:
        time: Converts a host time to a 0-d tensor.
    """
    times = [x if isinstance(x := t + c * h, Tensor) else time(x) for c in nodes]
    return times, h


NO_CHANGE = re.compile("in-?place")
CHANGED = (
    "{} changed {} in place, and the solver continues with it; use an operation that returns a "
    "new tensor, such as torch.where or y.clamp(min=0) instead of y.clamp_(min=0), or {}.clone()"
)


def changed_in_place(time: bool, who: str = "the vector field") -> ValueError:
    """The error for a function that changed its time or its state in place."""
    return ValueError(CHANGED.format(who, *(("the time", "t") if time else ("the state", "y"))))


def owns_memory(x: Tensor) -> bool:
    """Whether no other tensor shares the memory of `x`, and no other library owns it."""
    if torch._C._are_functorch_transforms_active():
        return False  # transforms hide the memory
    storage = x.untyped_storage()
    if not storage.resizable():
        return False
    sharing = torch._C._storage_Use_Count(storage._cdata) - 1  # without `storage` itself
    # It may be a view of a new tensor that nothing else refers to.
    return sharing == 1 or (sharing == 2 and sys.getrefcount(x._base) == 2)


def graph_position() -> int:
    """Sequence number of the next graph node that this thread creates; 0 while tracing."""
    return 0 if torch.compiler.is_compiling() else torch._C._autograd._get_sequence_nr()


def without_old_graph(derivative: Tensor, position: int) -> Tensor:
    """Return a derivative with its graph, and detach the vector field's buffer that it is in.

    A buffer that is rewritten at every evaluation would otherwise accumulate the graphs of all
    earlier ones.

    Args:
        position: The `graph_position` before the evaluation.
    """
    if torch.compiler.is_compiling() or derivative._version == 0 or derivative.grad_fn is None:
        return derivative
    buffer = derivative._base if derivative._base is not None else derivative
    if buffer.grad_fn is None or buffer.grad_fn._sequence_nr() < position:
        return derivative
    own = derivative.clone()
    buffer.detach_()
    return own
