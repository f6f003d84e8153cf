"""Settings of the datasets, by the name that a configuration gives them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ..chapters.irregular_series.dataset_settings import SERIES_DATASETS
from ..chapters.normalizing_flows.settings import (
    EnergiesConfig,
    PointsConfig,
)
from .checks import require

__all__ = [
    "DATASETS",
    "CubicSpiralConfig",
    "FunnelsConfig",
    "ImagesConfig",
    "PoissonConfig",
    "SpiralsConfig",
]


@dataclass
class ImagesConfig:
    """A dataset of labelled images."""

    GROUP: ClassVar[str] = "dataset"

    name: str = "mnist"  # mnist | fashion_mnist | cifar10
    root: str | None = None  # folder of the data; a cache folder of the user when null
    batch_size: int = 128  # training images a batch
    eval_batch_size: int = 1000  # images a batch of an evaluation
    train_size: int | None = None  # training images to use; all that remain when null
    validation_size: int = 0  # images taken from the training set to choose a checkpoint by
    test_size: int | None = None  # test images to use; all when null
    augment: bool = True  # random crop after padding
    padding: int = 4  # pixels around an image from which a crop of its size is cut
    padding_mode: str = "zeros"  # what they hold: zeros | reflect
    rotation: float = 0.0  # images are turned by at most this, in degrees
    scale: float = 0.0  # and stretched by at most this share, each axis by its own
    shear: float = 0.0  # and sheared by at most this
    flip: bool = False  # mirror half of the images
    standardize: bool = False  # zero mean and unit variance a channel; else pixels in [0, 1]
    drop_last: bool = True  # leave out the last, smaller batch of an epoch

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, self, "batch_size", "at least 1")
        require(self.eval_batch_size >= 1, self, "eval_batch_size", "at least 1")
        require(self.train_size is None or self.train_size >= 1, self, "train_size", "at least 1")
        require(self.test_size is None or self.test_size >= 1, self, "test_size", "at least 1")
        require(self.validation_size >= 0, self, "validation_size", "at least 0")
        require(0 <= self.padding < 28, self, "padding", "from 0 to 27")
        for name in ("rotation", "scale", "shear"):
            require(0 <= getattr(self, name) < math.inf, self, name, "a number >= 0")
        modes = ("zeros", "reflect")
        require(self.padding_mode in modes, self, "padding_mode", " or ".join(modes))


@dataclass
class SpiralsConfig:
    """Noisy spirals, observed at some of their points and forecast beyond them."""

    GROUP: ClassVar[str] = "dataset"

    name: str = "spirals"  # spirals
    variant: str = "paper"  # paper: half run clockwise | official_code: a coin decides
    observations: int = 30  # points that a model sees of each window
    window: int = 100  # points of the observed range
    future: int = 100  # points beyond it that are forecast
    grid_points: int = 1000  # points of a whole curve of three turns
    first_start: int = 100  # windows start from this point of the curve on
    last_start: int = 900  # and before this one
    normalize: bool = True  # zero mean and unit variance of each coordinate of the curves
    noise: float = 0.1  # standard deviation of the Gaussian noise, after normalize
    time_span: float = 15.0  # time from the first to the last point of a window
    train_size: int = 1000  # windows to train on
    validation_size: int = 200  # windows to choose a checkpoint by
    test_size: int = 400  # windows to test on
    batch_size: int = 250  # windows a batch
    passes: int = 25  # passes over the training windows that make one epoch

    def __post_init__(self) -> None:
        variants = ("paper", "official_code")
        require(self.variant in variants, self, "variant", " or ".join(variants))
        for name in ("window", "train_size", "test_size", "batch_size", "passes", "future"):
            require(getattr(self, name) >= 1, self, name, "at least 1")
        require(self.window >= 2, self, "window", "at least 2")
        require(self.observations >= 1, self, "observations", "at least 1")
        require(self.validation_size >= 0, self, "validation_size", "at least 0")
        require(self.first_start >= 0, self, "first_start", "at least 0")
        require(self.first_start < self.last_start, self, "last_start", "above first_start")
        require(0 <= self.noise < math.inf, self, "noise", "a number >= 0")
        require(0 < self.time_span < math.inf, self, "time_span", "a number > 0")


@dataclass
class PoissonConfig:
    """Event times of Poisson processes with a sinusoidal rate, each with a phase of its own."""

    GROUP: ClassVar[str] = "dataset"

    name: str = "poisson"  # poisson
    span: float = 5.0  # time over which events are counted
    period: float = 2.5  # of the rate
    base_rate: float = 10.0  # mean rate, in events per unit of time
    depth: float = 0.9  # amplitude of the rate, as a share of its mean
    train_size: int = 1000  # sequences to train on
    validation_size: int = 200  # sequences to choose a checkpoint by
    test_size: int = 400  # sequences to test on
    batch_size: int = 250  # sequences a batch
    passes: int = 25  # passes over the training sequences that make one epoch

    def __post_init__(self) -> None:
        for name in ("train_size", "test_size", "batch_size", "passes"):
            require(getattr(self, name) >= 1, self, name, "at least 1")
        require(self.validation_size >= 0, self, "validation_size", "at least 0")
        for name in ("span", "period", "base_rate"):
            require(0 < getattr(self, name) < math.inf, self, name, "a number > 0")
        require(0 <= self.depth < 1, self, "depth", "from 0 to below 1")


@dataclass
class CubicSpiralConfig:
    """One trajectory of dy/dt = y^3 A, cut into windows."""

    GROUP: ClassVar[str] = "dataset"

    name: str = "cubic_spiral"  # cubic_spiral
    points: int = 1000  # equally spaced points of the trajectory
    span: float = 25.0  # its length in time
    window: int = 10  # points of a training window
    batch_size: int = 20  # windows a batch
    batches: int = 20  # batches that make one epoch

    def __post_init__(self) -> None:
        require(self.window >= 2, self, "window", "at least 2")
        require(self.points >= 2, self, "points", "at least 2")
        for name in ("batch_size", "batches"):
            require(getattr(self, name) >= 1, self, name, "at least 1")
        require(0 < self.span < math.inf, self, "span", "a number > 0")


@dataclass
class FunnelsConfig:
    """A map that draws the line towards two places."""

    GROUP: ClassVar[str] = "dataset"

    name: str = "funnels"  # funnels
    bound: float = 4.0  # largest input, in units of the state
    batch_size: int = 64  # points a batch
    batches: int = 20  # batches that make one epoch

    def __post_init__(self) -> None:
        for name in ("batch_size", "batches"):
            require(getattr(self, name) >= 1, self, name, "at least 1")
        require(0 < self.bound < math.inf, self, "bound", "a number > 0")


DATASETS: dict[str, type] = {
    "mnist": ImagesConfig,
    "fashion_mnist": ImagesConfig,
    "cifar10": ImagesConfig,
    "spirals": SpiralsConfig,
    "poisson": PoissonConfig,
    "cubic_spiral": CubicSpiralConfig,
    "funnels": FunnelsConfig,
    **SERIES_DATASETS,
    "energies": EnergiesConfig,
    "two_circles": PointsConfig,
    "two_moons": PointsConfig,
    "8gaussians": PointsConfig,
    "pinwheel": PointsConfig,
    "swissroll": PointsConfig,
    "checkerboard": PointsConfig,
    "2spirals": PointsConfig,
    "rings": PointsConfig,
}
