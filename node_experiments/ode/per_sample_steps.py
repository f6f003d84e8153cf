"""Individual step sizes for all samples: each gets the solution that it would get alone.

All samples that have not reached the end are evaluated together, each at its own time; finished
ones leave the batch. The vector field receives the times of the samples as a tensor
`(batch, 1, ..., 1)` that broadcasts against the state, and it must treat the samples one by one:
any data of a sample has to be part of its state.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .integrate import cause_of
from .norms import rms_norm, scaled
from .problem import Problem
from .sample_step_size_control import SampleControl
from .sample_steps import AcceptedSteps, OutputsInside, SampleSteps, per_sample
from .solution import Status, Trajectory
from .step_size_control import first_steps

__all__ = ["check_independent", "solve_samples"]

OnSteps = Callable[[AcceptedSteps, Tensor, Tensor], None]

# Fraction of the largest derivative: rounding in other batch sizes differs far less.
MAX_BATCH_DIFFERENCE = 1e-2


def check_independent(problem: Problem, differentiated: bool) -> None:
    """Reject options that per-sample steps do not support.

    Raises:
        ValueError: Fixed steps, or times that require a gradient.
    """
    if differentiated and problem.t.requires_grad:
        raise ValueError(
            "solver.batching='independent' computes no gradient with respect to t, which requires "
            "one; detach t, or use batching='joint'"
        )
    if problem.solver.fixed_steps or problem.solver.step_t or problem.solver.jump_t:
        raise ValueError(
            "solver.batching='independent' is for adaptive steps without step_t and jump_t; leave "
            "out step_size, num_steps, step_t and jump_t, or use batching='joint'"
        )


def solve_samples(problem: Problem, on_steps: OnSteps | None = None) -> tuple[Tensor, Trajectory]:
    """Solve every sample along the first axis of the state with its own steps.

    Args:
        on_steps: Called with the steps that were accepted together, and with the states and first
            derivatives of all active samples before these steps.

    Returns:
        States at all output times, shape `(time, *state)`, and the trajectory; if a sample fails,
        only the initial state.
    """
    return _Batch(problem, on_steps).solve()


class _Batch:
    """The active samples of a solve: states on the device, times and steps on the host."""

    def __init__(self, problem: Problem, on_steps: OnSteps | None):
        self._problem, self._solver = problem, problem.solver
        self._counts, self._on_steps = problem.stats.forward, on_steps
        y0 = problem.y0
        self._stepper = SampleSteps(problem, self._counts, problem.args, adaptive=True)
        self._y, batch = y0, len(y0)
        rtol, atol = (problem.per_component(x) for x in (problem.solver.rtol, problem.solver.atol))
        self._rtol, self._atol = (
            x.view(y0.shape[1:]) if isinstance(x, Tensor) else x for x in (rtol, atol)
        )
        self._times = torch.tensor(problem.times, dtype=torch.float64, device="cpu")
        self._direction = math.copysign(1.0, problem.times[-1] - problem.times[0])
        self._members = torch.arange(batch, device="cpu")
        self._next = torch.ones(batch, dtype=torch.long, device="cpu")
        self._outputs: list[tuple[Tensor, Tensor, Tensor]] = []
        start = torch.full_like(self._members, problem.times[0], dtype=torch.float64)
        self._first = self._stepper.derivative(start, y0)
        if batch > 1:
            self._check_samples(start)
        self._control = SampleControl(
            problem.times[0],
            problem.times[-1],
            self._first_steps(start),
            problem.error_order,
            problem.solver,
        )

    def _check_samples(self, start: Tensor) -> None:
        """Check that derivatives of a subset, in another order, equal those in the whole batch.

        Raises:
            ValueError: They differ, or the subset cannot be evaluated.
        """
        problem, y0, args = self._problem, self._problem.y0, self._problem.args
        wanted = (
            "solver.batching='independent' needs a vector field that treats the samples one by "
            "one, because finished ones leave the batch: any data of a sample has to be part of "
            "its state, and nothing may be a mean over samples; change that, or use "
            "batching='joint'"
        )
        # Each at a different time: a term that the samples share may be zero at the start.
        times = start + torch.linspace(0.7, 0, len(y0), device="cpu") * (
            problem.times[-1] - problem.times[0]
        )
        self._counts.evaluations += 1
        with torch.no_grad():
            of_all = problem.func(per_sample(times, y0), y0, *args)
        last = len(y0) - 1
        # In one of the two checks, a mean over the subset may equal that over all by chance.
        for some, t, among in (
            (torch.arange(last, last // 2, -1, device="cpu"), start, self._first.detach()),
            (torch.arange(1, device="cpu"), times, of_all),
        ):
            rows, what = some.to(y0.device), f"of {len(some)} of {len(y0)} samples"
            self._counts.evaluations += 1
            try:
                with torch.no_grad():
                    found = problem.func(per_sample(t[some], y0), y0[rows], *args)
                    found = problem.func.conform(found, y0[rows])
            except (RuntimeError, ValueError, IndexError) as error:
                raise ValueError(f"{wanted}; {what} it raised: {error}") from error
            if problem.func.draws:
                return  # it draws other numbers for another number of samples
            apart = float((found - among[rows]).abs().max())
            if apart > MAX_BATCH_DIFFERENCE * float(among.abs().max()):
                raise ValueError(f"{wanted}; {what} it differs by {apart:.3g}")

    def solve(self) -> tuple[Tensor, Trajectory]:
        """States at all output times, and the trajectory."""
        problem, solver = self._problem, self._solver
        end = problem.times[-1]
        result = Trajectory(t=end)
        for _ in range(solver.max_steps):
            if not len(self._members):
                break
            failed = self._check_steps()
            if failed is not None:
                return self._fail(result, *failed)
            self._step(end)
        if len(self._members):
            every = torch.ones_like(self._members, dtype=torch.bool)
            return self._fail(result, Status.MAX_STEPS, every)
        ys = problem.y0.new_empty(len(problem.times), *problem.y0.shape)
        time_indices = [torch.zeros(len(problem.y0), dtype=torch.long, device="cpu")]
        samples = [torch.arange(len(problem.y0), device="cpu")]
        values = [problem.y0]
        for time_index, sample, value in self._outputs:
            time_indices.append(time_index)
            samples.append(sample)
            values.append(value)
        index = torch.cat(time_indices).to(ys.device), torch.cat(samples).to(ys.device)
        return ys.index_put(index, torch.cat(values)), result

    def _step(self, end: float) -> None:
        control = self._control
        start, t_next = control.t, control.t_next
        h = t_next - start
        y_next = self._attempt(self._y, self._first, start, h)
        with torch.no_grad():
            error = self._stepper.error
            ratio = self._norm(scaled(error, self._y, y_next, self._rtol, self._atol))
        accepted = control.judge(h, ratio)
        steps = int(accepted.sum())
        self._counts.rejected += len(accepted) - steps
        if not steps:
            return
        active_index = accepted.nonzero().squeeze(1)
        start, t_next, h = start[active_index], t_next[active_index], h[active_index]
        if steps < len(accepted):
            # A rejected trial may have overflowed; even masked out of a graph, it would make the
            # gradient NaN (0 times infinity). So the graph contains only the accepted ones.
            on_device, stepper = active_index.to(self._y.device), self._stepper
            y, first = self._y[on_device], self._first[on_device]
            if torch.is_grad_enabled():
                y_next = self._attempt(y, first, start, h)
            else:
                y_next = y_next[on_device]
                stepper.restrict(on_device, y, y_next)
        else:
            y = self._y
        before, members = (self._y, self._first), self._members
        outputs = self._advance(active_index, start, t_next, h, y, y_next)
        keep = self._drop(control.t == end)
        if self._on_steps is not None:
            samples = members[active_index]
            made = AcceptedSteps(samples, active_index, start, h, outputs, keep)
            self._on_steps(made, *before)

    def _attempt(self, y: Tensor, first: Tensor, t: Tensor, h: Tensor) -> Tensor:
        """States after steps of the sizes `h` from (t, y), shaped like `y`."""
        self._stepper.reset()
        self._stepper.starts_with(y, first)
        return self._stepper.step(t, h, y)

    def _advance(
        self,
        active_index: Tensor,
        t: Tensor,
        t_next: Tensor,
        h: Tensor,
        y: Tensor,
        y_next: Tensor,
    ) -> OutputsInside | None:
        """Move the active samples whose steps were accepted to the ends of their steps."""
        outputs = self._outputs_in(active_index, t, t_next, h)
        if outputs is not None:
            values = self._stepper.outputs(outputs, t, h, y, y_next)
            samples = self._members[active_index[outputs.step_index]]
            self._outputs.append((outputs.time_index, samples, values))
        following = self._stepper.derivative_at_end(t, h, y_next)
        on_device = (active_index.to(self._y.device),)
        self._first = self._first.index_put(on_device, following)
        self._y = self._y.index_put(on_device, y_next)
        sizes = h.abs()
        self._counts.accept_steps(len(h), float(sizes.min()), float(sizes.max()))
        return outputs

    def _outputs_in(
        self, active_index: Tensor, t: Tensor, t_next: Tensor, h: Tensor
    ) -> OutputsInside | None:
        """Outputs inside the accepted steps of some active samples, and at their ends."""
        reached = self._direction * (self._times.unsqueeze(0) - t_next.unsqueeze(1)) <= 0
        following, upto = self._next[active_index], reached.sum(1)
        number = upto - following
        if not bool(number.any()):
            return None
        step_index = torch.repeat_interleave(torch.arange(len(number), device="cpu"), number)
        offset = torch.cat([torch.arange(n, device="cpu") for n in number.tolist()])
        time_index = following[step_index] + offset
        self._next = self._next.index_put((active_index,), upto)
        theta = (self._times[time_index] - t[step_index]) / h[step_index]
        return OutputsInside(time_index, step_index, theta)

    def _drop(self, finished: Tensor) -> Tensor | None:
        """Remove the finished samples; return the indices of the others, None for all."""
        if not bool(finished.any()):
            return None
        keep = (~finished).nonzero().squeeze(1)
        self._members, self._next = self._members[keep], self._next[keep]
        self._control.keep(keep)
        on_device = keep.to(self._y.device)
        self._y, self._first = self._y[on_device], self._first[on_device]
        return keep

    def _norm(self, x: Tensor) -> Tensor:
        """Root mean square of every sample on the host, shape `(batch,)`."""
        return rms_norm(x.reshape(len(x), -1), dim=1).double().cpu()

    def _first_steps(self, start: Tensor) -> Tensor:
        """First step of every sample, as given or by Hairer's rule."""
        problem, solver, y0 = self._problem, self._solver, self._y
        if solver.first_step is not None:
            return torch.full_like(start, solver.first_step)

        def sizes(*vectors: Tensor) -> list[list[float]]:
            return torch.stack([self._norm(vector) for vector in vectors]).tolist()

        def derivative_after(signed: Sequence[float]) -> Tensor:
            h = torch.tensor(signed, dtype=torch.float64, device="cpu")
            return self._stepper.evaluate(start + h, y0 + per_sample(h, y0) * self._first)

        with torch.no_grad():
            scale = y0.abs() * self._rtol + self._atol
            order, longest = problem.error_order, solver.max_step
            steps = first_steps(
                sizes, derivative_after, problem.times, y0, self._first, scale, order, longest
            )
        return torch.tensor(steps, dtype=torch.float64, device="cpu")

    def _check_steps(self) -> tuple[Status, Tensor] | None:
        """Status of samples that cannot take a further step, and their mask; None if all can."""
        h, t = self._control.h, self._control.t
        resolution = 4 * sys.float_info.epsilon * t.abs()
        least = resolution.clamp(min=self._solver.min_step)
        if bool((undefined := torch.isnan(h)).any()):
            return Status.NON_FINITE, undefined
        small = (h <= least) & ~self._control.at_stop
        if not bool(small.any()):
            return None
        finite = bool(torch.isfinite(self._control.ratio[small]).all())
        return Status.STEP_UNDERFLOW if finite else Status.NON_FINITE, small

    def _fail(
        self, result: Trajectory, status: Status, failed: Tensor
    ) -> tuple[Tensor, Trajectory]:
        """End the solve at the time of the failed sample that is furthest behind."""
        result.status = status
        progress = (self._direction * self._control.t).masked_fill(~failed, math.inf)
        slowest = int(progress.argmin())
        if status is Status.NON_FINITE:
            result.cause = cause_of(self._y, self._rtol, self._atol)
        result.t, result.h = float(self._control.t[slowest]), float(self._control.h[slowest])
        return self._problem.y0.unsqueeze(0), result
