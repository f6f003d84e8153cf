"""Learned dynamics of a pendulum, and a plan, optimised through them, that swings it up.

The network learns from records under random torques. The plan, a torque over time, is optimised
by gradients through a solve of the learned dynamics, in the same training steps. The network's
weights are constants in that solve, so that they are not fitted to the plan. A torque weaker than
gravity cannot lift the pendulum directly: it must swing to and fro.

At regular intervals the plan is tried on the true pendulum, and the network learns from that
record too: it becomes accurate where the plan leads, which matters near the unstable upright
position.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ...nn.mlp import mlp
from ...nn.ode_module import ODEModule
from ...ode import ControlInput, Gradient, Solver
from .pendulum import KNOTS, PendulumBatch, PendulumData, TruePendulum
from .settings import PendulumConfig, SwingUpConfig

__all__ = ["LearnedPendulum", "Plan", "SwingUp", "SwingUpTask", "swing_up", "swing_up_task"]


RATE = 3  # choice: factor by which the plan changes faster than the weights at one learning rate


class LearnedPendulum(nn.Module):
    """`TruePendulum` with an acceleration that is a network of (sin, cos, omega, u)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.net = mlp([4, hidden, hidden, 1], "tanh")

    def forward(self, s: Tensor, y: Tensor, u: ControlInput, span: Tensor) -> Tensor:
        """dy/ds of states `(batch, 2)`, with a span `(batch, 1)`."""
        theta, omega = y[:, :1], y[:, 1:]
        torque = u(s).expand_as(omega)
        seen = torch.cat([theta.sin(), theta.cos(), omega / 4, torque / 4], 1)
        return span * torch.cat([omega, 10 * self.net(seen)], 1)


class FrozenField(nn.Module):
    """Another vector field with its current weights as constants."""

    def __init__(self, field: nn.Module) -> None:
        super().__init__()
        self._field = (field,)  # in a tuple, or its weights would be parameters of this module too

    def forward(self, s: Tensor, y: Tensor, u: ControlInput, span: Tensor) -> Tensor:
        """The derivative by the other field, without gradients of its weights."""
        (field,) = self._field
        weights = {name: value.detach() for name, value in field.named_parameters()}
        found: Tensor = functional_call(field, weights, (s, y, u, span))
        return found


class DrivenModule(ODEModule):
    """An ODE driven by a torque that is linear between knots."""

    reason_not_regularizable = "whose solutions have kinks where the torque has them"


class Plan(DrivenModule):
    """A torque over time, at most `largest` in magnitude, and the trajectory under it."""

    def __init__(
        self, field: nn.Module, settings: SwingUpConfig, largest: float,
        solver: Solver, gradient: Gradient,
    ) -> None:  # fmt: skip
        super().__init__(FrozenField(field), solver, gradient)
        self.raw = nn.Parameter(0.1 * torch.randn(1, settings.knots, 1))
        self.largest, self.span = largest, settings.span

    def torque(self) -> ControlInput:
        """The torque at fractions of the span."""
        knots = torch.linspace(0, 1, self.raw.shape[1], device=self.raw.device)
        return ControlInput(knots, self.largest * torch.tanh(RATE * self.raw))

    def forward(self, times: Tensor) -> Tensor:
        """States at fractions of the span, from hanging at rest, `(time, 1, 2)`."""
        span = self.raw.new_tensor([[self.span]])
        states: Tensor = self.solve(self.raw.new_zeros(1, 2), times, self.torque(), span)
        return states


class SwingUp(nn.Module):
    """Dynamics and plan, each with its own solves, and the records of the last trial.

    Args:
        largest: Largest torque of the plan.
        samples: Number of states of a record.
    """

    def __init__(
        self,
        settings: SwingUpConfig,
        largest: float,
        samples: int,
        solver: Solver,
        gradient: Gradient,
    ) -> None:
        super().__init__()
        self.dynamics = DrivenModule(LearnedPendulum(settings.hidden), solver, gradient)
        field = self.dynamics.vector_field
        self.plan = Plan(field, settings, largest, solver, gradient)
        self.try_every = settings.try_every
        # Records of the last trial; as buffers, they are in checkpoints for runs that resume.
        windows = settings.knots - KNOTS + 1
        self.register_buffer("tried_torque", torch.zeros(windows, KNOTS, 1))
        self.register_buffer("tried_states", torch.zeros(samples, windows, 2))
        self.tried_torque: Tensor
        self.tried_states: Tensor

    def forward(self, batch: Any) -> Tensor:
        """Records by the learned dynamics from a batch's initial states, `(time, batch, 2)`."""
        states: Tensor = self.dynamics.solve(
            batch.states[0], batch.times, batch.torque, batch.span
        )
        return states

    @torch.no_grad()
    def run_trial(self, truth: TruePendulum, fractions: Tensor) -> None:
        """Execute the plan, and keep a record of every window of `KNOTS` consecutive knots.

        Args:
            fractions: Times of a record, from 0 to 1, shape `(time,)`.
        """
        knots, windows = self.plan.raw.shape[1], self.tried_states.shape[1]
        first = torch.arange(windows).to(fractions)
        times = (first + (KNOTS - 1) * fractions.unsqueeze(1)) / (knots - 1)
        grid, index = times.unique(return_inverse=True)
        self.tried_states = execute_plan(self.plan, truth, grid)[:, 0][index]
        self.tried_torque = self.plan.torque().values[0].unfold(0, KNOTS, 1).transpose(1, 2)

    def with_trial(self, batch: PendulumBatch) -> PendulumBatch:
        """The records of a batch, with those of the last trial appended."""
        knots, windows = self.plan.raw.shape[1], self.tried_states.shape[1]
        span = batch.span.new_full((windows, 1), self.plan.span * (KNOTS - 1) / (knots - 1))
        torque = torch.cat([batch.torque.values, self.tried_torque])
        return PendulumBatch(
            batch.times,
            torch.cat([batch.states, self.tried_states], 1),
            ControlInput(batch.torque.times, torque),
            torch.cat([batch.span, span]),
        )


