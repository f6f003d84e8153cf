"""A step size for every sample: each gets the answer that it would get alone.

All samples that are still under way are evaluated together, each at its own time; those that have
reached the end leave the batch. The vector field is given the times of the samples as a tensor
`(batch, 1, ..., 1)` that broadcasts against the state, and it must treat the samples one by one:
what belongs to a sample has to be part of its state.
"""

from __future__ import annotations

import math
import sys

import torch
from torch import Tensor

from .forward import cause_of
from .gradients import Backprop, Gradient
from .integrate import Trajectory
from .methods.butcher_tableau import Tableau
from .problem import Problem
from .solution import Status
from .solver import Solver
from .step_size_control import GAINS
from .vector_field import in_own_memory

__all__ = ["solve_independent"]


def solve_independent(problem: Problem, gradient: Gradient | None) -> tuple[Tensor, Trajectory]:
    """Solve every sample along the first axis of the state with its own steps.

    Args:
        gradient: How gradients are computed; None when there are none to compute.

    Returns:
        States at all output times, shape `(time, *state)`, and the trajectory; when a sample
        fails, the initial state alone.

    Raises:
        ValueError: Fixed steps, a gradient other than backprop, or times that require one.
    """
    if gradient is not None and not isinstance(gradient, Backprop):
        raise ValueError(
            "solver.batching='independent' computes gradients by gradient='backprop' alone; found "
            f"gradient={type(gradient).__name__.lower()!r}; take gradient='backprop', or "
            "solver.batching='joint'"
        )
    if gradient is not None and problem.t.requires_grad:
        raise ValueError(
            "solver.batching='independent' computes no gradient with respect to t, which requires "
            "one; detach t, or take batching='joint'"
        )
    if problem.solver.fixed_steps or problem.solver.step_t or problem.solver.jump_t:
        raise ValueError(
            "solver.batching='independent' is for adaptive steps without step_t and jump_t; leave "
            "out step_size, num_steps, step_t and jump_t, or take batching='joint'"
        )
    with torch.set_grad_enabled(gradient is not None):
        return _Batch(problem).solve()


