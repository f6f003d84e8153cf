"""Settings, datasets and models of the toy problems: Figure 1 and the official demonstration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...config.checks import at_least, check_augment, positive
from ..chapter import Chapter, Dataset, Model, Predictor, Task

__all__ = [
    "CHAPTER",
    "CubicSpiralConfig",
    "DepthPairConfig",
    "FunnelsConfig",
    "NeuralODEConfig",
]


@dataclass
class CubicSpiralConfig:
    """A trajectory of dy/dt = y^3 A, cut into windows, and another to test on (`ode_demo`)."""

    GROUP: ClassVar[str] = "dataset"

    name: str = "cubic_spiral"  # cubic_spiral
    points: int = 1000  # official_code: equally spaced points of the trajectory
    span: float = 25.0  # official_code: duration of the trajectory
    window: int = 10  # official_code: points of a training window
    batch_size: int = 20  # official_code: windows per batch
    batches: int = 20  # official_code: batches per epoch; an evaluation follows every 20 steps

    def __post_init__(self) -> None:
        at_least(self, 2, "window", "points")
        at_least(self, 1, "batch_size", "batches")
        positive(self, "span")


@dataclass
class FunnelsConfig:
    """y = 3 tanh(x): a map that contracts most of the line towards -3 and 3."""

    GROUP: ClassVar[str] = "dataset"

    name: str = "funnels"  # funnels
    bound: float = 4.0  # choice: largest input, in units of the state
    batch_size: int = 64  # choice: points per batch
    batches: int = 20  # choice: batches per epoch

    def __post_init__(self) -> None:
        at_least(self, 1, "batch_size", "batches")
        positive(self, "bound")


@dataclass
class DepthPairConfig:
    """A residual network and an ODE network with scalar states, side by side (Figure 1)."""

    GROUP: ClassVar[str] = "model"

    name: str = "depth_pair"  # depth_pair
    blocks: int = 5  # paper: residual blocks, five in the drawing; the ODE has the same depth
    hidden: int = 32  # choice: hidden units of each block, and of the vector field

    def __post_init__(self) -> None:
        at_least(self, 1, "blocks", "hidden")


@dataclass
class NeuralODEConfig:
    """A network of the state's cubes as vector field, fitted to a trajectory (`ode_demo`)."""

    GROUP: ClassVar[str] = "model"

    name: str = "neural_ode"  # neural_ode
    hidden: int = 50  # official_code: hidden units of the vector field
    augment: int = 0  # additional dimensions of the state (Dupont et al. 2019)

    def __post_init__(self) -> None:
        at_least(self, 1, "hidden")
        check_augment(self)


HERE = "node_experiments.chapters.toy"

CHAPTER = Chapter(
    name="toy",
    datasets={
        "cubic_spiral": Dataset(
            CubicSpiralConfig,
            f"{HERE}.cubic_spiral:cubic_spiral_data",
            "trajectory",
            recipe="cubic_spiral",
        ),
        "funnels": Dataset(FunnelsConfig, f"{HERE}.funnels:funnels_data", "map", recipe="funnels"),
    },
    models={
        "neural_ode": Model(
            NeuralODEConfig, f"{HERE}.cubic_field:neural_ode", {"trajectory": "trajectory_fit"}
        ),
        "depth_pair": Model(
            DepthPairConfig, f"{HERE}.residual_and_ode:depth_pair", {"map": "map_fit"}
        ),
    },
    tasks={
        "trajectory_fit": Task(
            f"{HERE}.trajectory_fit:trajectory_fit",
            f"{HERE}.trajectory_figures:trajectory_figures",
            f"{HERE}.trajectory_figures:trajectory_callbacks",
            Predictor(f"{HERE}.predict:predict_trajectories", ("times", "points")),
        ),
        "map_fit": Task(
            f"{HERE}.map_fit:map_fit",
            f"{HERE}.figure1:depth_figures",
            predictor=Predictor(f"{HERE}.predict:predict_map", ("points",)),
        ),
    },
)
