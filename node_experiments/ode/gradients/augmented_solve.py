"""The augmented system of the adjoint method, solved backwards: state, adjoint and quadratures.

The state is reset to its known value at every output time, so that errors of the backward solve do
not add up. Between two outputs it is only as accurate as the backward solve, which can be
arbitrarily bad for a problem that forgets its past: the error is measured, and a warning is issued
if it is too large.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from ..norms import relative_distance, rms_norm, scaled
from ..problem import Problem, Watch
from ..solver import Solver
from ..vector_field import Dynamics, compute_stage_times
from .backward_pass import Evaluator, check_same_derivative
from .backward_solve import BackwardSolve

if TYPE_CHECKING:
    from ..methods.newton import AugmentedLinearization

__all__ = ["AugmentedSolve", "UnexpectedRead", "real_view"]


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
    def materialize_grads(self) -> bool: ...


# With a seminorm, tolerance of the parameter gradients in multiples of the state's.
SEMINORM_FACTOR = 30


class UnexpectedRead(Exception):
    """The vector field reads an input that it had not been seen to read before.

    Attributes:
        index: Index of the input.
    """

    def __init__(self, index: int):
        super().__init__(index)
        self.index = index


class AugmentedDynamics(Dynamics):
    """The augmented system (y, a) -> (f, -a df/dy) of Chen et al. 2018, appendix B.1.

    The integrand -a df/dtheta comes from the same evaluation and vector-Jacobian product.

    Args:
        read: Indices of the inputs whose gradients are part of -a df/dtheta.

    Attributes:
        expected: dy/dt at the start of the backward solve, if the forward solve knows it.

    Raises:
        UnexpectedRead: The vector field reads another input.
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
        # If no input was seen to be read there is no quadrature, but one may still be read now.
        looks = integrand is not None or not self._read
        inputs = self._evaluate.inputs if looks else ()
        _, leaf, f = self._evaluate(t, y[:n].view(self._shape))
        if self.expected is not None:
            check_same_derivative(self.expected, f.detach(), float(t))
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
            self._check_read(grads[1:])
        if integrand is not None:
            self._join(grads[1:], integrand)
        return torch.cat([f.detach().reshape(-1).to(y.dtype), da_dt.reshape(-1)])

    def _check_read(self, grads: Sequence[Tensor | None]) -> None:
        for index in self._others:
            if grads[index] is not None:
                raise UnexpectedRead(index)

    def _join(self, grads: Sequence[Tensor | None], out: Tensor) -> None:
        """Concatenate the gradients that are part of the quadrature into `out`."""
        inputs = self._evaluate.inputs
        filled = (
            torch.zeros_like(inputs[index]) if (grad := grads[index]) is None else grad
            for index in self._read
        )
        torch.cat([real_view(grad).reshape(-1) for grad in filled], out=out)

    def linearize(self, t: float, y: Tensor) -> AugmentedLinearization:
        """The Jacobian at (t, y), for implicit methods."""
        from ..methods.newton import AugmentedLinearization

        return AugmentedLinearization(self._problem.linearize(t, y[: len(y) // 2]))


class AugmentedSolve(BackwardSolve):
    """Backward solve of (y, a), with the parameter gradients as quadratures.

    Args:
        solver, method_is_chosen: See `BackwardSolve`.
        read: Indices of the problem's inputs whose gradients are integrated; others get none.
    """

    def __init__(
        self,
        problem: Problem,
        options: AdjointOptions,
        ys: Tensor,
        grad_ys: Tensor,
        solver: Solver,
        method_is_chosen: bool,
        read: Sequence[int],
    ):
        self._options, self._n, self._read = options, problem.y0.numel(), read
        self._integrated = [problem.inputs[index] for index in read]
        self._sizes = [real_view(p).numel() for p in self._integrated]
        self._inaccuracy = ys.new_zeros(())
        super().__init__(problem, ys, grad_ys, solver, method_is_chosen)

    def set_expected_derivative(self, end: Tensor | None) -> None:
        """Set the derivative at the end of the forward solve, if known without an evaluation.

        An explicit method evaluates it again at the start of the backward solve, and must agree.
        """
        if self._chosen.properties.family == "explicit":
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
        self._stage_times = partial(compute_stage_times, problem.time) if perturbs else None
        self._rtol, self._quadrature_rtol = self._tolerances(solver.rtol)
        self._atol, self._quadrature_atol = self._tolerances(solver.atol)

    def _tolerances(
        self, tolerance: float | Sequence[float]
    ) -> tuple[float | Tensor, float | Tensor]:
        """Tolerances of state and adjoint, `(2n,)`, and of the quadratures, `(q,)`; or numbers.

        The user may give one for each component of all three. Tolerances of a state alone say
        nothing about parameters, to which the strictest of them then applies.
        """
        tolerances = self._problem.per_component(tolerance, copies=2)
        if isinstance(tolerances, float | int):
            return tolerances, tolerances
        if len(tolerances) == 2 * self._n + len(self._quadrature):
            return tolerances[: 2 * self._n], tolerances[2 * self._n :]
        return tolerances, float(tolerances.min())

    def _before_interval(self, i: int) -> None:
        """Reset the state to its known value at output time i, so that errors do not add up."""
        self._state[: self._n].copy_(self._ys[i].reshape(-1))

    def _after_interval(self, i: int) -> None:
        """Compare the state reconstructed at output time i with the known one."""
        known, reconstructed = self._ys[i].reshape(-1), self._state[: self._n]
        apart = relative_distance(reconstructed, known, self._ys[i + 1].reshape(-1))
        # Kept on the device until the end of the backward solve, so that nothing waits for it.
        self._inaccuracy = torch.maximum(self._inaccuracy, apart)

    def _finish(self) -> list[Tensor | None]:
        error, allowed = float(self._inaccuracy), self._options.state_tolerance
        if not error <= allowed:
            warnings.warn(
                f"the adjoint method solved y backwards with a relative error of {error:.1e}, "
                f"above gradient.state_tolerance={allowed:.1e}; its gradient cannot "
                "be trusted. Use tighter tolerances, or a method that does not solve y "
                "backwards: gradient='interpolated', 'discrete' or 'checkpoint', or in place of "
                "odeint_adjoint the function odeint",
                stacklevel=2,
            )
        inputs, filled = self._problem.inputs, self._options.materialize_grads
        grads = [torch.zeros_like(x) if filled else None for x in inputs]
        for index, grad in zip(self._read, self._by_input(self._quadrature), strict=True):
            grads[index] = grad
        return grads

    def _by_input(self, quadrature: Tensor) -> tuple[Tensor, ...]:
        """Split a vector of quadratures, `(q,)`, into tensors of the shapes of the inputs."""
        pieces = zip(quadrature.split(self._sizes), self._integrated, strict=True)
        return tuple(
            torch.view_as_complex(piece.view(*p.shape, 2).clone()).to(p.dtype)
            if p.is_complex()
            else piece.view(p.shape).to(p.dtype)
            for piece, p in pieces
        )

    @property
    def _measures_quadratures(self) -> bool:
        """Whether errors of the parameter gradients count as much as those of the state.

        With a seminorm they hardly count: a Runge-Kutta step that is short enough for the state
        is mostly short enough for them. Where it is not, for example because the vector field is
        almost zero along the solution, the step keeps their error within `SEMINORM_FACTOR`
        tolerances. But a multistep method integrates them by a polynomial through many steps,
        which may be long and of high order where the adjoint is constant; there they count fully.
        """
        return self._solver.properties.family == "multistep" or not self._options.seminorm

    def _watch(self) -> Watch | None:
        """The user's `watch` as a function of packed states, or None."""
        watch = self._options.watch
        if watch is None:
            return None
        return lambda t, h, x, accepted: watch(t, h, self._unpacked(x), accepted)

    def _unpacked(self, x: Tensor) -> tuple[Any, Any]:
        """State and adjoint, in the structure of the user's state."""
        unpack, shape = self._problem.unpack, self._problem.y0.shape
        return unpack(x[: self._n].view(shape)), unpack(x[self._n :].view(shape))

    def _norm(self, x: Tensor, quadrature: Tensor | None = None) -> Tensor:
        """The norm of the error of state and adjoint and, if given, of the quadratures."""
        norm = self._options.norm
        if norm is not None:
            beside = torch.zeros_like(self._quadrature) if quadrature is None else quadrature
            return norm(*self._unpacked(x), self._by_input(beside))
        # The user's norm is one of states: each half of x is a state, the quadratures are not.
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
                beside = beside / SEMINORM_FACTOR
        return float(self._norm(error, beside))


def real_view(x: Tensor) -> Tensor:
    """A complex tensor as pairs of real numbers, a sparse one as a dense one."""
    if x.is_sparse:  # the gradient of nn.Embedding(sparse=True), for example
        x = x.to_dense()
    return torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