class SwingUpTask:
    """The error of the dynamics on records, plus the cost of the plan."""

    metric = "upright"
    higher_is_better = True

    def __init__(self, data: PendulumData) -> None:
        self.truth = data.truth

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum of fit and cost, which have no parameter in common."""
        if step % model.try_every == 0:
            model.run_trial(self.truth, batch.times)
        batch = model.with_trial(batch)
        fit = record_error(model(batch), batch.states)
        cost = plan_cost(model.plan(plan_times(batch.times)))
        return fit + cost, {"fit": fit.detach(), "cost": cost.detach()}

    def evaluate(self, model: Any, batches: Iterable[Any]) -> dict[str, float]:
        """The error of the dynamics, and how upright the plan leaves the true pendulum.

        - `fit`: mean squared error of the records
        - `upright`: (1 - cos theta) / 2 of the true pendulum, 1 if upright, averaged over the last
          tenth of the plan; `upright_planned`: that of the learned one
        """
        (batch,) = batches
        fit = float(record_error(model(batch), batch.states))
        times = plan_times(batch.times)
        planned, true = model.plan(times), execute_plan(model.plan, self.truth, times)
        return {
            "loss": fit + float(plan_cost(planned)),
            "fit": fit,
            "upright": float(upright(true)),
            "upright_planned": float(upright(planned)),
        }


def plan_times(like: Tensor) -> Tensor:
    """Fractions of a plan's span, with the dtype and device of `like`."""
    return torch.linspace(0, 1, 61).to(like)


def record_error(found: Tensor, true: Tensor) -> Tensor:
    """Mean squared error of states `(time, batch, 2)`; a speed of 4 rad/s counts as 1 rad."""
    scale = found.new_tensor([1.0, 4.0])
    return ((found - true) / scale).square().mean()


def upright(states: Tensor) -> Tensor:
    """(1 - cos theta) / 2, averaged over the last tenth of states `(time, 1, 2)`."""
    last = states[-max(1, len(states) // 10) :, 0, 0]
    return (1 - last.cos()).mean() / 2


def plan_cost(states: Tensor) -> Tensor:
    """Distance from standing still upright at the end, and with little weight before."""
    omega = states[-max(1, len(states) // 10) :, 0, 1]
    on_the_way = (1 + states[:, 0, 0].cos()).mean() / 2
    return 1 - upright(states) + 0.02 * omega.square().mean() + 0.1 * on_the_way


def execute_plan(plan: Any, truth: Any, times: Tensor) -> Tensor:
    """States of the true pendulum under a plan, `(time, 1, 2)`."""
    with torch.no_grad():
        span = plan.raw.new_tensor([[plan.span]])
        states: Tensor = truth.records(plan.raw.new_zeros(1, 2), plan.torque(), span, times)
        return states


def swing_up(
    settings: SwingUpConfig, data: PendulumData, solver: Solver, gradient: Gradient
) -> SwingUp:
    """Build the model for a pendulum; warn if its torque is too weak to reach the top."""
    pendulum: PendulumConfig = data.settings
    work, needed = pendulum.torque * 2 * pendulum.speed * settings.span, 2 * pendulum.gravity
    if work < needed:
        warnings.warn(
            f"a torque of dataset.torque={pendulum.torque} over model.span={settings.span} s does "
            f"at most {work:.3g} of the work of {needed:.3g} that it takes to stand the pendulum "
            "up; raise either",
            stacklevel=2,
        )
    return SwingUp(settings, pendulum.torque, pendulum.samples, solver, gradient)


def swing_up_task(settings: Any, data: PendulumData) -> SwingUpTask:
    """The task of learning the pendulum's dynamics and its plan."""
    return SwingUpTask(data)