class _Batch:
    """The samples under way: states on the device, times and steps on the host."""

    def __init__(self, problem: Problem):
        self._problem = problem
        self._tableau: Tableau = problem.tableau
        self._solver: Solver = problem.solver
        self._rtol = problem.spread(problem.solver.rtol)
        self._atol = problem.spread(problem.solver.atol)
        self._counts = problem.stats.forward
        self._sample_shape = problem.y0.shape[1:]
        self._y = problem.y0.reshape(len(problem.y0), -1)
        batch = len(self._y)
        self._direction = math.copysign(1.0, problem.times[-1] - problem.times[0])
        self._members = torch.arange(batch)
        self._t = torch.full((batch,), problem.times[0], dtype=torch.float64)
        self._past = torch.ones(2, batch, dtype=torch.float64)
        self._was_rejected = torch.zeros(batch, dtype=torch.bool)
        self._next = torch.ones(batch, dtype=torch.long)
        self._times = torch.tensor(problem.times, dtype=torch.float64)
        self._last_ratio = torch.zeros(batch, dtype=torch.float64)
        self._outputs: list[tuple[Tensor, Tensor, Tensor]] = []
        self._first = self._evaluate(self._t, self._y)
        self._h = self._first_steps()

    def solve(self) -> tuple[Tensor, Trajectory]:
        problem, solver = self._problem, self._solver
        end = problem.times[-1]
        result = Trajectory(t=end)
        for _ in range(solver.max_steps):
            if not len(self._members):
                break
            status = self._check_steps()
            if status is not None:
                return self._give_up(result, status)
            self._step(end)
        else:
            return self._give_up(result, Status.MAX_STEPS)
        ys = problem.y0.new_empty(len(problem.times), *problem.y0.shape)
        flat = ys.view(len(problem.times), len(problem.y0), -1)
        places = [torch.zeros(len(problem.y0), dtype=torch.long)]
        samples = [torch.arange(len(problem.y0))]
        values = [problem.y0.reshape(len(problem.y0), -1)]
        for place, sample, value in self._outputs:
            places.append(place)
            samples.append(sample)
            values.append(value)
        index = torch.cat(places).to(ys.device), torch.cat(samples).to(ys.device)
        flat = flat.index_put(index, torch.cat(values))
        return flat.view(ys.shape), result

    def _step(self, end: float) -> None:
        remaining = (end - self._t).abs()
        last = remaining <= self._h
        size = torch.where(last, remaining, self._h)
        t_next = torch.where(last, end, self._t + self._direction * size)
        h_host = t_next - self._t
        stages, y_next = self._attempt(self._y, self._first, self._t, h_host)
        h = h_host.to(self._y).unsqueeze(1)
        cut_short = remaining < self._h
        accepted = self._judge(self._ratios(h, stages, y_next), h_host, cut_short)
        steps = int(accepted.sum())
        self._counts.accepted += steps
        self._counts.rejected += len(accepted) - steps
        if not steps:
            return
        if steps == len(accepted):
            self._advance(torch.arange(steps), t_next, h_host, stages, y_next)
        else:
            rows = accepted.nonzero().squeeze(1)
            on_device = rows.to(self._y.device)
            if torch.is_grad_enabled():
                # A rejected trial may have overflowed, and masked out of a graph it still makes
                # the gradient NaN: 0 times infinity. So the graph is that of the others alone.
                y, first = self._y[on_device], self._first[on_device]
                stages, y_next = self._attempt(y, first, self._t[rows], h_host[rows])
            else:
                stages, y_next = [stage[on_device] for stage in stages], y_next[on_device]
            self._advance(rows, t_next[rows], h_host[rows], stages, y_next)
        self._drop(self._t == end)

    def _attempt(
        self, y: Tensor, first: Tensor, t: Tensor, h_host: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """Stages and ends of steps of the sizes `h_host` from (t, y); every shape `(rows, n)`."""
        tableau = self._tableau
        h = h_host.to(y).unsqueeze(1)
        stages = [first]
        y_next = y
        for c, row in zip(tableau.c[1:], tableau.a[1:], strict=True):
            y_next = y + h * _combine(row, stages)
            stages.append(self._evaluate(t + c * h_host, y_next))
        if not tableau.solution_is_last_stage:
            y_next = y + h * _combine(tableau.b, stages)
        return stages, y_next

    def _advance(
        self, rows: Tensor, t_next: Tensor, h: Tensor, stages: list[Tensor], y_next: Tensor
    ) -> None:
        """Move the samples `rows`, whose steps were accepted, to the ends of their steps."""
        self._write_outputs(rows, t_next, h, stages, y_next)
        same = self._tableau.first_same_as_last
        following = stages[-1] if same else self._evaluate(t_next, y_next)
        on_device = (rows.to(self._y.device),)
        self._first = self._first.index_put(on_device, following)
        self._y = self._y.index_put(on_device, y_next)
        self._t = self._t.index_put((rows,), t_next)
        sizes = h.abs()
        self._counts.smallest_step = min(self._counts.smallest_step, float(sizes.min()))
        self._counts.largest_step = max(self._counts.largest_step, float(sizes.max()))

    def _ratios(self, h: Tensor, stages: list[Tensor], y_next: Tensor) -> Tensor:
        """Error of every sample in multiples of its tolerance; the one synchronisation."""
        assert self._tableau.b_error is not None
        with torch.no_grad():
            error = h * _combine(self._tableau.b_error, stages)
            scale = torch.maximum(self._y.abs(), y_next.abs())
            scale = scale * self._rtol + self._atol
            return _rms(error / scale).double().cpu()

    def _judge(self, ratio: Tensor, h: Tensor, cut_short: Tensor) -> Tensor:
        """`AdaptiveControl.judge` for every sample."""
        solver = self._solver
        accepted = ratio <= 1
        bounded = ratio.clamp(min=1e-10).nan_to_num(nan=math.inf, posinf=math.inf)
        factor = torch.full_like(ratio, solver.safety)
        order = self._problem.error_order
        history = (bounded, *self._past)
        for gain, past in zip(GAINS[solver.controller], history, strict=True):
            if gain:
                factor = factor * past ** (-gain / order)
        factor = factor.clamp(solver.min_factor, solver.max_factor)
        limit = torch.where(self._was_rejected, 1.0, solver.max_factor)
        limit = torch.where(accepted, limit, solver.safety)
        proposal = h.abs() * torch.minimum(factor, limit)
        proposal = torch.where(accepted & cut_short, torch.maximum(proposal, self._h), proposal)
        self._h = proposal.clamp(max=solver.max_step)
        self._past = torch.where(accepted, torch.stack([bounded, self._past[0]]), self._past)
        self._was_rejected = ~accepted
        self._last_ratio = ratio
        return accepted

    def _write_outputs(
        self, members: Tensor, t_next: Tensor, h: Tensor, stages: list[Tensor], y_next: Tensor
    ) -> None:
        """Outputs inside the accepted steps of the samples `members`, and at their ends."""
        reached = self._direction * (self._times.unsqueeze(0) - t_next.unsqueeze(1)) <= 0
        following, upto = self._next[members], reached.sum(1)
        number = upto - following
        if not bool(number.any()):
            return
        rows = torch.repeat_interleave(torch.arange(len(number)), number)
        offset = torch.cat([torch.arange(n) for n in number.tolist()])
        place = following[rows] + offset
        t, y = self._t[members], self._y[members.to(self._y.device)]
        theta = (self._times[place] - t[rows]) / h[rows]
        values = self._inside(rows, theta, t, h, y, stages, y_next)
        self._outputs.append((place, self._members[members[rows]], values))
        self._next = self._next.index_put((members,), upto)

    def _inside(
        self,
        rows: Tensor,
        theta: Tensor,
        t: Tensor,
        h: Tensor,
        y: Tensor,
        stages: list[Tensor],
        y_next: Tensor,
    ) -> Tensor:
        """States in the steps `rows` at positions `theta` of them, `(outputs, n)`."""
        tableau = self._tableau
        if bool((theta == 1).all()):
            return y_next[rows.to(y.device)]
        th = theta.to(y).unsqueeze(1)
        size = h.to(y).unsqueeze(1)
        on_device = rows.to(y.device)
        if tableau.dense is not None:
            every = list(stages)
            for c, row in zip(tableau.dense_c, tableau.dense_a, strict=True):
                every.append(self._evaluate(t + c * h, y + size * _combine(row, every)))
            powers = torch.stack([theta ** (p + 1) for p in range(len(tableau.dense[0]))], 1)
            weights = powers @ torch.tensor(tableau.dense, dtype=torch.float64).t()
            weights = (weights * h[rows].unsqueeze(1)).to(y)
            chosen = torch.stack(every, 1)[on_device]
            values = y[on_device] + (weights.unsqueeze(2) * chosen).sum(1)
        else:
            end = stages[-1] if tableau.first_same_as_last else self._evaluate(t + h, y_next)
            step = size[on_device]
            values = (
                (1 + 2 * th) * (1 - th) ** 2 * y[on_device]
                + step * th * (1 - th) ** 2 * stages[0][on_device]
                + th**2 * (3 - 2 * th) * y_next[on_device]
                + step * th**2 * (th - 1) * end[on_device]
            )
        return torch.where(th == 1, y_next[on_device], values)

    def _drop(self, finished: Tensor) -> None:
        """Take the finished samples out of the batch."""
        if not bool(finished.any()):
            return
        keep = (~finished).nonzero().squeeze(1)
        self._members, self._t, self._h = self._members[keep], self._t[keep], self._h[keep]
        self._past, self._next = self._past[:, keep], self._next[keep]
        self._was_rejected, self._last_ratio = self._was_rejected[keep], self._last_ratio[keep]
        keep = keep.to(self._y.device)
        self._y, self._first = self._y[keep], self._first[keep]

    def _evaluate(self, t: Tensor, y: Tensor) -> Tensor:
        problem = self._problem
        self._counts.evaluations += 1
        shaped = y.view(len(y), *self._sample_shape)
        time = t.to(y).view(-1, *[1] * len(self._sample_shape))
        derivative = problem.func(time, shaped, *problem.args)
        return in_own_memory(derivative.reshape(y.shape).to(y.dtype))

    def _first_steps(self) -> Tensor:
        """`initial_step` for every sample."""
        solver, order = self._solver, self._problem.error_order
        longest = min(abs(self._problem.times[-1] - self._problem.times[0]), solver.max_step)
        if solver.first_step is not None:
            return torch.full_like(self._t, min(solver.first_step, solver.max_step))
        with torch.no_grad():
            scale = self._y.abs() * self._rtol + self._atol
            d0, d1 = torch.stack([_rms(self._y / scale), _rms(self._first / scale)]).double().cpu()
            h0 = torch.where((d0 < 1e-5) | (d1 < 1e-5), 1e-6, 0.01 * d0 / d1).clamp(max=longest)
            signed = self._direction * h0
            probe = self._y + signed.to(self._y).unsqueeze(1) * self._first
            change = self._evaluate(self._t + signed, probe) - self._first
            d2 = _rms(change / scale).double().cpu() / h0
            steepest = torch.maximum(d1, d2)
            h1 = torch.where(
                steepest > 1e-15,
                (0.01 / steepest) ** (1 / order),
                (h0 * 1e-3).clamp(min=1e-6),
            )
            first = torch.minimum(100 * h0, h1).clamp(max=longest)
            first = torch.where(torch.isfinite(d2), first, h0)
            return torch.where(torch.isfinite(d1), first, math.nan)

    def _check_steps(self) -> Status | None:
        end = self._problem.times[-1]
        resolution = 4 * sys.float_info.epsilon * self._t.abs()
        least = resolution.clamp(min=self._solver.min_step)
        if bool(torch.isnan(self._h).any()):
            return Status.NON_FINITE
        small = (self._h <= least) & ((end - self._t).abs() > self._h)
        if not bool(small.any()):
            return None
        finite = bool(torch.isfinite(self._last_ratio[small]).all())
        return Status.STEP_UNDERFLOW if finite else Status.NON_FINITE

    def _give_up(self, result: Trajectory, status: Status) -> tuple[Tensor, Trajectory]:
        result.status = status
        slowest = int((self._direction * self._t).argmin())
        result.cause = cause_of(result, self._y, self._rtol, self._atol)
        result.t, result.h = float(self._t[slowest]), float(self._h[slowest])
        return self._problem.y0.unsqueeze(0), result


def _combine(weights: tuple[float, ...], stages: list[Tensor]) -> Tensor:
    total: Tensor | None = None
    for weight, stage in zip(weights, stages, strict=True):
        if weight != 0.0:
            total = stage * weight if total is None else torch.add(total, stage, alpha=weight)
    return torch.zeros_like(stages[0]) if total is None else total


def _rms(x: Tensor) -> Tensor:
    """Root mean square of every row, shape `(batch,)`."""
    dtype = torch.float32 if x.dtype in (torch.bfloat16, torch.float16) else None
    return torch.linalg.vector_norm(x, dim=1, dtype=dtype) / x.shape[1] ** 0.5
