"""Base module of all models that solve an ODE."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..ode import Gradient, Solver, SolveStats, solve
from ..ode.gradients import make_gradient
from .regularizers import Penalty, RegularizedField, Regularizer

__all__ = ["ODEModule", "solving_modules"]


class ODEModule(nn.Module):
    """A vector field with its solver and gradient method.

    Args:
        vector_field: Module that maps a 0-d time, a state and the further arguments of `solve` to
            a derivative of the state's shape.
        solver: Solver of the ODE, or the name of a method; may be exchanged after training.
        gradient: Gradient method, or its name.

    Attributes:
        solves: Statistics of the solves of the last pass. A pass is one call of `solve`; models
            that solve several times in one pass call `integrate` instead.
        penalties: Regularisation terms of the loss for the solves since they were last taken.
            Only computed in training mode with gradients enabled, so evaluations do not pay.

    Example:
        >>> from node_experiments.ode import Backprop
        >>> class Decay(nn.Module):
        ...     def forward(self, t, y):
        ...         return -y
        >>> module = ODEModule(Decay(), Solver("dopri5"), Backprop())
        >>> ys = module.solve(torch.ones(3), torch.tensor([0.0, 0.5, 1.0]))
        >>> ys.shape, module.stats.forward.accepted > 0
        (torch.Size([3, 3]), True)
    """

    regularized_field = RegularizedField
    # Whether a solve evaluates the forward pass of `vector_field` alone, without a divergence.
    field_compiles: ClassVar[bool] = True
    # Why this model cannot be regularised, a relative clause; None if it can.
    reason_not_regularizable: ClassVar[str | None] = None

    def __init__(
        self, vector_field: nn.Module, solver: Solver | str, gradient: Gradient | str
    ) -> None:
        super().__init__()
        self.vector_field = vector_field
        self.solver = Solver(solver) if isinstance(solver, str) else solver
        self.gradient = make_gradient(gradient)
        self.solves: list[SolveStats] = []
        self.penalties: dict[str, Penalty] = {}
        self._regularized: RegularizedField | None = None

    @property
    def stats(self) -> SolveStats:
        """Evaluations and steps of the last pass, and of its backward pass once that has run."""
        return SolveStats.total(self.solves)

    def __getstate__(self) -> dict[str, Any]:
        """Without penalties, whose graphs belong to one pass and cannot be copied or kept."""
        return {**self.__dict__, "penalties": {}}

    def regularize(self, regularizer: Regularizer) -> None:
        """Let training solves integrate penalties with the state; weights of 0 switch this off.

        Raises:
            ValueError: The model or its solver does not support penalties.
        """
        self._regularized = None
        if not regularizer.weights:
            return
        if self.reason_not_regularizable is not None:
            raise ValueError(
                f"regularizer cannot be used with this model, {self.reason_not_regularizable}; "
                "use regularizer=none"
            )
        if self.solver.batching == "independent":
            raise ValueError(
                "regularizer cannot be used with solver.batching='independent', whose error norms "
                "cannot leave the penalty out of a sample's steps; use batching=joint, or "
                "regularizer=none"
            )
        if self.solver.properties.family == "symplectic":
            raise ValueError(
                f"regularizer cannot be used with solver.method={self.solver.method!r}, whose "
                "state has two equal halves; use another method, or regularizer=none"
            )
        self._regularized = self.regularized_field(self.vector_field, regularizer)

    def solve(self, y0: Any, times: Tensor, *args: Any) -> Any:
        """States at `times`, with a leading time axis, from the state at the first time."""
        self.solves = []
        ys, integrals = self.integrate(y0, times, args, self.solver)
        if integrals is not None:
            self.add_penalties(integrals[-1].mean(0))
        return ys

    def integrate(
        self, y0: Any, times: Tensor, args: tuple[Any, ...], solver: Solver
    ) -> tuple[Any, Tensor | None]:
        """Run one solve of a pass.

        Returns:
            States at `times`, with a leading time axis, and the integrals of the penalties from
            the first time on, shape `(time, row, integrals)`, or None if there are none.
        """
        field = self._regularized
        if field is None or not (self.training and torch.is_grad_enabled()):
            solution = solve(self.vector_field, y0, times, solver, self.gradient, args=args)
            self.solves.append(solution.stats)
            return solution.ys, None
        # SciPy's methods choose their steps from all that they integrate, in their norm.
        own_norm = solver.properties.family != "scipy"
        solution = solve(
            field,
            field.start(y0),
            times,
            solver,
            self.gradient,
            args=(field.draw_noise(y0), *args),
            norm=field.norm if own_norm else None,
        )
        self.solves.append(solution.stats)
        ys, integrals = solution.ys
        return ys, -integrals if times[-1] < times[0] else integrals

    def add_penalties(self, integrals: Tensor) -> None:
        """Add integrals, shape `(integrals,)`, to the penalties of the loss."""
        assert self._regularized is not None
        weights = self._regularized.regularizer.weights
        for (name, weight), integral in zip(weights.items(), integrals.unbind(), strict=True):
            earlier = self.penalties.get(name)
            total = integral if earlier is None else earlier.integral + integral
            self.penalties[name] = Penalty(weight, total)


def solving_modules(model: nn.Module) -> list[ODEModule]:
    """The modules of a model that solve an ODE."""
    return [module for module in model.modules() if isinstance(module, ODEModule)]
