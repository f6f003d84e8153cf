"""The augmented system of the adjoint method, solved backwards: state, adjoint and quadratures.

The state is known at every output time and set to what is known, so that the errors of solving it
backwards do not add up. Between two outputs it is only as good as the backward solve, which on a
problem that forgets its past can be arbitrarily bad: how far it was off is measured, and a warning
says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from ..methods.registry import METHODS
from ..norms import rms_norm, scaled
from ..problem import Problem, Watch
from ..solver import Solver
from ..vector_field import Dynamics
from .backward_pass import Evaluator, reject_another_field
from .backward_solve import BackwardSolve

if TYPE_CHECKING:
    from ..methods.newton import AugmentedLinearization

__all__ = ["AugmentedSolve", "ReadAfterAll", "real_view"]


class AdjointOptions(Protocol):
    """Options of the adjoint method that concern the augmented state; see `Adjoint`."""

    @property
    def seminorm(self) -> bool: ...
    @property
    def state_tolerance(self) -> float: ...
    @property
    def norm(self) -> Callable[[Any, Any, tuple[Tensor, ...]], Tensor] | None: ...
    @property
    def watch(self) -> Callable[[float, float, tuple[Any, Any], bool], None] | None: ...
    @property
    def zeros_for_unread(self) -> bool: ...


LOOSE = 30  # a seminorm's tolerance of the parameter gradients, in multiples of the state's


class ReadAfterAll(Exception):
    """The vector field reads an input that it was not seen to read before.

    Attributes:
        place: Its place among the inputs.
    """

    def __init__(self, place: int):
        super().__init__(place)
        self.place = place


class AugmentedDynamics(Dynamics):
    """(y, a) -> (f, -a df/dy), with -a df/dtheta beside it: one evaluation and one product.

    The augmented system of Chen et al. 2018, appendix B.1.

    Args:
        read: Places of the inputs that have a part in -a df/dtheta.

    Attributes:
        expected: dy/dt where the backward solve starts, if the forward solve knows it.

    Raises:
        ReadAfterAll: The vector field reads another input.
    """

    def __init__(self, problem: Problem, read: Sequence[int]):
        self._problem, self._read = problem, read
        self._others = sorted(set(range(len(problem.inputs))).difference(read))
        self._shape = problem.y0.shape
        self._evaluate = Evaluator(problem)
        self.resolution = problem.func.resolution
        self.expected: Tensor | None = None

    def __call__(self, t: Tensor, y: Tensor, integrand: Tensor | None = None) -> Tensor:
        n = len(y) // 2
        a = y[n:].view(self._shape)
        # Where nothing was seen to be read there is no quadrature, and still an input may be.
        looks = integrand is not None or not self._read
        inputs = self._evaluate.inputs if looks else ()
        _, leaf, f = self._evaluate(t, y[:n].view(self._shape))
        if self.expected is not None:
            reject_another_field(self.expected, f.detach(), float(t))
            self.expected = None
        grads: Sequence[Tensor | None] = [None] * (1 + len(inputs))
        if f.requires_grad:
            grads = torch.autograd.grad(
                f,
                (leaf, *inputs),
                (-a).to(f.dtype),
                retain_graph=self._evaluate.retain_graph,
                allow_unused=True,
            )
        da_dt = torch.zeros_like(leaf) if grads[0] is None else grads[0]
        if looks:
            self._reject_others(grads[1:])
        if integrand is not None:
            self._join(grads[1:], integrand)
        return torch.cat([f.detach().reshape(-1).to(y.dtype), da_dt.reshape(-1)])

    def _reject_others(self, grads: Sequence[Tensor | None]) -> None:
        for place in self._others:
            if grads[place] is not None:
                raise ReadAfterAll(place)

    def _join(self, grads: Sequence[Tensor | None], out: Tensor) -> None:
        """Write those of the inputs that have a part in the quadrature, one after the other."""
        inputs = self._evaluate.inputs
        filled = (
            torch.zeros_like(inputs[place]) if (grad := grads[place]) is None else grad
            for place in self._read
        )
        torch.cat([real_view(grad).reshape(-1) for grad in filled], out=out)

    def linearize(self, t: float, y: Tensor) -> AugmentedLinearization:
        """The Jacobian at (t, y), for implicit methods."""
        from ..methods.newton import AugmentedLinearization

        return AugmentedLinearization(self._problem.linearize(t, y[: len(y) // 2]))


class AugmentedSolve(BackwardSolve):
    """(y, a) backwards, with the integrals that are the gradients of parameters beside it.

    Args:
        solver, by_choice: See `BackwardSolve`.
        read: Places of the problem's inputs whose gradients are integrated; others get none.
    """

    def __init__(
        self,
        problem: Problem,
        options: AdjointOptions,
        ys: Tensor,
        grad_ys: Tensor,
        solver: Solver,
        by_choice: bool,
        read: Sequence[int],
    ):
        self._options, self._n, self._read = options, problem.y0.numel(), read
        self._integrated = [problem.inputs[place] for place in read]
        self._sizes = [real_view(p).numel() for p in self._integrated]
        self._inaccuracy = ys.new_zeros(())
        super().__init__(problem, ys, grad_ys, solver, by_choice)

    def expect(self, end: Tensor | None) -> None:
        """The derivative at the end of the forward solve, if it is known without an evaluation.

        An explicit method starts the backward solve there, and it has to be the same.
        """
        if METHODS[self._chosen.method].family == "explicit":
            self._augmented.expected = end

    def _prepare(self) -> None:
        problem, solver = self._problem, self._chosen
        self._state = self._ys.new_zeros(2 * self._n)
        self._adjoint = self._state[self._n :]
        self._quadrature = self._ys.new_zeros(sum(self._sizes))
        self._augmented = augmented = AugmentedDynamics(problem, self._read)
        self._dynamics, self._linearize = augmented, augmented.linearize
        self._time = problem.time
        perturbs = solver.perturb or self._ys.device.type != "cpu"
        self._clock = problem.times_of if perturbs else None
        self._rtol, self._quadrature_rtol = self._tolerances(solver.rtol)
        self._atol, self._quadrature_atol = self._tolerances(solver.atol)

    def _tolerances(
        self, tolerance: float | Sequence[float]
    ) -> tuple[float | Tensor, float | Tensor]:
        """A tolerance of state and adjoint, `(2n,)`, and of the quadratures, or numbers.

        One for each of all components may be given. Otherwise it is one of a state, and as
        parameters have no part there, the strictest one holds for them.
        """
        spread = self._problem.spread(tolerance, copies=2)
        if isinstance(spread, float | int):
            return spread, spread
        if len(spread) == 2 * self._n + len(self._quadrature):
            return spread[: 2 * self._n], spread[2 * self._n :]
        return spread, float(spread.min())

    def _enter(self, i: int) -> None:
        """The state is known at output time i: errors of the backward solve do not add up."""
        self._state[: self._n].copy_(self._ys[i].reshape(-1))

    def _leave(self, i: int) -> None:
        """Compare the state that was reconstructed at output time i with the known one."""
        known, reconstructed = self._ys[i].reshape(-1), self._state[: self._n]
        norm = torch.linalg.vector_norm
        size = torch.maximum(norm(known), norm(self._ys[i + 1])).clamp_min(1e-30)
        # It stays on the device until the end of the backward solve.
        self._inaccuracy = torch.maximum(self._inaccuracy, norm(reconstructed - known) / size)

    def _finish(self) -> list[Tensor | None]:
        error, allowed = float(self._inaccuracy), self._options.state_tolerance
        if not error <= allowed:
            warnings.warn(
                f"the adjoint method solved y backwards with a relative error of {error:.1e}, "
                f"above gradient.state_tolerance={allowed:.1e}; its gradient cannot "
                "be trusted. Take gradient='interpolated', 'discrete' or 'checkpoint', "
                "which do not solve y backwards, or tighter tolerances",
                stacklevel=2,
            )
        inputs, filled = self._problem.inputs, self._options.zeros_for_unread
        grads = [torch.zeros_like(x) if filled else None for x in inputs]
        for place, grad in zip(self._read, self._by_input(self._quadrature), strict=True):
            grads[place] = grad
        return grads

    def _by_input(self, quadrature: Tensor) -> tuple[Tensor, ...]:
        """A vector of quadratures `(q,)` as tensors of the shapes of the inputs."""
        pieces = zip(quadrature.split(self._sizes), self._integrated, strict=True)
        return tuple(
            torch.view_as_complex(piece.view(*p.shape, 2).clone()).to(p.dtype)
            if p.is_complex()
            else piece.view(p.shape).to(p.dtype)
            for piece, p in pieces
        )

    @property
    def _measures_quadratures(self) -> bool:
        """Whether the errors of the parameter gradients count as those of the state.

        For a seminorm they hardly do: a Runge-Kutta step that is short enough for the state mostly
        is so for them. Where it is not, because the field is close to zero along the solution,
        say, they keep the step within `LOOSE` tolerances. A multistep method integrates them by a
        polynomial through many steps, which may be long and of high order where the adjoint state
        is constant: there they count.
        """
        return METHODS[self._solver.method].family == "multistep" or not self._options.seminorm

    def _watch(self) -> Watch | None:
        """The user's `watch` on packed states, or None."""
        watch = self._options.watch
        if watch is None:
            return None
        return lambda t, h, x, accepted: watch(t, h, self._unpacked(x), accepted)

    def _unpacked(self, x: Tensor) -> tuple[Any, Any]:
        """State and adjoint, of the structure that the user gave."""
        unpack, shape = self._problem.unpack, self._problem.y0.shape
        return unpack(x[: self._n].view(shape)), unpack(x[self._n :].view(shape))

    def _norm(self, x: Tensor, quadrature: Tensor | None = None) -> Tensor:
        """The norm of an error of state and adjoint, and of one of the quadratures beside them."""
        norm = self._options.norm
        if norm is not None:
            beside = torch.zeros_like(self._quadrature) if quadrature is None else quadrature
            return norm(*self._unpacked(x), self._by_input(beside))
        # A norm that the user gave knows states: each half is one, and the quadratures are none.
        size = torch.maximum(self._problem.norm(x[: self._n]), self._problem.norm(x[self._n :]))
        return size if quadrature is None else torch.maximum(size, rms_norm(quadrature).to(size))

    def _error_ratio(self, h: float, state0: Tensor, state1: Tensor) -> float:
        step = self._stepper
        error = scaled(step.error, state0, state1, self._rtol, self._atol)
        beside = None
        if len(self._quadrature):
            rtol, atol = self._quadrature_rtol, self._quadrature_atol
            after = self._quadrature + step.quadrature_increment(h)
            beside = scaled(step.quadrature_error(h), self._quadrature, after, rtol, atol)
            if not (self._options.norm or self._measures_quadratures):
                beside = beside / LOOSE
        return float(self._norm(error, beside))


def real_view(x: Tensor) -> Tensor:
    """A complex tensor as pairs of real numbers; a real one as it is."""
    return torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
