"""Settings of the gallery's datasets, each with its source."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

from ...config.checks import require

__all__ = [
    "BouncesConfig",
    "HareLynxConfig",
    "PendulumConfig",
    "RobertsonConfig",
    "SmokeConfig",
    "SpheresConfig",
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
    smoke: str = "disk"  # choice: shape of the smoke at first; disk | heart | star | square
    target: str = "heart"  # choice: shape that it should have at the end, of the same kinds
    smoke_area: float = 0.09  # choice: fraction of the box that the smoke fills at first
    target_area: float | None = None  # that of the target; the smoke's when null
    span: float = 1.0  # choice: time from first to last
    viscosity: float = 3e-4  # choice: of the fluid, in box sides squared per unit of time
    diffusivity: float = 3e-4  # choice: of the smoke, likewise
    buoyancy: float = 2.0  # choice: upward acceleration where there is smoke
    batches: int = 10  # choice: optimisation steps per epoch

    def __post_init__(self) -> None:
        even = self.size % 2 == 0 and 16 <= self.size <= 1024
        require(even, self, "size", "an even number of points from 16 to 1024: derivatives and "
                "projection are by FFT, which needs 16 to resolve a shape")  # fmt: skip
        for name in ("smoke", "target"):
            require(getattr(self, name) in SHAPES, self, name, ", ".join(SHAPES))
        require(0.01 <= self.smoke_area <= 0.25, self, "smoke_area", "from 0.01 to 0.25")
        reachable = self.target_area is None or (
            abs(self.target_area / self.smoke_area - 1) <= 0.01
        )
        allowed = f"null or dataset.smoke_area={self.smoke_area}"
        require(reachable, self, "target_area", f"{allowed}: an incompressible flow keeps the "
                "amount of smoke, and reaches no other")  # fmt: skip
        require(0 < self.span < math.inf, self, "span", "a number > 0")
        require(0 <= self.buoyancy < math.inf, self, "buoyancy", "a number >= 0")
        for name in ("viscosity", "diffusivity"):
            require(0 <= getattr(self, name) < math.inf, self, name, "a number >= 0")
        require(self.batches >= 1, self, "batches", "at least 1")


@dataclass
class BouncesConfig:
    """Heights of a ball that falls and bounces, from its closed form, up to some bounce."""

    GROUP: ClassVar[str] = "dataset"

    name: str = "bounces"  # bounces
    gravity: float = 9.8  # official_code
    radius: float = 0.2  # official_code
    restitution: float = 0.8  # official_code: an absorption of 0.2
    height: float = 10.0  # official_code: of the centre at first, in metres
    bounces: int = 4  # official_code: the samples end at this one
    samples: int = 100  # choice: heights at equal times; 300 in the official code
    noise: float = 0.0  # official_code: standard deviation, in metres
    batches: int = 10  # choice: optimisation steps per epoch, each on all samples

    def __post_init__(self) -> None:
        for name in ("gravity", "radius"):
            require(0 < getattr(self, name) < math.inf, self, name, "a number > 0")
        require(0 < self.restitution < 1, self, "restitution", "between 0 and 1")
        above = f"above dataset.radius={self.radius}, where the ball touches the ground"
        require(self.radius < self.height < math.inf, self, "height", above)
        require(1 <= self.bounces <= 15, self, "bounces", "from 1 to 15")
        require(self.samples >= 2, self, "samples", "at least 2")
        require(0 <= self.noise < math.inf, self, "noise", "a number >= 0")
        require(self.batches >= 1, self, "batches", "at least 1")


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
        require(radii, self, "shell", f"two radii, rising from dataset.inner={self.inner}")
        require(
            1 <= self.batch_size <= self.points, self, "batch_size", "from 1 to dataset.points"
        )
        require(self.test_size >= 3, self, "test_size", "at least 3")


@dataclass
class RobertsonConfig:
    """Noisy concentrations of Robertson's reaction, at times of equal ratio."""

    GROUP: ClassVar[str] = "dataset"

    name: str = "robertson"  # robertson
    span: float = 1e4  # choice: last time, in seconds; the first after 0 is 1e-4
    samples: int = 40  # choice: times
    noise: float = 0.02  # choice: standard deviation, relative to each species' largest value
    batches: int = 5  # choice: optimisation steps per epoch, each on all samples

    def __post_init__(self) -> None:
        require(1e-2 <= self.span < math.inf, self, "span", "at least 0.01")
        require(self.samples >= 4, self, "samples", "at least 4")
        require(0 <= self.noise < math.inf, self, "noise", "a number >= 0")
        require(self.batches >= 1, self, "batches", "at least 1")


@dataclass
class HareLynxConfig:
    """The record of hare and lynx, 1900 to 1920, of which the first years are fitted."""

    GROUP: ClassVar[str] = "dataset"

    name: str = "hare_lynx"  # hare_lynx
    fitted: int = 14  # choice: years that are fitted, of 21
    batches: int = 20  # choice: optimisation steps per epoch, each on all of them

    def __post_init__(self) -> None:
        require(3 <= self.fitted <= 20, self, "fitted", "from 3 to 20")
        require(self.batches >= 1, self, "batches", "at least 1")


@dataclass
class PendulumConfig:
    """Records of a damped pendulum under random torques, each over its own time span."""

    GROUP: ClassVar[str] = "dataset"

    name: str = "pendulum"  # pendulum
    gravity: float = 9.81  # choice: g over the length of 1 m
    damping: float = 0.1  # choice: per second
    torque: float = 4.0  # choice: largest, per mass and squared length; below gravity
    speed: float = 6.0  # choice: largest at the start of a record, in rad/s
    spans: list[float] = field(default_factory=lambda: [0.5, 1.5])  # choice: shortest, longest
    samples: int = 9  # choice: states of a record
    records: int = 256  # choice: of the training
    batch_size: int = 64  # choice
    batches: int = 20  # choice: per epoch

    def __post_init__(self) -> None:
        for name in ("gravity", "torque", "speed"):
            require(0 < getattr(self, name) < math.inf, self, name, "a number > 0")
        require(0 <= self.damping < math.inf, self, "damping", "a number >= 0")
        rising = len(self.spans) == 2 and 0 < self.spans[0] <= self.spans[1] < math.inf
        require(rising, self, "spans", "two rising numbers > 0")
        require(self.samples >= 2, self, "samples", "at least 2")
        fits = 1 <= self.batch_size <= self.records
        require(fits, self, "batch_size", "from 1 to dataset.records")
        require(self.batches >= 1, self, "batches", "at least 1")
