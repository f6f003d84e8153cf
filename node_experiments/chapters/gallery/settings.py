"""Settings of the gallery's datasets and models, each with its source."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

from ...config.checks import alternatives, at_least, check_augment, not_negative, positive, require

__all__ = [
    "BouncesConfig",
    "BouncingBallConfig",
    "FluidControlConfig",
    "HareLynxConfig",
    "ImageFlowConfig",
    "LearnedPhysicsConfig",
    "PendulumConfig",
    "PopulationsConfig",
    "ReactionRatesConfig",
    "RobertsonConfig",
    "SmokeConfig",
    "SphereODEConfig",
    "SpheresConfig",
    "SwingUpConfig",
]

SHAPES = ("heart", "star", "square", "disk")


@dataclass
class SmokeConfig:
    """Smoke in a periodic box of side 1 with an incompressible fluid, and where it should go.

    The smoke is lighter than the fluid: without control it rises as a plume.
    """

    GROUP: ClassVar[str] = "dataset"

    name: str = "smoke"  # smoke
    size: int = 64  # choice: grid points along a side, even
    smoke: str = "disk"  # choice: initial shape of the smoke: disk | heart | star | square
    target: str = "heart"  # choice: shape that it should take by the end: one of the same
    smoke_area: float = 0.09  # choice: fraction of the box that the smoke fills initially
    target_area: float | None = None  # that of the target; the smoke's when null
    span: float = 1.0  # choice: duration of the flow
    viscosity: float = 3e-4  # choice: of the fluid, in box sides squared per unit of time
    diffusivity: float = 3e-4  # choice: of the smoke, in the same unit
    buoyancy: float = 2.0  # choice: upward acceleration where there is smoke
    batches: int = 10  # choice: optimisation steps per epoch

    def __post_init__(self) -> None:
        even = self.size % 2 == 0 and 16 <= self.size <= 1024
        require(even, self, "size", "an even number of points from 16 to 1024: derivatives and "
                "projection are by FFT, which needs 16 to resolve a shape")  # fmt: skip
        for name in ("smoke", "target"):
            require(getattr(self, name) in SHAPES, self, name, alternatives(SHAPES))
        require(0.01 <= self.smoke_area <= 0.25, self, "smoke_area", "from 0.01 to 0.25")
        reachable = self.target_area is None or (
            abs(self.target_area / self.smoke_area - 1) <= 0.01
        )
        allowed = f"null or dataset.smoke_area={self.smoke_area}"
        require(reachable, self, "target_area", f"{allowed}: an incompressible flow keeps the "
                "amount of smoke and cannot change it")  # fmt: skip
        positive(self, "span")
        not_negative(self, "buoyancy", "viscosity", "diffusivity")
        at_least(self, 1, "batches")


@dataclass
class BouncesConfig:
    """Heights of a ball that falls and bounces, in closed form, up to a given bounce."""

    GROUP: ClassVar[str] = "dataset"

    name: str = "bounces"  # bounces
    gravity: float = 9.8  # official_code: acceleration downwards
    radius: float = 0.2  # official_code: of the ball
    restitution: float = 0.8  # official_code: an absorption of 0.2
    height: float = 10.0  # official_code: initial height of the centre, in metres
    bounces: int = 4  # official_code: the samples end at this bounce
    samples: int = 100  # choice: heights at equally spaced times; 300 in the official code
    noise: float = 0.0  # official_code: standard deviation, in metres
    batches: int = 10  # choice: optimisation steps per epoch, each on all samples

    def __post_init__(self) -> None:
        positive(self, "gravity", "radius")
        require(0 < self.restitution < 1, self, "restitution", "between 0 and 1")
        above = f"above dataset.radius={self.radius}, where the ball touches the ground"
        require(self.radius < self.height < math.inf, self, "height", above)
        require(1 <= self.bounces <= 15, self, "bounces", "from 1 to 15")
        at_least(self, 2, "samples")
        not_negative(self, "noise")
        at_least(self, 1, "batches")


@dataclass
class SpheresConfig:
    """A ball (class -1) inside a shell (class 1), which no homeomorphism separates linearly."""

    GROUP: ClassVar[str] = "dataset"

    name: str = "spheres"  # spheres
    dim: int = 2  # paper (Dupont et al. 2019): 1 and 2
    inner: float = 0.5  # paper: radius of the ball
    shell: list[float] = field(default_factory=lambda: [1.0, 1.5])  # paper: radii of the shell
    points: int = 1500  # choice: training points, a third of them inside (paper: 3000)
    test_size: int = 1500  # choice: points to test on
    batch_size: int = 256  # choice; 64 in the official code

    def __post_init__(self) -> None:
        require(1 <= self.dim <= 10, self, "dim", "from 1 to 10")
        radii = len(self.shell) == 2 and 0 < self.inner < self.shell[0] < self.shell[1] < math.inf
        require(radii, self, "shell", f"two radii, increasing from dataset.inner={self.inner}")
        require(
            1 <= self.batch_size <= self.points, self, "batch_size", "from 1 to dataset.points"
        )
        at_least(self, 3, "test_size")


@dataclass
class RobertsonConfig:
    """Noisy concentrations of Robertson's reaction, at geometrically spaced times."""

    GROUP: ClassVar[str] = "dataset"

    name: str = "robertson"  # robertson
    span: float = 1e4  # choice: last time, in seconds; the first after 0 is 1e-4
    samples: int = 40  # choice: number of times
    noise: float = 0.02  # choice: standard deviation, relative to each species' largest value
    batches: int = 5  # choice: optimisation steps per epoch, each on all samples

    def __post_init__(self) -> None:
        require(1e-2 <= self.span <= 1e12, self, "span", "from 0.01 to 1e12")
        at_least(self, 4, "samples")
        not_negative(self, "noise")
        at_least(self, 1, "batches")


