"""Settings of normalizing flows, and of the densities and points that they are fitted to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ...config.checks import require

__all__ = [
    "EnergiesConfig",
    "FFJORDConfig",
    "HamiltonianCNFConfig",
    "PlanarCNFConfig",
    "PlanarNFConfig",
    "PointsConfig",
]


@dataclass
class EnergiesConfig:
    """An unnormalised density exp(-U) in the plane."""

    GROUP: ClassVar[str] = "dataset"

    name: str = "energies"  # energies
    energy: str = "u1"  # u1 | u2 | u3 | u4, of Rezende & Mohamed 2015
    batch_size: int = 512  # samples of the flow in a training step
    batches: int = 100  # training steps that make one epoch
    test_size: int = 10_000  # samples of the flow in an evaluation

    def __post_init__(self) -> None:
        known = ("u1", "u2", "u3", "u4")
        require(self.energy in known, self, "energy", "u1, u2, u3 or u4")
        for name in ("batch_size", "batches"):
            require(getattr(self, name) >= 1, self, name, "at least 1")
        require(self.test_size >= 2, self, "test_size", "at least 2")


@dataclass
class PointsConfig:
    """Points in the plane, drawn afresh for every batch."""

    GROUP: ClassVar[str] = "dataset"

    # two_circles | two_moons | 8gaussians | pinwheel | swissroll | checkerboard | 2spirals | rings
    name: str = "two_circles"  # of the set, as listed above
    noise: float = 0.08  # standard deviation of the noise, before scale
    scale: float = 3.0  # factor on all coordinates
    batch_size: int = 512  # points a batch
    batches: int = 100  # batches that make one epoch
    test_size: int = 10_000  # points to test on

    def __post_init__(self) -> None:
        require(0 <= self.noise < math.inf, self, "noise", "a number >= 0")
        require(0 < self.scale < math.inf, self, "scale", "a number > 0")
        for name in ("batch_size", "batches"):
            require(getattr(self, name) >= 1, self, name, "at least 1")
        require(self.test_size >= 2, self, "test_size", "at least 2")


@dataclass
class PlanarNFConfig:
    """Planar layers, one after the other."""

    GROUP: ClassVar[str] = "model"

    name: str = "planar_nf"  # planar_nf
    units: int = 64  # K: layers of one unit
    base_std: float = 1.0  # standard deviation of the noise

    def __post_init__(self) -> None:
        require(self.units >= 1, self, "units", "at least 1")
        require(0 < self.base_std < math.inf, self, "base_std", "a number > 0")


@dataclass
class ContinuousFlowConfig:
    """What all continuous flows share."""

    GROUP: ClassVar[str] = "model"

    horizon: float = 1.0  # time from noise to data
    base_std: float = 1.0  # standard deviation of the noise

    def __post_init__(self) -> None:
        for name in ("horizon", "base_std"):
            require(0 < getattr(self, name) < math.inf, self, name, "a number > 0")


@dataclass
class PlanarCNFConfig(ContinuousFlowConfig):
    """Planar units side by side, whose parameters are functions of time."""

    name: str = "planar_cnf"  # planar_cnf
    units: int = 64  # M: units of the vector field
    hyper_hidden: int = 32  # units of each of the two hidden layers of the hypernetwork
    variant: str = "paper"  # paper: sum, a gate a unit | official_code: mean, one a coordinate

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("units", "hyper_hidden"):
            require(getattr(self, name) >= 1, self, name, "at least 1")
        variants = ("paper", "official_code")
        require(self.variant in variants, self, "variant", " or ".join(variants))


@dataclass
class HamiltonianCNFConfig(ContinuousFlowConfig):
    """Two halves of a state that drive each other."""

    name: str = "hamiltonian_cnf"  # hamiltonian_cnf
    hidden: int = 64  # units of each hidden layer
    layers: int = 2  # hidden layers

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("hidden", "layers"):
            require(getattr(self, name) >= 1, self, name, "at least 1")


@dataclass
class FFJORDConfig(HamiltonianCNFConfig):
    """An MLP whose layers are scaled and shifted by time."""

    name: str = "ffjord"  # ffjord
    layers: int = 3  # hidden layers
    trace: str = "exact"  # exact | hutchinson: estimated while training, noise drawn once a solve

    def __post_init__(self) -> None:
        super().__post_init__()
        traces = ("exact", "hutchinson")
        require(self.trace in traces, self, "trace", " or ".join(traces))
