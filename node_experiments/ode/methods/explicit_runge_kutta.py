"""Steps of explicit Runge-Kutta methods: the only loop over their stages.

It serves every use of these methods. Without a graph, a method with many stages keeps them in one
buffer, so that a point is one matrix-vector product; otherwise a point is a chain of additions,
which autograd can record and which works for all shapes of times and states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Generic

import torch
from torch import Tensor

from ..solution import StepCounts
from ..vector_field import Dynamics, changed_in_place
from .base import ConstantCache, Interpolant, Number, StepperDefaults, Time
from .butcher_tableau import Tableau
from .interpolation import hermite_interpolation, runge_kutta_interpolation

__all__ = ["EndDerivatives", "ExplicitRungeKutta", "StageTimes"]

StageTimes = Callable[[Number, Number, Sequence[float]], tuple[Sequence[Tensor], Time]]
"""Maps the start of a step, its size and nodes c to the times of the stages, as the vector field
receives them, and to the size in the solution: a number or a tensor that broadcasts."""


class EndDerivatives(Generic[Number]):
    """The derivatives at both ends of the last explicit step, which the next step may reuse.

    States are recognised by their tensors; see `Stepper`.
    """

    _overwrites_derivatives = False  # whether the next step writes to their memory

    def reset(self) -> None:
        # States at the start and the end of the last step, and the derivatives there.
        self._start: Tensor | None = None
        self._end: Tensor | None = None
        self._at_start: Tensor | None = None
        self._at_end: Tensor | None = None

    def starts_with(self, y: Tensor, derivative: Tensor) -> None:
        """Let the next step start from `y`, where the derivative is given."""
        self._start, self._at_start = y, derivative

    def derivative(self, t: Number, y: Tensor) -> Tensor:
        if y is self._end and self._at_end is not None:
            return self._at_end
        if y is not self._start or self._at_start is None:
            self.starts_with(y, self._evaluate_at_start(t, y))
        assert self._at_start is not None
        return self._at_start

    def derivative_at_end(self, t: Number, h: Number, y1: Tensor) -> Tensor:
        """dy/dt at the end of the last step, kept for the next one."""
        if self._at_end is None or self._end is not y1:
            self._end, self._at_end = y1, self._evaluate_at_end(t + h, y1)
        return self._at_end.clone() if self._overwrites_derivatives else self._at_end

    def evaluate(self, t: Number, y: Tensor) -> Tensor:
        raise NotImplementedError

    def _evaluate_at_start(self, t: Number, y: Tensor) -> Tensor:
        return self.evaluate(t, y)

    def _evaluate_at_end(self, t: Number, y: Tensor) -> Tensor:
        return self.evaluate(t, y)


class ExplicitRungeKutta(EndDerivatives[Number], StepperDefaults):
    """Steps of one explicit Runge-Kutta method, with times as numbers or as per-sample tensors.

    With numbers it is a `Stepper`.

    Increments are summed before they are added to the state: a sum that started with the state
    would round once for each stage, over many steps in the same direction.

    Args:
        tableau: The method.
        field: The vector field.
        like: An example state, with the dtype and device of all states.
        counts: Where evaluations are counted.
        args: Arguments of the vector field.
        adaptive: Whether errors are estimated.
        records: Whether autograd records the steps, or the shape of states may change.
        stage_times: Computes the times of stages, if they are not simply t + c h on a CPU.
        quadrature: Where integrals along the solution are accumulated, shape `(q,)`. The vector
            field then writes its integrands into an argument of that shape, if it is not None.

    Attributes:
        stages: The stage derivatives of the last step.
    """

    error: Tensor
    has_free_interpolant = True

    def __init__(
        self,
        tableau: Tableau,
        field: Dynamics,
        like: Tensor,
        counts: StepCounts,
        *,
        args: Sequence[Any] = (),
        adaptive: bool = False,
        records: bool = False,
        stage_times: StageTimes[Number] | None = None,
        quadrature: Tensor | None = None,
    ):
        self.tableau: Tableau = tableau
        self.counts: StepCounts = counts
        self.stages: list[Tensor] = []
        self._field: Dynamics = field
        self._stage_times: StageTimes[Number] | None = stage_times
        self._dtype: torch.dtype = like.dtype
        # The cheapest way to create tensors of one number, for up to four of them.
        self._time: Callable[..., Tensor] = partial(
            torch.scalar_tensor, dtype=like.dtype, device=like.device
        )
        self._weights: list[Tensor] = []
        self._buffer: Tensor | None = None
        if not records and tableau.prefers_products:
            self._buffer = like.new_empty(len(tableau.rows) - 1, like.numel())
            self._overwrites_derivatives = True
            self._rows: Sequence[Tensor] = self._buffer.view(-1, *like.shape).unbind()
            columns = self._buffer.t()
            self._columns: list[Tensor] = [
                columns.narrow(1, 0, i) for i in range(len(tableau.rows))
            ]
            self._columns[-1] = self._columns[tableau.stages]
        self._adaptive: bool = adaptive
        if adaptive or self._buffer is not None or quadrature is not None:
            self._weights = WEIGHTS[tableau, like.dtype, like.device]
        self._has_versions: bool = field.has_versions
        self._args: Sequence[Sequence[Any]] = [args] * len(tableau.rows)
        self._args_without_integrand: Sequence[Any] = args
        self._quadrature: Tensor | None = quadrature
        if quadrature is not None:
            self._use_quadrature(quadrature)
        self.needs_accept: bool = quadrature is not None
        self.reset()

    def _use_quadrature(self, quadrature: Tensor) -> None:
        tableau = self.tableau
        s = tableau.stages
        # One row more than stages, for an evaluation at the end that is not a stage.
        self._integrands: Tensor = quadrature.new_zeros(s + 1, len(quadrature))
        # Integrands are not needed at stages with weight 0 in both the integral and its error, nor
        # at those that only an interpolant needs. But the last stage may become the first of the
        # next step.
        pairs: list[tuple[float, float]] = list(
            zip(tableau.b, tableau.b_error or tableau.b, strict=True)
        )
        weighed = {s - 1, *(i for i, pair in enumerate(pairs) if any(pair))}
        self._args = [
            (self._integrands[i] if i in weighed else None,) for i in range(len(tableau.rows))
        ]
        self._args_without_integrand = (None,)

    def starts_with(self, y: Tensor, derivative: Tensor) -> None:
        if self._buffer is not None:
            derivative = self._rows[0].copy_(derivative)
        self._start, self._at_start = y, derivative

    def restrict(self, rows: Tensor, y: Tensor, y_next: Tensor) -> None:
        """Restrict the last step to some of its samples, whose states are given."""
        self.stages = [stage[rows] for stage in self.stages]
        self._start, self._at_start, self._end = y, self.stages[0], y_next
        self._at_end = self.stages[-1] if self.tableau.first_same_as_last else None

    def evaluate(self, t: Number, y: Tensor) -> Tensor:
        return self._evaluate(t, y, self._args_without_integrand)

    def step(self, t: Number, h: Number, y: Tensor, only: Iterable[int] | None = None) -> Tensor:
        """The state after a step of size `h` from (t, y).

        It is one function, which calls no others for stages and sums: on small states the calls
        would take as long as the arithmetic.

        Args:
            only: Compute only these rows of the tableau, after those of the last call.
        """
        tableau, field, buffer, weights = self.tableau, self._field, self._buffer, self._weights
        has_versions, terms, args = self._has_versions, tableau.rows, self._args
        nodes = tableau.c if only is None else tableau.every_node
        if self._stage_times is None:
            assert isinstance(t, float)
            assert isinstance(h, float)
            moments = list(map(t.__add__, map(h.__mul__, nodes)))
            times: Sequence[Tensor]
            if len(nodes) <= 4:
                times = list(map(self._time, moments))
            else:
                times = torch.tensor(moments, dtype=self._dtype, device="cpu").unbind()
            size: Time = h
        else:
            times, size = self._stage_times(t, h, nodes)
        # One of the two holds the size of the step.
        number, tensor = (1.0, size) if isinstance(size, Tensor) else (size, None)
        end, is_flat = len(terms) - 1, y.dim() == 1
        flat = y if is_flat or buffer is None else y.view(-1)
        point, fresh = y, 0
        stages = self.stages
        for i in tableau.step_rows if only is None else only:
            if i == 0:
                stages, first = [], None
                if y is self._end:
                    first = self._at_end
                elif y is self._start:
                    first = self._at_start
                if first is not None:
                    if y is self._end:
                        if buffer is not None:
                            first = self._rows[0].copy_(first)
                        if self._quadrature is not None:
                            self._move_integrand()
                    stages.append(first)
                    continue
            elif buffer is not None:
                if i == tableau.last_row:
                    increment = torch.mv(self._columns[i], weights[i])
                    point = torch.add(flat, increment, alpha=number)
                else:
                    point = torch.addmv(flat, self._columns[i], weights[i], alpha=number)
                if not is_flat:
                    point = point.view_as(y)
            elif len(terms[i]) == 1:
                ((j, weight),) = terms[i]
                if tensor is None:
                    point = torch.add(y, stages[j], alpha=number * weight)
                else:
                    point = torch.addcmul(y, stages[j], tensor, value=weight)
            elif terms[i]:
                (j, weight), *others = terms[i]
                increment = stages[j] * weight
                for j, weight in others:
                    increment = torch.add(increment, stages[j], alpha=weight)
                if tensor is None:
                    point = torch.add(y, increment, alpha=number)
                else:
                    point = torch.addcmul(y, increment, tensor)
            else:
                point = y
            if i == end:
                break
            version = point._version if has_versions else 0
            function = field.direct_call
            if function is None:
                function = field
            k = function(times[i], point, *args[i])
            if not isinstance(k, Tensor) or k.shape != y.shape or k.dtype is not self._dtype:
                k = field.conform(k, point)
            if has_versions:
                if point._version != version or times[i]._version:
                    raise changed_in_place(point._version == version)
                if point.requires_grad and not k.requires_grad:
                    field.check_graph(times[i], point, args[i], k)
                if buffer is not None:
                    k = self._rows[i].copy_(k)
                elif k._version if k.requires_grad else field.reuses_memory or k._version:
                    k = k.clone()
            elif buffer is not None:
                k = self._rows[i].copy_(k)
            elif field.reuses_memory:
                k = k.clone()
            stages.append(k)
            fresh += 1
        self.counts.evaluations += fresh
        self.stages = stages
        if only is not None:
            return point
        self._start, self._at_start, self._end = y, stages[0], point
        self._at_end = stages[-1] if tableau.first_same_as_last else None
        if self._adaptive:
            if buffer is not None:
                columns = self._columns[tableau.stages]
            else:
                columns = torch.stack(stages).detach().view(len(stages), -1).t()
            error = torch.mv(columns, weights[-1])
            if not is_flat:
                error = error.view_as(y)
            self.error = error.mul_(number if tensor is None else tensor.detach())
        return point

    def accept(self, h: float) -> None:
        if self._quadrature is not None:
            self._quadrature.add_(self.quadrature_increment(h))

    def interpolant(self, t: Number, h: Number, y0: Tensor, y1: Tensor) -> Interpolant:
        tableau = self.tableau
        if tableau.dense is None:
            end = self.derivative_at_end(t, h, y1)
            first = self.stages[0] if self._buffer is None else self.stages[0].clone()
            return partial(hermite_interpolation, y0, first, y1, end, h)
        self.dense_stages(t, h, y0)
        if self._buffer is not None:
            stages = self._buffer.clone()
        else:
            stages = torch.stack(self.stages).view(len(self.stages), -1)
        return partial(runge_kutta_interpolation, tableau, y0, stages, h)

    def dense_stages(self, t: Number, h: Number, y0: Tensor) -> list[Tensor]:
        """The stages of the last step and those that only its interpolant needs."""
        tableau = self.tableau
        if len(self.stages) == tableau.stages and tableau.dense_a:
            self.step(t, h, y0, only=range(tableau.stages, len(tableau.rows) - 1))
        return self.stages

    def known_end(self, y: Tensor) -> Tensor | None:
        """dy/dt at the end of the last step if it is known without an evaluation, else None.

        A predictor-corrector pair evaluates at its prediction, which is another state.
        """
        if self._at_end is None or y is not self._end or self.tableau.is_pec:
            return None
        return self._at_end.clone()

    def quadrature_increment(self, h: float) -> Tensor:
        return torch.mv(self._integrands[:-1].t(), self._weights[-2]).mul_(h)

    def quadrature_error(self, h: float) -> Tensor:
        return torch.mv(self._integrands[:-1].t(), self._weights[-1]).mul_(h)

    def _move_integrand(self) -> None:
        """Reuse the integrand at the end of the last step at the start of the next one."""
        same = self.tableau.first_same_as_last
        self._integrands[0].copy_(self._integrands[-2 if same else -1])

    def _evaluate_at_start(self, t: Number, y: Tensor) -> Tensor:
        return self._evaluate(t, y, self._args[0])

    def _evaluate_at_end(self, t: Number, y: Tensor) -> Tensor:
        if self._quadrature is None:
            return self._evaluate(t, y, self._args_without_integrand)
        return self._evaluate(t, y, (self._integrands[-1],))

    def _evaluate(self, t: Number, y: Tensor, args: Sequence[Any]) -> Tensor:
        self.counts.evaluations += 1
        stage_times = self._stage_times
        time = self._time(t) if stage_times is None else stage_times(t, 0.0 * t, (0.0,))[0][0]
        derivative = self._field.conform(self._field(time, y, *args), y)
        if self._has_versions and (
            derivative._version if derivative.requires_grad else self._field.reuses_memory
        ):
            derivative = derivative.clone()
        return derivative


def weights_of(key: tuple[Tableau, torch.dtype, torch.device]) -> list[Tensor]:
    """The rows of coefficients as tensors: those of the stages, b, and those of the error."""
    tableau, dtype, device = key
    rows = [*tableau.a, *tableau.dense_a, tableau.b, tableau.b_error or ()]
    return [torch.tensor(row, dtype=dtype, device=device) for row in rows]


WEIGHTS = ConstantCache(weights_of)
