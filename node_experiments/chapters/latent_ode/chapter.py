"""Settings, datasets, models and tasks of latent ODEs (Chen et al. 2018, section 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ...config.checks import at_least, check_augment, not_negative, positive, require
from ..chapter import Chapter, Dataset, Model, Predictor, Task

__all__ = [
    "CHAPTER",
    "LatentODEConfig",
    "PoissonConfig",
    "PoissonLatentODEConfig",
    "RecurrentConfig",
    "SpiralsConfig",
]


@dataclass
class SpiralsConfig:
    """Noisy spirals, observed at some points of a window and forecast beyond it.

    The paper publishes no curves, windows or noise.
    """

    GROUP: ClassVar[str] = "dataset"

    name: str = "spirals"  # spirals
    variant: str = "paper"  # paper: half run clockwise | official_code: a coin decides
    observations: int = 30  # paper: 30, 50 or 100 points of each window are observed
    window: int = 100  # paper: points of the observed range
    future: int = 100  # paper: points beyond it that are forecast
    grid_points: int = 1000  # points of a curve; official_code sets this and uses 500
    first_start: int = 100  # official_code: windows start from this point of the curve on
    last_start: int = 900  # choice: and before this one, if windows fit; official_code 400
    normalize: bool = True  # choice: zero mean and unit variance of each coordinate of the curves
    noise: float = 0.1  # choice: std of the noise after normalize; official_code 0.3 before
    time_span: float = 15.0  # choice, by validation among 1, 3.74, 7.5, 15: time of a window
    train_size: int = 1000  # paper: spirals in total, split unknown
    validation_size: int = 200  # choice: spirals to choose a checkpoint by
    test_size: int = 400  # choice: spirals to test on
    batch_size: int = 250  # choice: windows per batch
    passes: int = 25  # choice: passes over the training windows that make one epoch

    def __post_init__(self) -> None:
        variants = ("paper", "official_code")
        require(self.variant in variants, self, "variant", " or ".join(variants))
        at_least(self, 1, "window", "train_size", "test_size", "batch_size", "passes", "future")
        at_least(self, 2, "window")
        at_least(self, 1, "observations")
        at_least(self, 0, "validation_size", "first_start")
        require(self.first_start < self.last_start, self, "last_start", "above first_start")
        not_negative(self, "noise")
        positive(self, "time_span")


@dataclass
class PoissonConfig:
    """Event times of Poisson processes with a sinusoidal rate and individual phases.

    The paper (section 5.1) publishes no data.
    """

    GROUP: ClassVar[str] = "dataset"

    name: str = "poisson"  # poisson
    span: float = 5.0  # choice: time over which events are counted
    period: float = 2.5  # choice: of the rate
    base_rate: float = 10.0  # choice: mean rate, in events per unit of time; 50 per sequence
    depth: float = 0.9  # choice: relative amplitude of the rate, which goes from 1 to 19
    train_size: int = 1000  # choice: sequences
    validation_size: int = 200  # choice: sequences to choose a checkpoint by
    test_size: int = 400  # choice: sequences to test on
    batch_size: int = 250  # choice: sequences per batch
    passes: int = 25  # choice: passes over the training sequences that make one epoch

    def __post_init__(self) -> None:
        at_least(self, 1, "train_size", "test_size", "batch_size", "passes")
        at_least(self, 0, "validation_size")
        positive(self, "span", "period", "base_rate")
        require(0 <= self.depth < 1, self, "depth", "from 0 to below 1")


@dataclass
class RecognitionConfig:
    """Settings of both latent ODEs: recognition network, latent dynamics and training."""

    GROUP: ClassVar[str] = "model"

    latent: int = 4  # paper: dimension of the latent state
    hidden: int = 20  # paper: units of a hidden layer of the dynamics
    layers: int = 1  # paper: hidden layers of the dynamics; official_code 2
    activation: str = "tanh"  # choice: tanh | elu (official_code) | relu | softplus
    encoder_hidden: int = 25  # paper: units of the recognition RNN
    samples: int = 1  # official_code: draws of the initial state per series in a training step
    kl_warmup: int = 0  # official_code: training steps in which the KL's weight rises from 0 to 1
    knots: int | None = (
        None  # choice: intervals in which z is interpolated; 0: not at all; null: automatic
    )
    augment: int = 0  # dimensions of the latent ODE that start at zero and are not decoded

    def __post_init__(self) -> None:
        at_least(self, 1, "latent", "hidden", "layers", "encoder_hidden", "samples")
        check_augment(self)
        activations = ("tanh", "elu", "relu", "softplus")
        require(self.activation in activations, self, "activation", ", ".join(activations))
        at_least(self, 0, "kl_warmup")
        require(self.knots is None or self.knots >= 0, self, "knots", "at least 0, or null")


@dataclass
class LatentODEConfig(RecognitionConfig):
    """Recognition RNN, latent ODE and decoder (Chen et al. 2018, section 5)."""

    name: str = "latent_ode"  # latent_ode
    decoder_hidden: int = 20  # paper: units of the decoder's hidden layer
    reads_gaps: bool = True  # choice: show the encoder the times; official_code false
    noise_std: float | None = 0.1  # choice: the noise of the data; learned when null

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "decoder_hidden")
        positive = self.noise_std is None or 0 < self.noise_std < math.inf
        require(positive, self, "noise_std", "a number > 0, or null")


@dataclass
class PoissonLatentODEConfig(RecognitionConfig):
    """A latent ODE whose state sets the rate of events (section 5.1); its sizes are a choice."""

    name: str = "poisson_latent_ode"  # poisson_latent_ode


@dataclass
class RecurrentConfig:
    """A recurrent network that predicts the next observation (baselines of Table 2)."""

    GROUP: ClassVar[str] = "model"

    name: str = "rnn"  # rnn: reads values alone | rnn_dt: also the time to the next observation
    hidden: int = 25  # paper: units of the state
    noise_std: float | None = 0.1  # choice: the noise of the data; learned when null
    rollout: str = "mean_gap"  # choice: steps of a forecast: mean_gap (as in training) | target

    def __post_init__(self) -> None:
        at_least(self, 1, "hidden")
        positive = self.noise_std is None or 0 < self.noise_std < math.inf
        require(positive, self, "noise_std", "a number > 0, or null")
        require(self.rollout in ("mean_gap", "target"), self, "rollout", "mean_gap or target")


HERE = "node_experiments.chapters.latent_ode"
ASKED = ("times", "samples", "points")
FORECAST = {"spirals": "next_observation"}

CHAPTER = Chapter(
    name="latent_ode",
    datasets={
        "spirals": Dataset(
            SpiralsConfig, f"{HERE}.spirals:spiral_data", "spirals", recipe="spirals"
        ),
        "poisson": Dataset(
            PoissonConfig, f"{HERE}.poisson_events:poisson_data", "events", recipe="poisson"
        ),
    },
    models={
        "latent_ode": Model(
            LatentODEConfig, f"{HERE}.model:latent_ode", {"spirals": "latent_ode"}
        ),
        "rnn": Model(RecurrentConfig, f"{HERE}.rnn_baseline:recurrent_forecaster", FORECAST),
        "rnn_dt": Model(RecurrentConfig, f"{HERE}.rnn_baseline:recurrent_forecaster", FORECAST),
        "poisson_latent_ode": Model(
            PoissonLatentODEConfig,
            f"{HERE}.poisson_model:poisson_latent_ode",
            {"events": "poisson"},
        ),
    },
    tasks={
        "latent_ode": Task(
            f"{HERE}.elbo:latent_ode_task",
            f"{HERE}.figures:latent_ode_figures",
            f"{HERE}.figures:latent_ode_callbacks",
            Predictor(f"{HERE}.predict:predict_spirals", (*ASKED, "latent")),
        ),
        "next_observation": Task(
            f"{HERE}.forecasting:next_observation",
            f"{HERE}.figures:recurrent_figures",
            predictor=Predictor(f"{HERE}.predict:predict_spirals", ASKED),
        ),
        "poisson": Task(
            f"{HERE}.poisson_elbo:poisson_task",
            f"{HERE}.figure7:poisson_figures",
            predictor=Predictor(f"{HERE}.predict:predict_rates", (*ASKED, "latent")),
        ),
    },
    tables={"table2": f"{HERE}.table2:table2"},
)
