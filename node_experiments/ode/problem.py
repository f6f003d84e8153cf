"""The initial value problem, checked and packed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .captured_tensors import UnobservedTensors, Weight
from .methods.base import Stepper
from .methods.butcher_tableau import Tableau
from .methods.explicit_runge_kutta import StageTimes
from .methods.make_stepper import make_stepper
from .norms import Norm, rms_norm
from .solution import SolveStats, StepCounts
from .solver import Solver
from .vector_field import Dynamics, compute_stage_times

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

    from .compiled.stepper import Compilation
    from .flat_field import FlatField
    from .methods.newton import Linearization

__all__ = ["Constants", "Observe", "OnAccept", "Problem", "Watch"]

OnAccept = Callable[[float, float, Tensor], None]
Watch = Callable[[float, float, Tensor, bool], None]
Observe = Callable[[Stepper, float, float, Tensor, Tensor], bool]


def identity(x: Tensor) -> Any:
    """Return a state that needs no unpacking."""
    return x


class Constants:
    """Tensors that must not change before the backward pass, with their versions.

    Autograd checks the tensors that it saves. Others are read again by evaluations in the backward
    pass, which would see any change.
    """

    def __init__(self, tensors: Iterable[Tensor] = ()):
        self._versions = [(x, x._version) for x in tensors if not x.is_inference()]

    def ignore_own_changes(self) -> None:
        """Stop watching tensors that the vector field itself changed in the solve (counters)."""
        self._versions = [(x, version) for x, version in self._versions if x._version == version]

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors that are watched."""
        return [x for x, _ in self._versions]

    @property
    def changed(self) -> list[Tensor]:
        """The tensors that were changed in place since the solve."""
        return [x for x, version in self._versions if x._version != version]


