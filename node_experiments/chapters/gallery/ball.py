"""Balls whose flights end at events: one of three unknown numbers, one of learned functions.

Gradients flow through the time of every bounce and the state there (Chen, Amos & Nickel 2021).
Both are those of the official demonstrations `bouncing_ball.py` and `learn_physics.py`.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from ...config.checks import ConfigError
from ...errors import UserError
from ...nn.ode_module import ODEModule
from ...ode import Event, Gradient, Solution, Solver, Status, solve
from ...ode.methods.registry import METHODS
from .bounces import BounceData
from .settings import BouncingBallConfig, LearnedPhysicsConfig

__all__ = ["Ball", "BallError", "FallingBody", "LearnedBody", "bouncing_ball", "learned_physics"]

REMEDY = "Start from other numbers (model.gravity etc.), or lower optimizer.lr"
MAX_BOUNCES = 20  # official_code: after so many a ball flies on, wherever to


class BallError(UserError):
    """A ball that does not bounce; the message is one line for the user."""


class FallingBody(nn.Module):
    """A vector field of (height, speed), the ground, and what a bounce does."""

    def __init__(self, gravity: float, restitution: float, radius: float) -> None:
        super().__init__()
        self.gravity = nn.Parameter(torch.tensor(gravity))
        self.absorption = nn.Parameter(torch.tensor(1 - restitution))
        self.log_radius = nn.Parameter(torch.tensor(math.log(radius)))

    def forward(self, t: Tensor, state: Tensor) -> Tensor:
        """(speed, -gravity) of a state `(2,)`."""
        return torch.stack([state[1], -self.gravity])

    def clearance(self, t: Tensor, state: Tensor) -> Tensor:
        """Height of the ball's lowest point, which a bounce is a zero of."""
        return state[0] - self.log_radius.exp()

    def bounce(self, state: Tensor) -> Tensor:
        """The state after it."""
        return torch.stack([state[0], -(1 - self.absorption) * state[1]])

    def found(self) -> dict[str, Tensor]:
        """The numbers that have a meaning, detached."""
        values = {
            "gravity": self.gravity,
            "restitution": 1 - self.absorption,
            "radius": self.log_radius.exp(),
        }
        return {name: value.detach() for name, value in values.items()}


