"""Balls whose flights end at events: one with three unknown numbers, one of learned functions.

Gradients flow through the time of every bounce and the state there (Chen, Amos & Nickel 2021).
Both balls are those of the official demonstrations `bouncing_ball.py` and `learn_physics.py`.
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
from .bounces import BounceData
from .settings import BouncingBallConfig, LearnedPhysicsConfig

__all__ = ["Ball", "BallError", "FallingBody", "LearnedBody", "bouncing_ball", "learned_physics"]

REMEDY = "Start from other numbers (model.gravity etc.), or lower optimizer.lr"
MAX_BOUNCES = 20  # official_code: after this many, the ball flies on without an event


class BallError(UserError):
    """A ball that does not bounce; the message is one line for the user."""


class FallingBody(nn.Module):
    """The vector field of (height, speed), the event of hitting the ground, and the bounce."""

    def __init__(self, gravity: float, restitution: float, radius: float) -> None:
        super().__init__()
        self.gravity = nn.Parameter(torch.tensor(gravity))
        self.absorption = nn.Parameter(torch.tensor(1 - restitution))
        self.log_radius = nn.Parameter(torch.tensor(math.log(radius)))

    def forward(self, t: Tensor, state: Tensor) -> Tensor:
        """(speed, -gravity) of a state `(2,)`."""
        return torch.stack([state[1], -self.gravity])

    def clearance(self, t: Tensor, state: Tensor) -> Tensor:
        """Height of the ball's lowest point, the event function: it is 0 at a bounce."""
        return state[0] - self.log_radius.exp()

    def bounce(self, state: Tensor) -> Tensor:
        """The state after a bounce."""
        return torch.stack([state[0], -(1 - self.absorption) * state[1]])

    def estimates(self) -> dict[str, Tensor]:
        """Gravity, restitution and radius, detached."""
        values = {
            "gravity": self.gravity,
            "restitution": 1 - self.absorption,
            "radius": self.log_radius.exp(),
        }
        return {name: value.detach() for name, value in values.items()}


class LearnedBody(nn.Module):
    """The same as learned functions without prior knowledge: the official `NeuralPhysics`."""

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

    def estimates(self) -> dict[str, Tensor]:
        """Gravity, restitution and radius that the learned functions imply, detached."""
        one = torch.ones_like(self.scale).view(1)
        values = {
            "gravity": -torch.tanh(self.acceleration(0 * one)) * self.scale,
            "restitution": torch.sigmoid(self.restitution(one)),
            "radius": self.root_radius**2,
        }
        return {name: value.detach().reshape(()) for name, value in values.items()}