@dataclass
class HareLynxConfig:
    """The record of hare and lynx, 1900 to 1920, of which the first years are fitted."""

    GROUP: ClassVar[str] = "dataset"

    name: str = "hare_lynx"  # hare_lynx
    fitted: int = 14  # choice: years that are fitted, of 21
    batches: int = 20  # choice: optimisation steps per epoch, each on all of them

    def __post_init__(self) -> None:
        require(3 <= self.fitted <= 20, self, "fitted", "from 3 to 20")
        at_least(self, 1, "batches")


@dataclass
class PendulumConfig:
    """Records of a damped pendulum under random torques, each over its own time span."""

    GROUP: ClassVar[str] = "dataset"

    name: str = "pendulum"  # pendulum
    gravity: float = 9.81  # choice: g over the length of 1 m
    damping: float = 0.1  # choice: per second
    torque: float = 4.0  # choice: largest torque, per mass and squared length; below gravity
    speed: float = 6.0  # choice: largest initial speed of a record, in rad/s
    spans: list[float] = field(default_factory=lambda: [0.5, 1.5])  # choice: shortest, longest
    samples: int = 9  # choice: states per record
    records: int = 256  # choice: records to train on
    batch_size: int = 64  # choice: records per batch
    batches: int = 20  # choice: batches per epoch

    def __post_init__(self) -> None:
        positive(self, "gravity", "torque", "speed")
        not_negative(self, "damping")
        rising = len(self.spans) == 2 and 0 < self.spans[0] <= self.spans[1] < math.inf
        require(rising, self, "spans", "two increasing numbers > 0")
        at_least(self, 2, "samples")
        fits = 1 <= self.batch_size <= self.records
        require(fits, self, "batch_size", "from 1 to dataset.records")
        at_least(self, 1, "batches")


@dataclass
class FluidControlConfig:
    """An initial velocity, or a force over time, that carries smoke into a shape."""

    GROUP: ClassVar[str] = "model"

    name: str = "fluid_control"  # fluid_control
    control: str = "force"  # choice: force | initial_velocity
    knots: int = 6  # choice: times between which the force is linear, including both ends
    modes: int = 4  # choice: largest wave number of the control along each axis
    compare_gradients: bool = True  # choice: measure every gradient method after the training

    def __post_init__(self) -> None:
        controls = ("force", "initial_velocity")
        require(self.control in controls, self, "control", " or ".join(controls))
        at_least(self, 2, "knots")
        at_least(self, 1, "modes")


@dataclass
class BouncingBallConfig:
    """A ball of unknown gravity, restitution and radius; the settings are initial guesses."""

    GROUP: ClassVar[str] = "model"

    name: str = "bouncing_ball"  # bouncing_ball
    gravity: float = 7.0  # choice: acceleration downwards
    restitution: float = 0.6  # choice: fraction of the speed that a bounce keeps
    radius: float = 0.5  # choice: of the ball

    def __post_init__(self) -> None:
        falls = "a number > 0: a ball that does not fall never bounces"
        require(0 < self.gravity < math.inf, self, "gravity", falls)
        require(0 < self.restitution < 1, self, "restitution", "between 0 and 1")
        positive(self, "radius")


@dataclass
class LearnedPhysicsConfig:
    """The official demonstration: acceleration, event and bounce are each a learned function."""

    GROUP: ClassVar[str] = "model"

    name: str = "learned_physics"  # learned_physics
    scale: float = 10.0  # official_code: initial guess of the largest acceleration

    def __post_init__(self) -> None:
        positive(self, "scale")


@dataclass
class SphereODEConfig:
    """An ODE from points to features, which a linear layer classifies."""

    GROUP: ClassVar[str] = "model"

    name: str = "sphere_ode"  # sphere_ode
    augment: int = 0  # paper: 5 additional dimensions in ANODE, none in the plain neural ODE
    hidden: int = 32  # official_code: units of both hidden layers of the vector field

    def __post_init__(self) -> None:
        check_augment(self)
        at_least(self, 1, "hidden")


@dataclass
class ImageFlowConfig:
    """A small U-Net as the vector field from noise to images, by flow matching."""

    GROUP: ClassVar[str] = "model"

    name: str = "image_flow"  # image_flow
    channels: int = 32  # choice: channels at the finer scale, a multiple of 8

    def __post_init__(self) -> None:
        eights = self.channels >= 8 and self.channels % 8 == 0
        require(eights, self, "channels", "a multiple of 8")


@dataclass
class ReactionRatesConfig:
    """The three rate constants of Robertson's reaction, from wrong initial guesses."""

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
    members: int = 20  # choice: members of each ensemble
    hidden: int = 16  # choice: hidden units of each network

    def __post_init__(self) -> None:
        at_least(self, 2, "members")
        at_least(self, 1, "hidden")


@dataclass
class SwingUpConfig:
    """A network for the pendulum's acceleration, and a plan that swings it up."""

    GROUP: ClassVar[str] = "model"

    name: str = "swing_up"  # swing_up
    hidden: int = 32  # choice: units of both hidden layers
    span: float = 4.0  # choice: duration of the plan, in seconds
    knots: int = 25  # choice: times between which its torque is linear
    try_every: int = 50  # choice: training steps between trials on the true pendulum

    def __post_init__(self) -> None:
        at_least(self, 1, "hidden", "try_every")
        positive(self, "span")
        require(self.knots >= 5, self, "knots", "at least 5, as in the torque of a record")