class LearnedBody(nn.Module):
    """The same by functions of which nothing is known: the official `NeuralPhysics`."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.acceleration = nn.Linear(1, 1)
        self.scale = nn.Parameter(torch.tensor(scale))
        self.root_radius = nn.Parameter(torch.rand(()))
        self.restitution = nn.Linear(1, 1)

    def forward(self, t: Tensor, state: Tensor) -> Tensor:
        """(speed, acceleration) of a state `(2,)`."""
        acceleration = torch.tanh(self.acceleration(torch.zeros_like(state[:1]))) * self.scale
        return torch.cat([state[1:], acceleration])

    def clearance(self, t: Tensor, state: Tensor) -> Tensor:
        """As in `FallingBody`."""
        return state[0] - self.root_radius**2

    def bounce(self, state: Tensor) -> Tensor:
        """As in `FallingBody`."""
        kept = torch.sigmoid(self.restitution(torch.ones_like(state[:1])))
        return torch.cat([state[:1], -kept * state[1:]])

    def found(self) -> dict[str, Tensor]:
        """The numbers that the functions amount to."""
        one = torch.ones_like(self.scale).view(1)
        values = {
            "gravity": -torch.tanh(self.acceleration(0 * one)) * self.scale,
            "restitution": torch.sigmoid(self.restitution(one)),
            "radius": self.root_radius**2,
        }
        return {name: value.detach().reshape(()) for name, value in values.items()}


class Ball(ODEModule):
    """A ball in double precision, from a height at rest.

    Args:
        body: A vector field with `clearance`, `bounce` and `found`, as `FallingBody`.
        height: Of the ball's centre at first.
    """

    not_regularized = "whose solves end at events"

    def __init__(self, body: nn.Module, height: float, solver: Solver, gradient: Gradient) -> None:
        super().__init__(body, solver, gradient)
        self.start = nn.Parameter(torch.tensor([height, 0.0]), requires_grad=False)
        self.start_time = nn.Parameter(torch.tensor(0.0), requires_grad=False)
        self.double()

    def forward(self, times: Tensor) -> Tensor:
        """Heights `(time,)` at times of which the first is that of the start.

        Raises:
            BallError: It starts in the ground, or stays there when it comes down.
        """
        self.check()
        self.solves = []
        body: Any = self.vector_field
        t, state, left = self.start_time + times[0].detach(), self.start, times[1:]
        heights = [state[:1]]
        for bounces in range(MAX_BOUNCES + 1):
            solution = self.flight(torch.cat([t.view(1), left]), state, bounces < MAX_BOUNCES)
            bounced = solution.status is Status.EVENT
            reached = len(solution.ts) - 1 - bounced
            heights.append(solution.ys[1 : 1 + reached, 0])
            left = left[reached:]
            if not bounced:
                break
            t, state = solution.ts[-1], body.bounce(solution.ys[-1])
            at_bounce = int((left <= t).sum())
            heights.append(state[:1].expand(at_bounce))
            left = left[at_bounce:]
            if not len(left):
                break
        return torch.cat(heights)

    def bounce_times(self, count: int) -> Tensor:
        """Times of the first bounces, shape `(count,)`.

        Raises:
            ValueError: No bounce is asked for.
            BallError: The ball never comes down, starts in the ground, or stays there.
        """
        if count < 1:
            raise ValueError(f"count={count} must be at least 1, the bounces to wait for")
        self.check()
        gravity = float(self.found["gravity"])
        if not gravity > 0:
            raise BallError(
                f"the ball never comes down: its gravity is {gravity:.4g} m/s^2 and must be above "
                f"0. {REMEDY}"
            )
        self.solves = []
        body: Any = self.vector_field
        t: Tensor = self.start_time
        state: Tensor = self.start
        found: list[Tensor] = []
        for _ in range(count):
            end = torch.full_like(t, math.inf)
            solution = self.flight(torch.stack((t, end)), state, ends_at_ground=True)
            t, state = solution.ts[-1], body.bounce(solution.ys[-1])
            found.append(t)
        return torch.stack(found)

    @property
    def found(self) -> dict[str, Tensor]:
        """Gravity, restitution and radius of the body as it is now."""
        body: Any = self.vector_field
        values: dict[str, Tensor] = body.found()
        return values

    def check(self) -> None:
        """Compare the body with where it starts.

        Raises:
            BallError: It starts in the ground, or stays there when it comes down.
        """
        height, found = float(self.start[0].detach()), {k: float(v) for k, v in self.found.items()}
        if not found["radius"] < height:
            raise BallError(
                f"the ball starts in the ground: its centre is {height:.4g} m high and must be "
                f"above its radius, which is {found['radius']:.4g} m. {REMEDY}"
            )
        if not found["restitution"] > 0:
            raise BallError(
                f"the ball stays on the ground: its restitution is {found['restitution']:.4g} and "
                f"must be above 0, of a ball that bounces. {REMEDY}"
            )

    def flight(self, times: Tensor, state: Tensor, ends_at_ground: bool) -> Solution:
        """One solve, to the ground or to the last time."""
        body: Any = self.vector_field
        # Just above or below it after a bounce, the ball comes from above at the next one alone.
        ground = [Event(body.clearance, direction=-1)] if ends_at_ground else []
        solution = solve(body, state, times, self.solver, self.gradient, events=ground)
        self.solves.append(solution.stats)
        return solution


def check_solver(solver: Solver) -> None:
    """See that a solve can end at a bounce.

    Raises:
        ConfigError: It cannot.
    """
    if METHODS[solver.method].family == "scipy":
        raise ConfigError(
            f"solver.method={solver.method!r} cannot end a solve at an event, as every bounce is; "
            "take a method of torch, as solver=dopri5"
        )
    if solver.batching == "independent":
        raise ConfigError(
            "solver.batching='independent' cannot end a solve at an event, as every bounce is; "
            "take solver.batching=joint"
        )


def bouncing_ball(
    settings: BouncingBallConfig, data: BounceData, solver: Solver, gradient: Gradient
) -> Ball:
    """A ball of three unknown numbers.

    Raises:
        ConfigError: The first guess of its radius is above where it starts, or its solver knows no
            events.
    """
    check_solver(solver)
    height = data.truth.height
    if settings.radius >= height:
        raise ConfigError(
            f"model.radius={settings.radius} must be below dataset.height={height}, from which "
            "the ball falls"
        )
    fall = math.sqrt(2 * (height - settings.radius) / settings.gravity)
    end = float(data.test[0].times[-1])
    if fall > end:
        warnings.warn(
            f"with model.gravity={settings.gravity:g} the ball comes down after {fall:.3g} s, and "
            f"the samples end at {end:.3g} s: until it is found to be larger, no bounce is seen; "
            f"start from at least {2 * (height - settings.radius) / end**2:.2g}",
            stacklevel=2,
        )
    body = FallingBody(settings.gravity, settings.restitution, settings.radius)
    return Ball(body, data.truth.height, solver, gradient)


def learned_physics(
    settings: LearnedPhysicsConfig, data: BounceData, solver: Solver, gradient: Gradient
) -> Ball:
    """A ball of learned functions.

    Raises:
        ConfigError: Its solver knows no events.
    """
    check_solver(solver)
    return Ball(LearnedBody(settings.scale), data.truth.height, solver, gradient)