@dataclass
class Problem:
    """The initial value problem dy/dt = func(t, y, *args), y(t[0]) = y0, with y a single tensor.

    Attributes:
        func: Vector field; takes a 0-d time, a state of the shape of y0, and `args`.
        y0: Initial state, any shape.
        t: Output times, shape `(time,)`; `times` holds the same as host floats.
        parameters: Tensors that need a gradient and that `func` may read besides its arguments.
        unobserved: The parameters, and the tensors without gradient, that `func` was not observed
            to read; None if that was not checked.
        parameters_are_all: Whether nothing else that `func` reads may need a gradient.
        args: Further arguments of `func`; tensors among them may need a gradient.
        weights: The parameters of the modules that `func` holds, differentiated or not.
        constants: Tensors that must not change before the backward pass, if `func` reads them.
        part_sizes: Sizes of the tensors that the state was packed from; they add up to n, or to
            the size of one sample if samples have individual steps.
        observe, watch: Called with the steps; see `integrate`.
        norm: Norm of the errors of a state, shape `(n,)`; it is called with nothing else.
        unpack: Converts a state of the shape of y0 to the structure that the user gave.
        compilation: The captured vector field, if steps are compiled.
        hooks: Hooks of the vector field's modules, which are removed after the solve.
    """

    func: Dynamics
    y0: Tensor
    t: Tensor
    times: list[float]
    solver: Solver
    parameters: tuple[Tensor, ...] = ()
    unobserved: UnobservedTensors | None = None
    parameters_are_all: bool = False
    args: tuple = ()
    weights: Sequence[Weight] = ()
    constants: Constants = field(default_factory=Constants)
    part_sizes: tuple[int, ...] = ()
    observe: Observe | None = None
    watch: Watch | None = None
    norm: Norm = rms_norm
    unpack: Callable[[Tensor], Any] = identity
    stats: SolveStats = field(default_factory=SolveStats)
    compilation: Compilation | None = None
    hooks: list[RemovableHandle] = field(default_factory=list)
    _step: tuple[float, float] | None = field(default=None, repr=False)
    _time: tuple[float, Tensor] | None = field(default=None, repr=False)

    @property
    def tableau(self) -> Tableau:
        """Tableau of the explicit Runge-Kutta method.

        Raises:
            ValueError: The method is not one.
        """
        return self._tableau_of("explicit Runge-Kutta", explicit=True)

    @property
    def runge_kutta(self) -> Tableau:
        """Tableau of the Runge-Kutta method, explicit or implicit.

        Raises:
            ValueError: The method is not one.
        """
        return self._tableau_of("Runge-Kutta", explicit=False)

    def _tableau_of(self, kind: str, explicit: bool) -> Tableau:
        tableau = self.solver.properties.tableau
        if tableau is None or (explicit and not tableau.explicit):
            raise ValueError(
                f"solver.method={self.solver.method!r} is not one of the {kind} methods, which "
                "this gradient method needs; use gradient='adjoint'"
            )
        return tableau

    @property
    def start(self) -> Tensor:
        """The initial state as the method's steps need it: flat, except for explicit methods."""
        explicit = self.solver.properties.family == "explicit"
        return self.y0 if explicit else self.y0.reshape(-1)

    def stepper(self, counts: StepCounts) -> Stepper:
        """Create a stepper of the problem's method, without a graph."""
        solver = self.solver
        if self.compilation is not None:
            rtol, atol = self.per_component(solver.rtol), self.per_component(solver.atol)
            return self.compilation.stepper(
                self.tableau,
                self.y0.detach(),
                counts,
                adaptive=not solver.fixed_steps,
                tolerances=(rtol, atol) if self.norm is rms_norm else None,
                keeps_stages=len(self.times) > 2 or self.observe is not None,
            )
        return make_stepper(
            solver,
            self.func,
            self.y0.detach(),
            counts,
            self.per_component(solver.rtol),
            self.per_component(solver.atol),
            time=self.time,
            linearize=self.linearize,
            args=self.args,
            stage_times=self.stage_times,
        )

    def flat_field(self, counts: StepCounts, args: Sequence[Any] | None = None) -> FlatField:
        """The vector field on flat states and host times."""
        from .flat_field import FlatField

        return FlatField(
            self.func, self.y0, counts, self.time, self.args if args is None else args
        )

    def linearize(self, t: float, y: Tensor) -> Linearization:
        """The Jacobian at (t, y), for a flat state `(n,)`."""

        def flat(y: Tensor) -> Tensor:
            f = self.func(self.time(t), y.view(self.y0.shape), *self.args)
            return f.reshape(-1).to(y.dtype)

        from .methods.newton import Linearization

        return Linearization(flat, y)

    @property
    def stage_times(self) -> StageTimes[float] | None:
        """The function that computes stage times; None if they are simply t + c h on a CPU."""
        on_host = self.y0.device.type == "cpu" and not self.solver.perturb
        if on_host and not torch.compiler.is_compiling():
            return None
        return partial(compute_stage_times, self.time)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Tensors that need a gradient besides y0 and t: arguments, then parameters."""
        return (*(self.args[i] for i in self.differentiated), *self.parameters)

    @cached_property
    def differentiated(self) -> tuple[int, ...]:
        """Indices of the arguments that need a gradient, or did so in the solve."""
        given = enumerate(self.args)
        return tuple(i for i, arg in given if isinstance(arg, Tensor) and arg.requires_grad)

    @property
    def read_inputs(self) -> tuple[Tensor, ...]:
        """All arguments, and the parameters that `func` was observed to read.

        An argument may also be a parameter of the module that `func` belongs to: `func` reads it
        as an argument, though it was not observed to read it as a parameter.
        """
        if self.unobserved is None or not self.unobserved.parameters:
            return self.inputs
        arguments = len(self.inputs) - len(self.parameters)
        read = (x for x in self.parameters if x not in self.unobserved.parameters)
        return (*self.inputs[:arguments], *read)

    @property
    def error_order(self) -> int:
        """Power of h in the local error estimate of an adaptive method."""
        order = self.solver.properties.error_order
        assert order is not None
        return order

    def grid_time_derivatives(self, t: float) -> tuple[float, float]:
        """Derivatives of a time of the frozen grid with respect to t_0 and t_N.

        Moving an end stretches all steps by the same factor up to the nearest jump of the vector
        field: jumps stay where they are, and so does everything between them.
        """
        first, last = self.times[0], self.times[-1]
        sign = 1.0 if last > first else -1.0
        jumps = [
            jump for jump in self.solver.jump_t if 0 < sign * (jump - first) < abs(last - first)
        ]
        before = min(jumps, key=lambda jump: sign * jump, default=last)
        after = max(jumps, key=lambda jump: sign * jump, default=first)
        with_first = max(0.0, (before - t) / (before - first))
        with_last = max(0.0, (t - after) / (last - after))
        return with_first, with_last

    def per_component(self, tolerance: float | Sequence[float], copies: int = 1) -> float | Tensor:
        """Expand a tolerance to all components, shape `(copies * n,)`; a single number stays one.

        Args:
            tolerance: One number, or one for each part, for each component, or for each component
                of all copies.
        """
        if isinstance(tolerance, float | int):
            return tolerance
        each = torch.tensor(tolerance, dtype=torch.float64, device="cpu")
        if len(each) == len(self.part_sizes):
            each = each.repeat_interleave(torch.tensor(self.part_sizes, device="cpu"))
        if len(each) == self.y0.numel():
            each = each.repeat(copies)
        return each.to(dtype=self.y0.dtype, device=self.y0.device)

    def enter_step(self, t: float, t_next: float) -> None:
        """From now on, evaluate the vector field strictly inside the step between these times."""
        self._step, self._time = (t, t_next), None

    def reenter_step(self, t: float, t_next: float) -> None:
        """Call `enter_step` for a step that is repeated, if the solve did so for its steps."""
        if self.solver.perturb:
            self.enter_step(t, t_next)

    def leave_step(self) -> None:
        """From now on, evaluate the vector field at the exact times again."""
        self._step = self._time = None

    def time(self, t: float) -> Tensor:
        """A 0-d time for the vector field, created on the device without a synchronisation."""
        if self._step is not None:
            return self._time_inside(t, *self._step)
        if self._time is None or t != self._time[0]:
            like = self.y0
            self._time = (t, torch.full((), t, dtype=like.dtype, device=like.device))
        return self._time[1]

    def _time_inside(self, t: float, start: float, end: float) -> Tensor:
        """The time, moved into the step by one rounding if it is an end of the step."""
        like = self.y0
        time, first, last = (
            torch.full((), x, dtype=like.dtype, device=like.device) for x in (t, start, end)
        )
        near = 1e-9 * abs(end - start)
        if abs(t - start) <= near:
            return next_normal(time, last)
        return next_normal(time, first) if abs(t - end) <= near else time


def next_normal(time: Tensor, towards: Tensor) -> Tensor:
    """The next number that is not subnormal: some processors flush subnormal numbers to 0."""
    moved = torch.nextafter(time, towards)
    tiny = torch.full_like(time, torch.finfo(time.dtype).tiny)
    return torch.where(moved.abs() < tiny, torch.copysign(tiny, towards - time), moved)
