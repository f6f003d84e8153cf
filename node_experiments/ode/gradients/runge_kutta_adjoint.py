"""The transpose of a Runge-Kutta solve (Hager 2000; Sanz-Serna 2016).

A step computes Y_i = y_0 + h sum_j a_ij k_j, k_i = f(t + c_i h, Y_i), y_1 = y_0 + h sum_i b_i k_i
and the outputs u_m = y_0 + h sum_i w_i(theta_m) k_i. With a bar for the gradient of the loss,

    kbar_i = h (b_i ybar_1 + sum_m w_i(theta_m) ubar_m + sum_{j>i} a_ji Ybar_j),
    Ybar_i = kbar_i df/dy(t + c_i h, Y_i),
    ybar_0 = ybar_1 + sum_m ubar_m + sum_i Ybar_i.

The derivative at a grid point is the first stage of one step and may be the last stage, or the
end of the interpolant, of the step before. Its cotangents are added up and pulled back once: at
the state there, or at its prediction, where the step before evaluated its last stage.

A diagonally implicit stage, whose Y_i contains h d k_i with a diagonal coefficient d, solves an
equation, whose derivative is that of the implicit function theorem. With J = df/dy(t + c_i h, Y_i)

    (I - h d J)^T lambda_i = kbar_i,    Ybar_i = J^T lambda_i,

and lambda_i takes the place of kbar_i in all gradients. Where the last stage of an implicit method
is the end of its step, h d ybar_1 adds to the cotangent that its derivative has as a grid point.
The stages of a fully implicit method are coupled, and so are the equations of their lambda_i.

The times are those of the frozen grid; see `time_cotangents`. An output time inside a step moves
along the interpolant. Where that is the line between the ends, u_m = y_0 + theta_m (y_1 - y_0) has
no weights w_i: theta_m ubar_m is added to ybar_1, and the rest to ybar_0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..methods.interpolation import output_slopes, output_weights
from ..problem import Problem
from .backward_pass import Evaluation, VJPAccumulator
from .stage_equation import solve_transposed
from .time_cotangents import TimeCotangents

__all__ = ["RungeKuttaAdjoint", "StepGraph"]


@dataclass
class StepGraph:
    """The evaluations of one accepted step, evaluated again or kept from the forward solve.

    Attributes:
        stages: Evaluations at its stages, without a last stage that is the step's end.
        end: Makes or returns the evaluation at the step's end.
        dense: Makes or returns those at the stages that only the interpolant needs.
    """

    stages: list[Evaluation]
    end: Callable[[], Evaluation]
    dense: Callable[[], list[Evaluation]]


class RungeKuttaAdjoint:
    """Propagates the gradient of the loss backwards over the accepted steps, last step first.

    All buffers are allocated once; a stage costs one matrix-vector product, one vector-Jacobian
    product and one copy.

    Args:
        problem: The problem that was solved.
        grad_ys: Gradients that arrive at the outputs, shape `(time, n)`; fewer times than the
            problem's if its end was not reached.
        vjp: Accumulates the gradients of parameters and arguments.
        time_gradients: Whether `grad_t` is wanted.

    Attributes:
        state: Gradient of the state at the start of the steps transposed so far, shape `(n,)`.
        grad_t: Gradient of the output times, shape `(time,)`, or None.
    """

    def __init__(
        self, problem: Problem, grad_ys: Tensor, vjp: VJPAccumulator, time_gradients: bool
    ):
        tableau = self._tableau = problem.runge_kutta
        self._diagonal = tableau.diagonal or (0.0,) * tableau.stages
        self._problem = problem
        self._times = problem.times[: len(grad_ys)]
        self._grad_ys = grad_ys
        self._output = len(self._times) - 1
        self._vjp = vjp
        self._counts = problem.stats.backward
        n = grad_ys.shape[1]
        s = self._inner = tableau.stages - tableau.solution_is_last_stage
        # Rows 1 to s - 1 hold the Ybar of the stages inside a step, row s the ybar of its end.
        rows = grad_ys.new_zeros(s + 1, n)
        self._rows = [rows[i] for i in range(s + 1)]
        self.state = self._rows[s]
        self._later = [rows[i + 1 :].t() for i in range(s)]
        self._weights = [
            grad_ys.new_tensor([tableau.a[j][i] for j in range(i + 1, s)] + [tableau.b[i]])
            for i in range(s)
        ]
        self._inside = rows[1:s].t()
        self._ones = grad_ys.new_ones(max(s - 1, 0))
        self._cotangent = grad_ys.new_empty(n)
        # The derivative at the grid point where the last transposed step starts: its cotangent,
        # whether that is zero, its evaluation and its time.
        self._node = grad_ys.new_zeros(n)
        self._node_is_zero = True
        self._node_evaluation: Evaluation | None = None
        self._node_time = problem.times[-1]
        self._clock = TimeCotangents(problem, grad_ys) if time_gradients else None

    @property
    def grad_t(self) -> Tensor | None:
        return None if self._clock is None else self._clock.total()

    def step_back(self, t: float, t_end: float, step: StepGraph) -> None:
        """Propagate the gradient from the end of a step to its start."""
        h = t_end - t
        if self._node_time != t_end or self._problem.solver.perturb:
            # The vector field may jump here: the next step started with another derivative.
            self._pull_node()
            self._node_evaluation, self._node_time = None, t_end
        direct = self._enter_outputs(t, t_end, step)
        if self._tableau.coupled:
            self._pull_coupled(t, t_end, step, direct)
            return
        if self._diagonal[-1] and self._tableau.solution_is_last_stage:
            self._pull_end(t, t_end, step)
        elif not self._tableau.is_pec:
            self._pull_node()
        for i in range(self._inner - 1, 0, -1):
            cotangent = self._stage_cotangent(i, h, direct, self._cotangent)
            self._solve_stage(step.stages[i], cotangent, h * self._diagonal[i])
            if self._clock is not None:
                self._clock.stage(t, t_end, cotangent, step.stages[i])
            if self._tableau.is_pec and i == self._inner - 1:
                # The last stage is that of the grid point, at the predicted end of the step.
                cotangent.add_(self._node)
                self._node.zero_()
            grad_t = self._pull(step.stages[i], cotangent, self._rows[i])
            if self._clock is not None:
                self._clock.inside(t, t_end, self._tableau.c[i], grad_t)
        self._stage_cotangent(0, h, direct, self._node)
        self._node_is_zero = False
        self._node_evaluation, self._node_time = step.stages[0], t
        if self._clock is not None:
            self._clock.stage(t, t_end, self._node, step.stages[0])
        if self._inner > 1:
            self.state.addmv_(self._inside, self._ones)
        if direct is not None:
            self.state.add_(direct.start)

    def finish(self) -> None:
        """Add the gradients of the derivative and of the output at the initial time."""
        self._pull_node()
        self.state.add_(self._grad_ys[0])

    def _enter_outputs(self, t: float, t_end: float, step: StepGraph) -> DirectCotangents | None:
        """Add the gradients of the outputs at the end of a step and inside it."""
        times, last, h = self._times, self._output, t_end - t
        direction = 1.0 if h > 0 else -1.0
        while last > 0 and direction * (times[last] - t_end) >= 0:
            self.state.add_(self._grad_ys[last])
            if self._clock is not None and times[last] != self._problem.times[-1]:
                derivative = self._end(step).derivative.detach().reshape(-1)
                self._clock.output(last, torch.dot(derivative, self._grad_ys[last]))
            last -= 1
        first = last
        while first > 0 and direction * (times[first] - t) > 0:
            first -= 1
        self._output = first
        if first == last:
            return None
        outputs = range(first + 1, last + 1)
        grads = self._grad_ys[first + 1 : last + 1]
        thetas = [(times[j] - t) / h for j in outputs]
        if self._problem.solver.interpolation == "linear":
            return self._enter_line(outputs, thetas, grads, step)
        weights = [output_weights(self._tableau, theta) for theta in thetas]
        matrix = grads.new_tensor([w.stages for w in weights])
        stages = (matrix * h).t() @ grads
        direct = DirectCotangents(grads.new_tensor([w.start for w in weights]) @ grads, stages)
        end_derivative = None
        if self._tableau.dense is None:
            self.state.add_(grads.new_tensor([w.end for w in weights]) @ grads)
            end_derivative = grads.new_tensor([h * w.end_derivative for w in weights]) @ grads
        elif self._inner < self._tableau.stages:
            end_derivative = stages[-1]
        dense = step.dense() if len(stages) > self._tableau.stages else []
        if self._clock is not None:
            self._move_outputs(outputs, thetas, grads, [*step.stages, *dense], step)
            if end_derivative is not None:
                self._clock.stage(t, t_end, end_derivative, self._end(step))
        if end_derivative is not None:
            self._end(step)
            self._node.add_(end_derivative)
            self._node_is_zero = False
        for i in range(len(dense) - 1, -1, -1):
            self._pull_dense(i, t, t_end, dense[i], direct)
        return direct

    def _enter_line(
        self, outputs: Sequence[int], thetas: list[float], grads: Tensor, step: StepGraph
    ) -> DirectCotangents:
        """Add the gradients of outputs on the line between the ends of a step."""
        tableau, ends = self._tableau, grads.new_tensor(thetas)
        if self._clock is not None:
            # The slope of the line is the weighted mean of the derivatives at the stages.
            evaluations = step.stages
            if self._inner < tableau.stages and tableau.b[-1]:
                evaluations = [*evaluations, self._end(step)]
            rows = torch.stack([e.derivative.detach().reshape(-1) for e in evaluations])
            slope = grads.new_tensor(tableau.b[: len(rows)]) @ rows.to(grads.dtype)
            for j, value in zip(outputs, grads @ slope, strict=True):
                self._clock.output(j, value)
        self.state.add_(ends @ grads)
        stages = grads.new_zeros(tableau.stages, grads.shape[1])
        return DirectCotangents((1 - ends) @ grads, stages)

    def _move_outputs(
        self,
        outputs: Sequence[int],
        thetas: list[float],
        grads: Tensor,
        evaluations: list[Evaluation],
        step: StepGraph,
    ) -> None:
        """Add gradients of output times inside a step; the interpolant has slope du/dtheta / h."""
        assert self._clock is not None
        tableau, inner = self._tableau, self._inner
        ends_in_stage = inner < tableau.stages
        if ends_in_stage or tableau.dense is None:
            evaluations = [*evaluations, self._end(step)]
        rows = []
        for theta in thetas:
            slope = output_slopes(tableau, theta)
            row = list(slope.stages)
            if tableau.dense is None:
                # start' y0 + end' y1 = end' (y1 - y0): the weights of y0 and y1 add up to 1.
                row = [w + slope.end * b for w, b in zip(row, tableau.b, strict=True)][:inner]
                row.append(slope.end_derivative + slope.end * tableau.b[-1] * ends_in_stage)
            rows.append(row)
        derivatives = torch.stack([e.derivative.detach().reshape(-1) for e in evaluations])
        slopes = grads.new_tensor(rows) @ derivatives.to(grads.dtype)
        for j, value in zip(outputs, (slopes * grads).sum(1), strict=True):
            self._clock.output(j, value)

    def _pull_dense(
        self, i: int, t: float, t_end: float, evaluation: Evaluation, direct: DirectCotangents
    ) -> None:
        """Transpose a stage that only the interpolant needs."""
        tableau, h = self._tableau, t_end - t
        stage = tableau.stages + i
        grad_t = self._pull(evaluation, direct.stages[stage], self._cotangent)
        row = self._cotangent.new_tensor(tableau.dense_a[i])
        direct.stages[:stage].addr_(row, self._cotangent, alpha=h)
        direct.start.add_(self._cotangent)
        if self._clock is not None:
            self._clock.inside(t, t_end, tableau.dense_c[i], grad_t)
            self._clock.stage(t, t_end, direct.stages[stage], evaluation)

    def _stage_cotangent(
        self, i: int, h: float, direct: DirectCotangents | None, out: Tensor
    ) -> Tensor:
        later, weights = self._later[i], self._weights[i]
        if direct is None:
            return torch.addmv(out, later, weights, beta=0, alpha=h, out=out)
        return torch.addmv(direct.stages[i], later, weights, alpha=h, out=out)

    def _end(self, step: StepGraph) -> Evaluation:
        """The evaluation at the step's end, which is the first one of the step after it."""
        if self._node_evaluation is None:
            self._node_evaluation = step.end()
        return self._node_evaluation

    def _pull_node(self) -> None:
        if self._node_is_zero:
            return
        assert self._node_evaluation is not None
        grad_t = self._pull(self._node_evaluation, self._node, self._rows[0])
        self.state.add_(self._rows[0])
        self._node.zero_()
        self._node_is_zero = True
        if self._clock is not None:
            self._clock.at(self._node_time, grad_t)

    def _pull_end(self, t: float, t_end: float, step: StepGraph) -> None:
        """Transpose the last stage of an implicit method."""
        end, hd = self._end(step), (t_end - t) * self._diagonal[-1]
        if self._clock is not None:
            # The node's cotangent as a grid point does not scale with this step.
            self._clock.stage(t, t_end, -self._node, end)
        self._node.add_(self.state, alpha=hd)
        self._node_is_zero = False
        self._solve_stage(end, self._node, hd)
        if self._clock is not None:
            self._clock.stage(t, t_end, self._node, end)
        self._pull_node()

    def _pull_coupled(
        self, t: float, t_end: float, step: StepGraph, direct: DirectCotangents | None
    ) -> None:
        """Transpose a step with coupled stages, except for the first, which has no weight."""
        tableau, h = self._tableau, t_end - t
        block = tableau.blocks[0]
        like = self.state
        matrix = like.new_tensor([tableau.matrix[i][1:] for i in block]) * h
        evaluations, own = step.stages[1:], like.new_zeros(len(block), len(like))
        if tableau.solution_is_last_stage:
            evaluations = [*evaluations, self._end(step)]
            # The cotangent of the end as a grid point does not scale with this step.
            own[-1] = self._node
        else:
            self._pull_node()
        cotangents = own + torch.outer(like.new_tensor(tableau.b[1:]) * h, self.state)
        if direct is not None:
            cotangents += direct.stages[1:]
        self._counts.evaluations += len(block)
        cotangents = solve_transposed(evaluations, cotangents, matrix)
        for i, evaluation, cotangent, apart in zip(
            block, evaluations, cotangents, own, strict=True
        ):
            grad_t = self._pull(evaluation, cotangent, self._cotangent)
            self.state.add_(self._cotangent)
            if self._clock is not None:
                self._clock.inside(t, t_end, tableau.c[i], grad_t)
                self._clock.stage(t, t_end, cotangent - apart, evaluation)
        self._node.zero_()
        self._node_is_zero = direct is None
        self._node_evaluation, self._node_time = step.stages[0], t
        if direct is not None:
            self._node.copy_(direct.stages[0])
            self.state.add_(direct.start)
            if self._clock is not None:
                self._clock.stage(t, t_end, self._node, step.stages[0])

    def _solve_stage(self, evaluation: Evaluation, cotangent: Tensor, hd: float) -> None:
        """Replace kbar by lambda, in place."""
        if hd:
            self._counts.evaluations += 1
            ha = cotangent.new_full((1, 1), hd)
            cotangent.copy_(solve_transposed([evaluation], cotangent.unsqueeze(0), ha)[0])

    def _pull(self, evaluation: Evaluation, cotangent: Tensor, out: Tensor) -> Tensor | None:
        self._counts.evaluations += 1
        return self._vjp(evaluation, cotangent, out)


@dataclass
class DirectCotangents:
    """Cotangents of a step's start `(n,)` and stages `(stage, n)` from the outputs inside it."""

    start: Tensor
    stages: Tensor
