"""Settings of normalizing flows, and the chapter's entries (Chen et al. 2018, section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...config.checks import at_least, not_negative, positive, require
from ..chapter import Chapter, Dataset, Model, Predictor, Task

__all__ = [
    "CHAPTER",
    "POINT_SETS",
    "VARIANTS",
    "ContinuousFlowConfig",
    "EnergiesConfig",
    "FFJORDConfig",
    "FlowMatchingConfig",
    "HamiltonianCNFConfig",
    "PlanarCNFConfig",
    "PlanarNFConfig",
    "PointsConfig",
]

VARIANTS = ("paper", "official_code")
POINT_SETS = (
    "two_circles",
    "two_moons",
    "8gaussians",
    "pinwheel",
    "swissroll",
    "checkerboard",
    "2spirals",
    "rings",
)


@dataclass
class EnergiesConfig:
    """An unnormalised density exp(-U) in the plane (Rezende & Mohamed 2015, table 1).

    Figure 4 of Chen et al. 2018 does not name its three targets. U grows beyond |z1| = 4: choice,
    see `energies.py`.
    """

    GROUP: ClassVar[str] = "dataset"

    name: str = "energies"  # energies
    energy: str = "u1"  # u1 | u2 | u3 | u4
    batch_size: int = 512  # choice, the paper's is unknown: samples of the flow per training step
    batches: int = 100  # choice: training steps per epoch
    test_size: int = 10_000  # choice: samples of the flow per evaluation

    def __post_init__(self) -> None:
        known = ("u1", "u2", "u3", "u4")
        require(self.energy in known, self, "energy", "u1, u2, u3 or u4")
        at_least(self, 1, "batch_size", "batches")
        at_least(self, 2, "test_size")


@dataclass
class PointsConfig:
    """Points in the plane; every training batch is drawn afresh.

    - `two_circles` of radii 1 and 0.5, `two_moons`: those of Figure 5 of Chen et al. 2018, whose
      sizes and noise are unknown
    - `8gaussians`, `pinwheel`, `swissroll`, `checkerboard`, `2spirals`, `rings`: the toy sets of
      Grathwohl et al. 2019
    """

    GROUP: ClassVar[str] = "dataset"

    name: str = "two_circles"  # one of those above
    noise: float = 0.08  # official_code of FFJORD, of circles: standard deviation, before scale
    scale: float = 3.0  # official_code of FFJORD, of circles: factor on all coordinates
    batch_size: int = 512  # official_code, of two circles: points per batch
    batches: int = 100  # choice: batches per epoch
    test_size: int = 10_000  # choice: points to test on

    def __post_init__(self) -> None:
        not_negative(self, "noise")
        positive(self, "scale")
        at_least(self, 1, "batch_size", "batches")
        at_least(self, 2, "test_size")


@dataclass
class PlanarNFConfig:
    """Planar layers (Rezende & Mohamed 2015), the baseline of Chen et al. 2018, section 4."""

    GROUP: ClassVar[str] = "model"

    name: str = "planar_nf"  # planar_nf
    units: int = 64  # paper: K, layers of one unit; 2, 8 and 32 of density matching
    base_std: float = 1.0  # choice, that of planar_cnf: standard deviation of the noise

    def __post_init__(self) -> None:
        at_least(self, 1, "units")
        positive(self, "base_std")


@dataclass
class ContinuousFlowConfig:
    """Settings shared by all continuous flows."""

    GROUP: ClassVar[str] = "model"

    horizon: float = 1.0  # choice, the paper's is unknown: time from noise to data
    base_std: float = 1.0  # choice, the paper's is unknown: standard deviation of the noise
    augment: int = 0  # always 0: other ODE models can append dimensions, a density cannot

    def __post_init__(self) -> None:
        positive(self, "horizon", "base_std")
        none = (
            "0: an augmented flow has a joint density of the data and the added dimensions, of "
            "which the marginal density of the data has no closed form"
        )
        require(self.augment == 0, self, "augment", none)


@dataclass
class PlanarCNFConfig(ContinuousFlowConfig):
    """A sum of planar units whose parameters are functions of time (section 4.1).

    The variant `paper` initialises w and b around draws from N(0, 1): choice.
    """

    name: str = "planar_cnf"  # planar_cnf
    units: int = 64  # paper, of maximum likelihood: M; 2, 8 and 32 of density matching
    hyper_hidden: int = 32  # official_code: units of both hidden layers of the hypernetwork
    variant: str = "paper"  # paper: sum, a gate per unit | official_code: mean, one per coordinate

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "units", "hyper_hidden")
        require(self.variant in VARIANTS, self, "variant", " or ".join(VARIANTS))


@dataclass
class HamiltonianCNFConfig(ContinuousFlowConfig):
    """Each half of the state drives the other: zero trace, volume-preserving (appendix A)."""

    name: str = "hamiltonian_cnf"  # hamiltonian_cnf
    hidden: int = 64  # choice; official_code of FFJORD: units of each hidden layer
    layers: int = 2  # choice: hidden layers

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "hidden", "layers")


@dataclass
class FFJORDConfig(HamiltonianCNFConfig):
    """A concatsquash MLP, whose layers are scaled and shifted by time (Grathwohl et al. 2019)."""

    name: str = "ffjord"  # ffjord
    layers: int = 3  # official_code of FFJORD: hidden layers
    trace: str = "exact"  # official_code of FFJORD, toy sets: exact | hutchinson when training

    def __post_init__(self) -> None:
        super().__post_init__()
        traces = ("exact", "hutchinson")
        require(self.trace in traces, self, "trace", " or ".join(traces))


@dataclass
class FlowMatchingConfig(ContinuousFlowConfig):
    """An MLP trained by conditional flow matching (Lipman et al. 2023): no solve in training."""

    name: str = "flow_matching"  # flow_matching
    hidden: int = 64  # choice: units of each hidden layer
    layers: int = 3  # choice: hidden layers
    pairs: str = "independent"  # paper: pairing of noise and data: independent | optimal_transport

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "hidden", "layers")
        pairs = ("independent", "optimal_transport")
        require(self.pairs in pairs, self, "pairs", " or ".join(pairs))


HERE = "node_experiments.chapters.normalizing_flows"
PREDICTOR = Predictor(f"{HERE}.predict:predict_flow", ("samples", "points"))
DENSITIES = {"energy": "density_matching", "points": "maximum_likelihood"}

CHAPTER = Chapter(
    name="normalizing_flows",
    datasets={
        "energies": Dataset(
            EnergiesConfig, f"{HERE}.energies:energy_data", "energy", recipe="energies"
        ),
        **dict.fromkeys(
            POINT_SETS,
            Dataset(PointsConfig, f"{HERE}.point_sets:point_data", "points", recipe="point_sets"),
        ),
    },
    models={
        "planar_nf": Model(
            PlanarNFConfig, f"{HERE}.flows:planar_nf", DENSITIES, recipe="planar_nf"
        ),
        "planar_cnf": Model(PlanarCNFConfig, f"{HERE}.flows:planar_cnf", DENSITIES),
        "ffjord": Model(FFJORDConfig, f"{HERE}.flows:ffjord", DENSITIES),
        "hamiltonian_cnf": Model(HamiltonianCNFConfig, f"{HERE}.flows:hamiltonian_cnf", DENSITIES),
        "flow_matching": Model(
            FlowMatchingConfig,
            f"{HERE}.flow_matching:flow_matching",
            {"points": "flow_matching"},
            recipe="flow_matching",
        ),
    },
    tasks={
        "density_matching": Task(
            f"{HERE}.density_matching:density_matching",
            f"{HERE}.figures:flow_figures",
            f"{HERE}.figures:flow_callbacks",
            PREDICTOR,
        ),
        "maximum_likelihood": Task(
            f"{HERE}.maximum_likelihood:maximum_likelihood",
            f"{HERE}.figures:flow_figures",
            f"{HERE}.figures:flow_callbacks",
            PREDICTOR,
        ),
        "flow_matching": Task(
            f"{HERE}.flow_matching:matching_task",
            f"{HERE}.figures:flow_figures",
            f"{HERE}.solver_errors:matching_callbacks",
            PREDICTOR,
        ),
    },
    figures={
        "figure4": f"{HERE}.figure4:panels",
        "figure4_curves": f"{HERE}.figure4:curves",
        "figure5": f"{HERE}.figure5:panels",
        "flow_matching": f"{HERE}.matching_report:densities",
    },
    tables={
        "figure4": f"{HERE}.figure4:figure4",
        "figure5": f"{HERE}.figure5:figure5",
        "flow_matching": f"{HERE}.matching_report:matching_table",
    },
)
