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

from .lost_graphs import check_graph

__all__ = [
    "Adapted",
    "Dynamics",
    "PlainField",
    "VectorField",
    "checked",
    "graph_position",
    "is_traced_or_transformed",
    "like_state",
    "without_old_graph",
]


class Dynamics:
    """The right-hand side of dy/dt = f(t, y).

    It is called with a 0-d time, a state, and further arguments: those of the vector field, or
    where the integrands of quadratures are written.

    Attributes:
        plain: The function to call instead, which a step does without a Python frame between;
            None where there is more to do around it.
        reuses_memory: Whether a derivative may be overwritten by the next evaluation.
        counts_changes: Whether its tensors count their changes in place, which are then rejected:
            those that are traced do not, nor those of inference mode.
        draws: Whether it draws random numbers, as is known from the second evaluation on.
        resolution: Relative precision of its derivatives, where that is below the state's.
        first: Its derivative at the start of a solve, if it is known.
    """

    first: Tensor | None = None
    plain: Callable[..., Any] | None = None
    reuses_memory: bool = False
    counts_changes: bool = True
    draws: bool = False
    resolution: float = 0.0

    def __call__(self, t: Tensor, y: Tensor, *args: Any) -> Tensor:
        raise NotImplementedError

    def fitted(self, derivative: Any, y: Tensor) -> Tensor:
        """Validate a derivative of `plain` and convert it to the dtype of the state.

        Raises:
            ValueError: It is something else.
        """
        return like_state(derivative, y).to(y.dtype)

    def check_graph(self, t: Tensor, y: Tensor, args: Sequence[Any], derivative: Tensor) -> None:
        """Look whether a derivative without a graph, at a state with one, is right."""


class PlainField(Dynamics):
    """A function as it is, for a solve that is traced."""

    def __init__(self, func: Callable[..., Any]):
        self.plain = func
        self.counts_changes = can_count_changes()

    def __call__(self, t: Tensor, y: Tensor, *args: Any) -> Tensor:
        assert self.plain is not None
        return self.fitted(self.plain(t, y, *args), y)


@dataclass(slots=True)
class Adapted:
    """A vector field behind another interface.

    Attributes:
        call: A function of (t, y, *args) that calls `origin`.
        origin: The vector field as the user wrote it, whose modules and tensors are looked for.
        fit: Where `origin` can be called itself: makes its derivative like its state.
    """

    call: Callable[..., Any]
    origin: Callable[..., Any]
    fit: Callable[[Any, Tensor], Any] | None = None

    def __call__(self, *args: Any) -> Any:
        return self.call(*args)


class VectorField(Dynamics):
    """The user's function on packed states, which is the same function at every evaluation.

    It draws the same random numbers at every evaluation of one solve: with fresh numbers each
    time dy/dt would be no function, step size control would see noise, and an evaluation could
    not be repeated in the backward pass. Whether the first one drew numbers is looked at before
    the second, or at the end of a solve that needs one only.

    Args:
        func: The function with its checks; see `checked`.
        device: Whose random numbers it may draw, besides those of the CPU.
        origin: The vector field as the user gave it.
        bare: The user's function, where it takes packed states as it is.
    """

    def __init__(
        self,
        func: Callable[..., Tensor],
        device: torch.device,
        origin: Any,
        bare: Callable[..., Any] | None = None,
    ):
        self._func, self._bare = func, bare
        self.origin = origin
        self._fit: Callable[[Any, Tensor], Any] | None = None
        if isinstance(bare, Adapted):
            self._bare, self._fit = (bare.origin, bare.fit) if bare.fit else (bare, None)
        self._device = device
        draws = device.type in ("cuda", "mps")
        self._of_device = torch.get_device_module(device) if draws else None
        self._draws: bool | None = None
        self._may_lack_graph = True
        self.counts_changes = not torch.is_inference_mode_enabled()
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

                # The generator is that of all threads, and another one may have moved it.
                moved = draws_numbers(lambda: self._repeated(t, y, args))
                if not moved:
                    self._states = self._random_states()
                    self._before = self._before and bits(self._states)
            self.draws = self._draws = moved
            if not self._draws:
                self.plain = self._bare
        if not self._draws:
            return self._func(t, y, *args)
        return self._repeated(t, y, args)

    def _repeated(self, t: Tensor, y: Tensor, args: Sequence[Any]) -> Tensor:
        """With the random numbers of the first evaluation."""
        before = self._random_states()
        self._restore(self._states)
        try:
            return self._func(t, y, *args)
        finally:
            self._restore(before)

    def _evaluate_first(self, t: Tensor, y: Tensor, args: Sequence[Any]) -> Tensor:
        states = self._random_states()
        before = b"" if torch._C._are_functorch_transforms_active() else bits(states)
        derivative = self._func(t, y, *args)
        # Only now: after an evaluation that was rejected, another is the first.
        self._states, self._before = states, before
        # One that is in a graph and was never changed in place was made by this evaluation. Other
        # memory may be somebody else's: a tensor that is kept, or an array of NumPy.
        if not (derivative.requires_grad and derivative._version == 0):
            self.reuses_memory = sys.getrefcount(derivative) > 2 or not owns_memory(derivative)
        if not self.reuses_memory:
            self.first = derivative.detach()
        return derivative

    def fitted(self, derivative: Any, y: Tensor) -> Tensor:
        if self._fit is not None:
            derivative = self._fit(derivative, y)
        return like_state(derivative, y).to(y.dtype)

    def check_graph(self, t: Tensor, y: Tensor, args: Sequence[Any], derivative: Tensor) -> None:
        if self._may_lack_graph and self.plain is not None and torch.is_grad_enabled():
            check_graph(self.plain, t, y, args, derivative)
            self._may_lack_graph = False

    def settle(self) -> None:
        """Look for late random draws at the end of a solve.

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
        """Wrap a callback, so that numbers it draws are not taken for the vector field's."""

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
    """States of random number generators as bytes: comparing these is cheapest."""
    return b"".join([state.numpy().tobytes() for state in states])


