"""Settings of the gallery's models, each with its source."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

from ...config.checks import require

__all__ = [
    "BouncingBallConfig",
    "FluidControlConfig",
    "ImageFlowConfig",
    "ImageODEConfig",
    "LearnedPhysicsConfig",
    "PopulationsConfig",
    "ReactionRatesConfig",
    "SphereODEConfig",
    "SwingUpConfig",
]


@dataclass
class FluidControlConfig:
    """A velocity at the start, or a force over time, that carries smoke into a shape."""

    GROUP: ClassVar[str] = "model"

    name: str = "fluid_control"  # fluid_control
    control: str = "force"  # choice: force | initial_velocity
    knots: int = 6  # choice: times between which the force is linear, both ends among them
    modes: int = 4  # choice: largest wave number of the control along each axis
    compare_gradients: bool = True  # choice: measure every gradient method after the training

    def __post_init__(self) -> None:
        controls = ("force", "initial_velocity")
        require(self.control in controls, self, "control", " or ".join(controls))
        require(self.knots >= 2, self, "knots", "at least 2")
        require(self.modes >= 1, self, "modes", "at least 1")


@dataclass
class BouncingBallConfig:
    """A ball of unknown gravity, restitution and radius; the settings are the first guesses."""

    GROUP: ClassVar[str] = "model"

    name: str = "bouncing_ball"  # bouncing_ball
    gravity: float = 7.0  # choice
    restitution: float = 0.6  # choice
    radius: float = 0.5  # choice

    def __post_init__(self) -> None:
        falls = "a number > 0: a ball that does not fall never bounces"
        require(0 < self.gravity < math.inf, self, "gravity", falls)
        require(0 < self.restitution < 1, self, "restitution", "between 0 and 1")
        require(0 < self.radius < math.inf, self, "radius", "a number > 0")


@dataclass
class LearnedPhysicsConfig:
    """The official demonstration: acceleration, event and bounce are each a learned function."""

    GROUP: ClassVar[str] = "model"

    name: str = "learned_physics"  # learned_physics
    scale: float = 10.0  # official_code: first guess of the largest acceleration

    def __post_init__(self) -> None:
        require(0 < self.scale < math.inf, self, "scale", "a number > 0")


@dataclass
class SphereODEConfig:
    """An ODE from points to features, of which a linear layer is the classifier."""

    GROUP: ClassVar[str] = "model"

    name: str = "sphere_ode"  # sphere_ode
    augment: int = 0  # paper: 5 further dimensions in ANODE, none in the plain neural ODE
    hidden: int = 32  # official_code: units of both hidden layers of the vector field

    def __post_init__(self) -> None:
        require(0 <= self.augment <= 1000, self, "augment", "from 0 to 1000")
        require(self.hidden >= 1, self, "hidden", "at least 1")


@dataclass
class ImageFlowConfig:
    """A small U-Net as the vector field from noise to images, by flow matching."""

    GROUP: ClassVar[str] = "model"

    name: str = "image_flow"  # image_flow
    channels: int = 32  # choice: at the finer scale, a multiple of 8

    def __post_init__(self) -> None:
        eights = self.channels >= 8 and self.channels % 8 == 0
        require(eights, self, "channels", "a multiple of 8")


@dataclass
class ImageODEConfig:
    """An ODE on the pixels of images and a linear layer, plain or augmented."""

    GROUP: ClassVar[str] = "model"

    name: str = "image_ode"  # image_ode
    augment: int = 0  # paper: 5 channels of zeros beside the image in ANODE, none in the plain one
    parameters: int = 85_400  # official_code: of either; 92 filters when plain, 64 when augmented
    pool: int = 1  # choice: pixels along a side that are averaged into one before the ODE

    def __post_init__(self) -> None:
        require(0 <= self.augment <= 1000, self, "augment", "from 0 to 1000")
        require(1 <= self.pool <= 14, self, "pool", "from 1 to 14")
        require(1 <= self.parameters <= 10_000_000, self, "parameters", "from 1 to 10,000,000")


@dataclass
class ReactionRatesConfig:
    """The three rate constants of Robertson's reaction, from wrong first guesses."""

    GROUP: ClassVar[str] = "model"

    name: str = "reaction_rates"  # reaction_rates
    wrong_by: list[float] = field(default_factory=lambda: [0.4, 2.5, 0.5])  # choice: factors

    def __post_init__(self) -> None:
        three = len(self.wrong_by) == 3 and all(0 < f < math.inf for f in self.wrong_by)
        require(three, self, "wrong_by", "three numbers > 0")


@dataclass
class PopulationsConfig:
    """Ensembles of a mechanism, of networks and of their sum."""

    GROUP: ClassVar[str] = "model"

    name: str = "populations"  # populations
    members: int = 20  # choice: of each ensemble
    hidden: int = 16  # choice: hidden units of each network

    def __post_init__(self) -> None:
        require(self.members >= 2, self, "members", "at least 2")
        require(self.hidden >= 1, self, "hidden", "at least 1")


@dataclass
class SwingUpConfig:
    """A network of the pendulum's acceleration, and a plan that swings it up."""

    GROUP: ClassVar[str] = "model"

    name: str = "swing_up"  # swing_up
    hidden: int = 32  # choice: units of both hidden layers
    span: float = 4.0  # choice: of the plan, in seconds
    knots: int = 25  # choice: times between which its torque is linear

    def __post_init__(self) -> None:
        require(self.hidden >= 1, self, "hidden", "at least 1")
        require(0 < self.span < math.inf, self, "span", "a number > 0")
        require(self.knots >= 2, self, "knots", "at least 2")
