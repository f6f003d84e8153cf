"""Methods of `scipy.integrate`, on the host in double precision.

`scipy_vode_adams` is the Fortran Adams code with which experiments of Chen et al. 2018 were run;
LSODA, BDF and Radau are for stiff problems; RK23, RK45 and DOP853 are explicit methods. Every
evaluation copies the state to the device of the vector field and back. The gradient is that of
the adjoint method, solved backwards with the same method.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..flat_field import FlatField
from ..solution import Status, StepCounts, Trajectory
from ..solver import Solver
from .newton import DENSE_UP_TO, Linearization

__all__ = ["scipy_integrate"]

MIN_INTERVAL = 1e-14  # relative distance of two times up to which VODE rejects an interval
# Largest number of evaluations in one step that are not finite, while it shrinks by many orders of
# magnitude. SciPy itself continues until it is shorter than ten roundings of the time. At time 0
# these are a subnormal number, and no step is shorter if the processor flushes such numbers to 0.
MAX_NONFINITE = 500


def scipy_integrate(
    solver: Solver,
    field: FlatField,
    y0: Tensor,
    times: Sequence[float],
    counts: StepCounts,
    rtol: float | Tensor,
    atol: float | Tensor,
    linearize: Callable[[float, Tensor], Linearization] | None = None,
) -> Trajectory:
    """Solve from the first of `times` to the last, with outputs at all of them.

    Args:
        field: The vector field on `(n,)`; it counts its evaluations.
        y0: Initial state, shape `(n,)`.
        rtol, atol: Numbers, or one per component; SciPy's VODE takes one `rtol` only.
        linearize: Computes the Jacobian at a time and a state; used for stiff methods and states
            of at most 128 components, because SciPy's finite differences are too coarse for a
            stiff field in float32.
    """
    trajectory = Trajectory(outputs=[y0], t=times[0])
    into_c = solver.method in ("scipy_vode_adams", "scipy_lsoda")
    raised: list[BaseException] = []

    def fun(t: float, y: np.ndarray) -> np.ndarray:
        state = torch.from_numpy(np.array(y)).to(dtype=y0.dtype, device=y0.device)
        return field(float(t), state).double().cpu().numpy()

    options: dict[str, Any] = {"rtol": on_host(rtol), "atol": on_host(atol)}
    if linearize is not None and len(y0) <= DENSE_UP_TO and solver.properties.stiff:

        def jacobian(t: float, y: np.ndarray) -> np.ndarray:
            counts.evaluations += 1
            state = torch.from_numpy(np.array(y)).to(dtype=y0.dtype, device=y0.device)
            return linearize(float(t), state).dense().double().cpu().numpy()

        options["jac"] = GuardedCallback(jacobian, 2, raised, into_c)
    start = y0.double().cpu().numpy()
    solve = HostSolve(
        solver, GuardedCallback(fun, 1, raised, into_c), start, times, counts, trajectory, options
    )
    try:
        for output in solve.by_vode() if solver.method == "scipy_vode_adams" else solve.by_class():
            state = torch.from_numpy(output).to(dtype=y0.dtype, device=y0.device)
            trajectory.outputs.append(state)
    finally:
        if raised:
            raise raised[0]
    return trajectory


class NeverFiniteError(ArithmeticError):
    """The derivative is not finite, however short the step."""


class GuardedCallback:
    """A function for SciPy that records its errors, and counts results that are not finite.

    SciPy's C code may continue after an error in a callback, and lose it. In that case the
    function returns NaN from the first error on, which ends the solve.

    Args:
        axes: Number of axes of the results, each as long as the state.
        raised: Where errors are recorded.
        into_c: Whether it is called by C code.

    Attributes:
        bad: Number of results that were not finite since the last accepted step.
    """

    def __init__(
        self,
        function: Callable[[float, np.ndarray], np.ndarray],
        axes: int,
        raised: list[BaseException],
        into_c: bool,
    ):
        self._function, self._axes, self._raised, self._into_c = function, axes, raised, into_c
        self.bad = 0

    def __call__(self, t: float, y: np.ndarray) -> np.ndarray:
        if not self._raised and self.bad <= MAX_NONFINITE:
            try:
                found = self._function(t, y)
                self.bad += not np.isfinite(found).all()
                return found
            except BaseException as error:
                self._raised.append(error)
                if not self._into_c:
                    raise
        elif not self._into_c:
            raise NeverFiniteError
        return np.full((len(y),) * self._axes, np.nan)


def on_host(tolerance: float | Tensor) -> float | np.ndarray:
    """Convert a tolerance to the form that SciPy takes."""
    return tolerance.double().cpu().numpy() if isinstance(tolerance, Tensor) else tolerance


@dataclass
class HostSolve:
    """One solve by SciPy, whose outputs after the first are generated one by one.

    Attributes:
        fun: The vector field on arrays.
        options: Options that all of SciPy's methods take; `jac` may be among them.
        trajectory: Where the end of the solve, and its reason, are recorded.
    """

    solver: Solver
    fun: GuardedCallback
    start: np.ndarray
    times: Sequence[float]
    counts: StepCounts
    trajectory: Trajectory
    options: dict[str, Any]

    def by_class(self) -> Iterator[np.ndarray]:
        """Solve by a class of `scipy.integrate`, one step after the other."""
        from scipy import integrate

        kinds = {
            "scipy_lsoda": integrate.LSODA,
            "scipy_rk23": integrate.RK23,
            "scipy_rk45": integrate.RK45,
            "scipy_dop853": integrate.DOP853,
            "scipy_bdf": integrate.BDF,
            "scipy_radau": integrate.Radau,
        }
        first = self.solver.first_step
        if first is not None:
            first = min(first, abs(self.times[-1] - self.times[0]))
        self.options |= {"max_step": self.solver.max_step, "first_step": first}
        if self.solver.method == "scipy_lsoda":
            self.options["min_step"] = self.solver.min_step  # which SciPy 1.17 ignores
        ode = kinds[self.solver.properties.name](
            self.fun, self.times[0], self.start, self.times[-1], **self.options
        )
        direction = math.copysign(1.0, self.times[-1] - self.times[0])
        reached, before = 1, self.counts.accepted
        while ode.status == "running":
            if self.counts.accepted - before >= self.solver.max_steps:
                self.trajectory.status = Status.MAX_STEPS
                return
            with warnings.catch_warnings():
                # SciPy warns where the status says the same.
                warnings.simplefilter("ignore")
                try:
                    ode.step()
                except (NeverFiniteError, ValueError):  # the latter from a matrix with NaN
                    if not self.evaluations_not_finite():
                        raise
                    self.trajectory.status = Status.NON_FINITE
                    return
            finite = np.isfinite(ode.y).all() and not self.evaluations_not_finite()
            if ode.status == "failed" or ode.t == ode.t_old or not np.isfinite(ode.y).all():
                self.trajectory.status = Status.STEP_UNDERFLOW if finite else Status.NON_FINITE
                return
            self.fun.bad = 0
            self.trajectory.t, self.trajectory.h = float(ode.t), float(ode.t - ode.t_old)
            self.counts.accept(self.trajectory.h)
            ahead = reached
            while ahead < len(self.times) and direction * (self.times[ahead] - ode.t) <= 0:
                ahead += 1
            if ahead > reached:
                dense = ode.dense_output()
                for time in self.times[reached:ahead]:
                    yield ode.y if time == ode.t else dense(time)
                reached = ahead

    def by_vode(self) -> Iterator[np.ndarray]:
        """Solve by VODE from output to output, which are counted in place of its hidden steps."""
        from scipy import integrate

        ode = integrate.ode(self.fun).set_integrator(
            "vode",
            method="adams",
            nsteps=self.solver.max_steps,
            max_step=0.0 if math.isinf(self.solver.max_step) else self.solver.max_step,
            first_step=self.solver.first_step or 0.0,
            min_step=self.solver.min_step,
            order=self.solver.max_order or 12,
            **self.options,
        )
        ode.set_initial_value(self.start, self.times[0])
        for time in self.times[1:]:
            if abs(time - ode.t) <= MIN_INTERVAL * max(abs(time), abs(ode.t)):
                # VODE rejects an end so close; up to rounding the solution is linear until there.
                yield ode.y + (time - ode.t) * self.fun(ode.t, ode.y)
                continue
            self.fun.bad = 0
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                y = ode.integrate(time)
            if not ode.successful() or not np.isfinite(y).all():
                code = ode.get_return_code()
                self.trajectory.status = {-1: Status.MAX_STEPS}.get(code, Status.STEP_UNDERFLOW)
                if not np.isfinite(y).all() or self.evaluations_not_finite():
                    self.trajectory.status = Status.NON_FINITE
                return
            self.trajectory.t = time
            self.counts.accepted += 1
            yield y.copy()

    def evaluations_not_finite(self) -> bool:
        """Whether any evaluation of the last step was not finite."""
        jacobian = self.options.get("jac")
        return self.fun.bad > 0 or (jacobian is not None and jacobian.bad > 0)
