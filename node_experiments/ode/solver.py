"""Options of a solve: the method, its accuracy and its limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from .methods.registry import AnyMethod, Method, properties_of

__all__ = ["Solver"]

# Settings of this package's step size control, which SciPy's methods do not have.
STEP_CONTROL_SETTINGS = ("controller", "safety", "min_factor", "max_factor", "accept_min_step")
ADAPTIVE_STEP_SETTINGS = (
    "first_step", "min_step", "max_step", "safety", "min_factor", "max_factor",
)  # fmt: skip
# Methods whose steps start with the derivative from the end of the step before.
REUSES_END_DERIVATIVE = (
    "adaptive_heun", "fehlberg2", "reversible_heun", "asynchronous_leapfrog", "leapfrog",
)  # fmt: skip
LOOP_SETTINGS = ("interpolation", "max_steps_between_outputs")


TOLERANCES, TIMES = ("rtol", "atol"), ("step_t", "jump_t")
WHOLE = ("num_steps", "max_steps", "max_steps_between_outputs", "max_order")
# Allowed values of the settings that are neither names nor switches.
NUMBERS = {
    **dict.fromkeys(TOLERANCES, "a number >= 0, or a list of such numbers"),
    **dict.fromkeys(TIMES, "a list of times"),
    **dict.fromkeys(WHOLE, "a whole number, or null"),
    **dict.fromkeys(("step_size", "first_step"), "a number > 0, or null"),
    **dict.fromkeys(("min_step", "max_step", "safety", "min_factor", "max_factor"), "a number"),
    "max_steps": "a whole number",
}


@dataclass(frozen=True)
class Solver:
    """A method for initial value problems, with its options.

    Attributes:
        method: Name of the method, e.g. `"dopri5"`; or a method that is not in this package, as a
            Butcher tableau (`Tableau`) or as a function that takes a step (`OneStep`).
        rtol, atol: Relative and absolute tolerance of the local error, in units of the state; one
            number, or one for each tensor of the state or for each of its components.
        step_size: Largest step of a fixed-step solve, in units of t.
        num_steps: Number of equal steps of a fixed-step solve over the whole interval.
            An adaptive method that is given a step size or a number of steps uses fixed steps,
            except `adams` and those of SciPy, which reject them.
        first_step: First step an adaptive method tries; chosen by Hairer's rule if None.
        min_step, max_step: Bounds on an adaptive step, in units of t. A step that ends at the end
            of the interval, at one of `step_t` or before one of `jump_t` may be shorter.
        accept_min_step: Accept a step of size `min_step` whatever its error is, instead of giving
            up: the solve continues, and its error is not controlled there.
        max_steps: Number of steps, accepted and rejected, after which an adaptive solve gives up;
            the number of fixed steps is not bounded.
        max_steps_between_outputs: The same from one output time to the next; unbounded if None.
        controller: Step size controller: `i`, `pi` or `pid`; with `none` all steps are fixed.
        safety, min_factor, max_factor: Safety factor of the step size controller, and the factors
            by which a step may shrink or grow at once.
        step_t: Times at which an adaptive step should end; the grid of a fixed-step method that is
            given neither a step size nor a number of steps.
        jump_t: Times at which the vector field jumps; steps end just before and start just after.
            For fixed steps, give a grid that contains these times as `step_t`, and `perturb`.
        max_order: Highest order of a multistep method; the limit of the method if None.
        perturb: Evaluate the first stage of a fixed step just after its start, and the stages at
            its end just before it, by one rounding of the time: a vector field that jumps at a
            grid point is then evaluated from inside each step.
        interpolation: Kind of values at output times inside steps: `dense` output of the method,
            or `linear` between the ends of the step. Events and `solution.interpolant` always use
            dense output.
        batching: `joint` (one step size for the whole state), or `independent` (each sample along
            the first axis of the state has a separate one; gradients by `backprop`, `discrete` or
            `checkpoint`).
        compile: Compile the steps of an explicit Runge-Kutta method, and their gradients if the
            gradient method is exact (`backprop`, `discrete`, `checkpoint`); see `compiled`. It is
            meant for small networks, where calling and recording operations is most of the work.
            The first solve takes seconds to a minute longer. There are no second derivatives.
            `torch.compile` must be able to capture the vector field as one graph; otherwise a
            warning says so and nothing is compiled. Its side effects, such as counting its calls,
            happen once per solve; the solution's `stats` count the evaluations.

    Raises:
        ValueError: An unknown method, a number out of range, or options that the method would
            ignore.
    """

    method: AnyMethod = "dopri5"
    rtol: float | Sequence[float] = 1e-6
    atol: float | Sequence[float] = 1e-9
    step_size: float | None = None
    num_steps: int | None = None
    first_step: float | None = None
    min_step: float = 0.0
    max_step: float = math.inf
    accept_min_step: bool = False
    max_steps: int = 10_000
    max_steps_between_outputs: int | None = None
    controller: str = "i"
    safety: float = 0.9
    min_factor: float = 0.2
    max_factor: float = 10.0
    step_t: Sequence[float] = ()
    jump_t: Sequence[float] = ()
    max_order: int | None = None
    perturb: bool = False
    interpolation: str = "dense"
    batching: str = "joint"
    compile: bool = False

    # Derived from the settings, not settings themselves: the properties of the method, and
    # whether the steps are known in advance.
    properties: ClassVar[Method]
    fixed_steps: ClassVar[bool]

    def __post_init__(self) -> None:
        object.__setattr__(self, "properties", properties_of(self.method))
        for name in NUMBERS:
            self._as_numbers(name)
        by_times = bool(self.step_t) and (
            not self.properties.adaptive or self.controller == "none"
        )
        fixed = self.step_size is not None or self.num_steps is not None or by_times
        # Computed here once: torch.compile cannot trace the lock of a cached property.
        object.__setattr__(self, "fixed_steps", fixed)
        for name in TOLERANCES:
            value = getattr(self, name)
            parts = (value,) if isinstance(value, float | int) else tuple(value)
            ok = bool(parts) and all(0 <= part < math.inf for part in parts)
            self._require(ok, name, NUMBERS[name])
        if self.rtol == 0 and self.atol == 0:
            raise ValueError("solver.rtol and solver.atol are both 0; at least one must be > 0")
        for name in TIMES:
            self._require(not any(map(math.isnan, getattr(self, name))), name, "times, none NaN")
        for name in ("step_size", "first_step"):
            value = getattr(self, name)
            self._require(value is None or 0 < value < math.inf, name, "a number > 0, or null")
        self._require(self.num_steps is None or self.num_steps >= 1, "num_steps", "at least 1")
        self._require(0 <= self.min_step < math.inf, "min_step", "a number >= 0")
        self._require(self.max_step > 0, "max_step", "a number > 0")
        self._require(self.max_step >= self.min_step, "max_step", "at least min_step")
        self._require(self.max_steps >= 1, "max_steps", "at least 1")
        self._require(
            self.max_steps_between_outputs is None or self.max_steps_between_outputs >= 1,
            "max_steps_between_outputs",
            "at least 1, or null",
        )
        self._require(
            self.interpolation in ("dense", "linear"), "interpolation", "dense or linear"
        )
        if self.perturb and not self.fixed_steps:
            raise ValueError(
                "solver.perturb=True is for fixed steps; give the times at which the vector field "
                "jumps as solver.jump_t"
            )
        if self.perturb and self.method in REUSES_END_DERIVATIVE:
            raise ValueError(
                f"solver.perturb=True is not for {self.method!r}, whose steps begin with a "
                "derivative of the step before; use heun or midpoint"
            )
        if self.accept_min_step and not self.min_step > 0:
            raise ValueError("solver.accept_min_step=True needs a solver.min_step > 0")
        self._require(
            self.controller in ("i", "pi", "pid", "none"), "controller", "i, pi, pid or none"
        )
        self._require(0 < self.safety < 1, "safety", "between 0 and 1")
        self._require(0 < self.min_factor < 1, "min_factor", "between 0 and 1")
        self._require(self.max_factor > 1, "max_factor", "more than 1")
        if self.step_size is not None and self.num_steps is not None:
            raise ValueError("solver.step_size and solver.num_steps are both set; set one of them")
        adaptive = self.properties.adaptive
        if self.method == "adams" and self.fixed_steps:
            raise ValueError(
                "solver.method='adams' chooses its order with its steps and takes no fixed ones; "
                "use adams_bashforth or adams_moulton, or leave out step_size and num_steps"
            )
        if self.properties.family == "scipy" and (self.fixed_steps or self.step_t or self.jump_t):
            raise ValueError(
                f"solver.method={self.method!r} chooses all of its steps; leave out "
                "step_size, num_steps, step_t and jump_t, or use another method"
            )
        self._reject_ignored()
        steered = self.jump_t or (self.step_t and adaptive and self.controller != "none")
        if self.fixed_steps and steered:
            raise ValueError(
                "solver.step_t and solver.jump_t steer adaptive steps, and this solver takes "
                "fixed ones; leave out step_size and num_steps, or give the ends of all fixed "
                "steps as step_t, with controller='none', and perturb=True if the field jumps"
            )
        highest = self.properties.order
        self._require(
            self.max_order is None or 1 <= self.max_order <= highest,
            "max_order",
            f"from 1 to {highest}, or null",
        )
        self._require(
            self.batching in ("joint", "independent"), "batching", "joint or independent"
        )
        if self.batching == "independent" and self.properties.family != "explicit":
            raise ValueError(
                f"solver.batching='independent' needs an explicit Runge-Kutta method; found "
                f"solver.method={self.method!r}"
            )
        if self.compile and self.properties.family != "explicit":
            raise ValueError(
                "solver.compile=True is for explicit Runge-Kutta methods; found solver.method="
                f"{self.method!r}"
            )
        if self.compile and (self.perturb or self.batching == "independent"):
            option = "perturb=True" if self.perturb else "batching='independent'"
            raise ValueError(
                f"solver.compile=True does not go with solver.{option}; leave out one of them"
            )
        if not self.fixed_steps and (not adaptive or self.controller == "none"):
            raise ValueError(
                f"solver.method={self.method!r} takes fixed steps and was given none; set "
                "solver.step_size=<step in units of t> or solver.num_steps=<number of steps>"
            )

    def _as_numbers(self, name: str) -> None:
        """Check that a setting holds numbers; convert NumPy numbers and tensors to Python's."""
        value = getattr(self, name)
        if hasattr(value, "tolist"):
            value = value.tolist()
            value = tuple(value) if isinstance(value, list) else value
        if name in WHOLE and isinstance(value, float) and value.is_integer():
            value = int(value)
        object.__setattr__(self, name, value)
        if value is None and NUMBERS[name].endswith("null"):
            return
        one = isinstance(value, int) or (isinstance(value, float) and name not in WHOLE)
        several = hasattr(value, "__iter__") and not isinstance(value, str | bytes)
        many = several and all(isinstance(part, float | int) for part in value)
        ok = many if name in TIMES else one or (many and name in TOLERANCES)
        self._require(ok, name, NUMBERS[name])

    def _reject_ignored(self) -> None:
        """Reject settings that the chosen steps would ignore."""
        method, family = f"solver.method={self.method!r}", self.properties.family
        if family == "scipy":
            bounded = self.method in ("scipy_lsoda", "scipy_vode_adams")
            ignored = (*STEP_CONTROL_SETTINGS, *LOOP_SETTINGS, *([] if bounded else ["min_step"]))
            self._reject(ignored, f"{method}, whose steps SciPy controls")
        if self.fixed_steps:
            self._reject(ADAPTIVE_STEP_SETTINGS, "fixed steps", "use adaptive steps")
        if self.method == "adams":
            self._reject(
                STEP_CONTROL_SETTINGS, f"{method}, which chooses its steps by their order"
            )
        if family != "multistep" and self.method != "scipy_vode_adams":
            self._reject(["max_order"], f"{method}, whose order is fixed")
        if self.batching == "independent":
            self._reject(["accept_min_step", *LOOP_SETTINGS], "solver.batching='independent'")

    def _reject(
        self, names: Sequence[str], what: str, instead: str = "use another method"
    ) -> None:
        for name in names:
            if getattr(self, name) != getattr(type(self), name):
                raise ValueError(
                    f"solver.{name}={getattr(self, name)!r} has no effect on {what}; leave it "
                    f"out, or {instead}"
                )

    def _require(self, ok: bool, name: str, allowed: str) -> None:
        if not ok:
            raise ValueError(f"solver.{name}={getattr(self, name)!r} must be {allowed}")