def checked(func: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`func`, whose derivatives are compared with its states; this needs no synchronisation.

    A derivative may be in half precision, as autocast leaves it: the solver computes in that of
    the state. Any other dtype is a mistake, and would lose digits in silence. So is a change of
    the time or the state in place, for the solver continues with them.
    """
    counts_changes = can_count_changes()
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
        if may_lack_graph and torch.is_grad_enabled():
            check_graph(func, t, y, args, derivative)
            may_lack_graph = False
        return derivative

    return call


def is_traced_or_transformed() -> bool:
    """Whether no value of a tensor can be looked at."""
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()


def can_count_changes() -> bool:
    """Whether tensors have a number of changes in place now."""
    return not torch.compiler.is_compiling() and not torch.is_inference_mode_enabled()


def like_state(derivative: Any, y: Tensor) -> Tensor:
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
CHANGED = (
    "{} changed {} in place, and the solver continues with it; take an operation that returns a "
    "new tensor, such as torch.where or y.clamp(min=0) instead of y.clamp_(min=0), or {}.clone()"
)


def changed_in_place(time: bool, who: str = "the vector field") -> ValueError:
    """The error for a function that changed its time, or its state."""
    return ValueError(CHANGED.format(who, *(("the time", "t") if time else ("the state", "y"))))


def owns_memory(x: Tensor) -> bool:
    """Whether no other tensor shares the memory of `x`, and no other library owns it."""
    if torch._C._are_functorch_transforms_active():
        return False  # they do not say where it is
    storage = x.untyped_storage()
    if not storage.resizable():
        return False
    sharing = torch._C._storage_Use_Count(storage._cdata) - 1  # without `storage` itself
    # A view may have been made of a new tensor that nobody else knows.
    return sharing == 1 or (sharing == 2 and sys.getrefcount(x._base) == 2)


def graph_position() -> int:
    """The number that the next node of a graph made by this thread will have; 0 while tracing."""
    return 0 if torch.compiler.is_compiling() else torch._C._autograd._get_sequence_nr()


def without_old_graph(derivative: Tensor, position: int) -> Tensor:
    """The derivative with its graph, where the vector field's buffer keeps none.

    A buffer that is written again at every evaluation would otherwise take along the graphs of
    all earlier ones.

    Args:
        position: That of the graph before the evaluation.
    """
    if torch.compiler.is_compiling() or derivative._version == 0 or derivative.grad_fn is None:
        return derivative
    buffer = derivative._base if derivative._base is not None else derivative
    if buffer.grad_fn is None or buffer.grad_fn._sequence_nr() < position:
        return derivative
    own = derivative.clone()
    buffer.detach_()
    return own