class Ball(ODEModule):
    """A ball in double precision, released at rest from a height.

    Args:
        body: A vector field with `clearance`, `bounce` and `estimates`, such as `FallingBody`.
        height: Initial height of the ball's centre.
    """

    reason_not_regularizable = "whose solves end at events"

    def __init__(self, body: nn.Module, height: float, solver: Solver, gradient: Gradient) -> None:
        super().__init__(body, solver, gradient)
        self.start = nn.Parameter(torch.tensor([height, 0.0]), requires_grad=False)
        self.start_time = nn.Parameter(torch.tensor(0.0), requires_grad=False)
        self.double()

    def forward(self, times: Tensor) -> Tensor:
        """Heights `(time,)` at times, the first of which is the start.

        Raises:
            BallError: The ball starts in the ground, or stays there when it comes down.
        """
        self.check()
        self.solves = []
        body: Any = self.vector_field
        t, state, remaining = self.start_time + times[0].detach(), self.start, times[1:]
        heights = [state[:1]]
        for bounces in range(MAX_BOUNCES + 1):
            solution = self.solve_flight(
                torch.cat([t.view(1), remaining]), state, bounces < MAX_BOUNCES
            )
            bounced = solution.status is Status.EVENT
            reached = len(solution.ts) - 1 - bounced
            heights.append(solution.ys[1 : 1 + reached, 0])
            remaining = remaining[reached:]
            if not bounced:
                break
            t, state = solution.ts[-1], body.bounce(solution.ys[-1])
            at_bounce = int((remaining <= t).sum())
            heights.append(state[:1].expand(at_bounce))
            remaining = remaining[at_bounce:]
            if not len(remaining):
                break
        return torch.cat(heights)

    def bounce_times(self, count: int) -> Tensor:
        """Times of the first bounces, shape `(count,)`.

        Raises:
            ValueError: `count` is below 1.
            BallError: The ball never comes down, starts in the ground, or stays there.
        """
        if count < 1:
            raise ValueError(f"count={count} must be at least 1, the number of bounces")
        self.check()
        gravity = float(self.estimates["gravity"])
        if not gravity > 0:
            raise BallError(
                f"the ball never comes down: its gravity is {gravity:.4g} m/s^2 and must be above "
                f"0. {REMEDY}"
            )
        self.solves = []
        body: Any = self.vector_field
        t: Tensor = self.start_time
        state: Tensor = self.start
        bounces: list[Tensor] = []
        for _ in range(count):
            end = torch.full_like(t, math.inf)
            solution = self.solve_flight(torch.stack((t, end)), state, ends_at_ground=True)
            t, state = solution.ts[-1], body.bounce(solution.ys[-1])
            bounces.append(t)
        return torch.stack(bounces)

    @property
    def estimates(self) -> dict[str, Tensor]:
        """Current gravity, restitution and radius of the body."""
        body: Any = self.vector_field
        values: dict[str, Tensor] = body.estimates()
        return values

    def check(self) -> None:
        """Check that the ball starts above the ground and can bounce.

        Raises:
            BallError: It starts in the ground, or stays there when it comes down.
        """
        height = float(self.start[0].detach())
        estimates = {name: float(value) for name, value in self.estimates.items()}
        if not estimates["radius"] < height:
            raise BallError(
                f"the ball starts in the ground: its centre is {height:.4g} m high and must be "
                f"above its radius, which is {estimates['radius']:.4g} m. {REMEDY}"
            )
        if not estimates["restitution"] > 0:
            raise BallError(
                "the ball stays on the ground: its restitution is "
                f"{estimates['restitution']:.4g} and must be above 0 for a ball that bounces. "
                f"{REMEDY}"
            )

    def solve_flight(self, times: Tensor, state: Tensor, ends_at_ground: bool) -> Solution:
        """Solve once, to the ground or to the last time."""
        body: Any = self.vector_field
        # After a bounce the ball may be just above or below the ground; only the next bounce is a
        # crossing from above.
        ground = [Event(body.clearance, direction=-1)] if ends_at_ground else []
        solution = solve(body, state, times, self.solver, self.gradient, events=ground)
        self.solves.append(solution.stats)
        return solution


def check_solver(solver: Solver) -> None:
    """Check that a solver can end a solve at a bounce.

    Raises:
        ConfigError: It cannot.
    """
    if solver.properties.family == "scipy":
        raise ConfigError(
            f"solver.method={solver.method!r} cannot end a solve at an event, which every bounce "
            "is; use a method of torch, such as solver=dopri5"
        )
    if solver.batching == "independent":
        raise ConfigError(
            "solver.batching='independent' cannot end a solve at an event, which every bounce is; "
            "use solver.batching=joint"
        )


def bouncing_ball(
    settings: BouncingBallConfig, data: BounceData, solver: Solver, gradient: Gradient
) -> Ball:
    """Build a ball with three unknown numbers.

    Raises:
        ConfigError: The initial guess of its radius is not below its initial height, or its solver
            does not support events.
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
            f"the samples end at {end:.3g} s: until training makes it larger, no bounce is seen; "
            f"start from at least {2 * (height - settings.radius) / end**2:.2g}",
            stacklevel=2,
        )
    body = FallingBody(settings.gravity, settings.restitution, settings.radius)
    return Ball(body, data.truth.height, solver, gradient)


def learned_physics(
    settings: LearnedPhysicsConfig, data: BounceData, solver: Solver, gradient: Gradient
) -> Ball:
    """Build a ball of learned functions.

    Raises:
        ConfigError: Its solver does not support events.
    """
    check_solver(solver)
    return Ball(LearnedBody(settings.scale), data.truth.height, solver, gradient)
