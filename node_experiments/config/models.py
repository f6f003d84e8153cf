"""Settings of the models, by the name that a configuration gives them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

from ..chapters.irregular_series.model_settings import IRREGULAR_MODELS
from ..chapters.normalizing_flows.settings import (
    FFJORDConfig,
    HamiltonianCNFConfig,
    PlanarCNFConfig,
    PlanarNFConfig,
)
from .checks import require

__all__ = [
    "MODELS",
    "DepthPairConfig",
    "ImageClassifierConfig",
    "LMResNetConfig",
    "LatentODEConfig",
    "MLPConfig",
    "NeuralODEConfig",
    "PoissonLatentODEConfig",
    "RecurrentConfig",
    "ResNetConfig",
    "RevNetConfig",
]


@dataclass
class ImageClassifierConfig:
    """A stem and a head, with an ODE block or nothing between them."""

    GROUP: ClassVar[str] = "model"

    name: str = "odenet"  # odenet | stem_only
    stem: str = "conv"  # downsampling before the feature block: conv | res
    channels: int = 64  # channels of the state

    def __post_init__(self) -> None:
        require(self.stem in ("conv", "res"), self, "stem", "conv or res")
        require(self.channels >= 1, self, "channels", "at least 1")
        require(
            self.channels < 32 or self.channels % 32 == 0, self, "channels", "a multiple of 32"
        )


@dataclass
class ResNetConfig(ImageClassifierConfig):
    """Residual blocks between the stem and the head."""

    name: str = "resnet"  # resnet
    blocks: int = 6  # residual blocks
    shared: bool = False  # the same weights in all blocks

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.blocks >= 0, self, "blocks", "at least 0")


@dataclass
class RevNetConfig(ImageClassifierConfig):
    """Reversible residual blocks between the stem and the head."""

    name: str = "revnet"  # revnet
    blocks: int = 6  # reversible blocks, each of two residual functions of half of the channels
    reconstruct: bool = True  # undo blocks in the backward pass, instead of keeping activations

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.blocks >= 0, self, "blocks", "at least 0")
        require(self.channels % 2 == 0, self, "channels", "even")


@dataclass
class LMResNetConfig:
    """Residual blocks in stages, as steps of a linear two-step method."""

    GROUP: ClassVar[str] = "model"

    name: str = "lm_resnet"  # lm_resnet
    widths: list[int] = field(default_factory=lambda: [16, 32, 64])  # channels of each stage
    blocks: int = 3  # blocks of each stage
    multistep: bool = True  # the two-step method; false for plain residual blocks

    def __post_init__(self) -> None:
        require(bool(self.widths) and min(self.widths) >= 1, self, "widths", "at least 1 each")
        require(self.blocks >= 1, self, "blocks", "at least 1")


@dataclass
class MLPConfig:
    """One hidden layer."""

    GROUP: ClassVar[str] = "model"

    name: str = "mlp"  # mlp
    hidden: int = 300  # hidden units

    def __post_init__(self) -> None:
        require(self.hidden >= 1, self, "hidden", "at least 1")


@dataclass
class LatentODEConfig:
    """A recognition network, an ODE in a latent space, and a decoder, with how they are fitted."""

    GROUP: ClassVar[str] = "model"

    name: str = "latent_ode"  # latent_ode
    latent: int = 4  # size of the latent state
    hidden: int = 20  # units of a hidden layer of the dynamics
    layers: int = 1  # hidden layers of the dynamics
    activation: str = "tanh"  # of the dynamics: tanh | elu | relu | softplus
    encoder_hidden: int = 25  # units of the recognition RNN
    decoder_hidden: int = 20  # units of the decoder's hidden layer
    reads_gaps: bool = True  # show the recognition RNN the times between observations
    noise_std: float | None = 0.1  # of an observation, in its units; learned when null
    samples: int = 1  # draws of the initial state for each series in a training step
    kl_warmup: int = 0  # training steps over which the weight of the KL rises from 0 to 1
    knots: int | None = None  # see LatentTrajectory: 0 for the union of times; chosen when null

    def __post_init__(self) -> None:
        for name in ("latent", "hidden", "layers", "encoder_hidden", "decoder_hidden", "samples"):
            require(getattr(self, name) >= 1, self, name, "at least 1")
        activations = ("tanh", "elu", "relu", "softplus")
        require(self.activation in activations, self, "activation", ", ".join(activations))
        positive = self.noise_std is None or 0 < self.noise_std < math.inf
        require(positive, self, "noise_std", "a number > 0, or null")
        require(self.kl_warmup >= 0, self, "kl_warmup", "at least 0")
        require(self.knots is None or self.knots >= 0, self, "knots", "at least 0, or null")


@dataclass
class RecurrentConfig:
    """A recurrent network that predicts the next observation."""

    GROUP: ClassVar[str] = "model"

    name: str = "rnn"  # rnn: sees values alone | rnn_dt: also the time to the next observation
    hidden: int = 25  # units of the state
    noise_std: float | None = 0.1  # of an observation, in its units; learned when null
    rollout: str = "mean_gap"  # steps beyond the observations: mean_gap | target

    def __post_init__(self) -> None:
        require(self.hidden >= 1, self, "hidden", "at least 1")
        positive = self.noise_std is None or 0 < self.noise_std < math.inf
        require(positive, self, "noise_std", "a number > 0, or null")
        require(self.rollout in ("mean_gap", "target"), self, "rollout", "mean_gap or target")


@dataclass
class PoissonLatentODEConfig:
    """A latent ODE whose state sets the rate of events."""

    GROUP: ClassVar[str] = "model"

    name: str = "poisson_latent_ode"  # poisson_latent_ode
    latent: int = 4  # size of the latent state
    hidden: int = 20  # units of a hidden layer of the dynamics, and of the rate
    layers: int = 1  # hidden layers of the dynamics
    activation: str = "tanh"  # of the dynamics: tanh | elu | relu | softplus
    encoder_hidden: int = 25  # units of the recognition RNN
    samples: int = 1  # draws of the initial state for each sequence in a training step
    kl_warmup: int = 0  # training steps over which the weight of the KL rises from 0 to 1
    knots: int | None = None  # see LatentTrajectory: 0 for the union of times; chosen when null

    def __post_init__(self) -> None:
        for name in ("latent", "hidden", "layers", "encoder_hidden", "samples"):
            require(getattr(self, name) >= 1, self, name, "at least 1")
        activations = ("tanh", "elu", "relu", "softplus")
        require(self.activation in activations, self, "activation", ", ".join(activations))
        require(self.kl_warmup >= 0, self, "kl_warmup", "at least 0")
        require(self.knots is None or self.knots >= 0, self, "knots", "at least 0, or null")


@dataclass
class DepthPairConfig:
    """A residual network and an ODE network on the line, side by side."""

    GROUP: ClassVar[str] = "model"

    name: str = "depth_pair"  # depth_pair
    blocks: int = 5  # residual blocks; the ODE is solved to this depth
    hidden: int = 32  # hidden units of each block, and of the vector field

    def __post_init__(self) -> None:
        require(self.blocks >= 1, self, "blocks", "at least 1")
        require(self.hidden >= 1, self, "hidden", "at least 1")


@dataclass
class NeuralODEConfig:
    """A vector field that is fitted to a trajectory."""

    GROUP: ClassVar[str] = "model"

    name: str = "neural_ode"  # neural_ode
    hidden: int = 50  # hidden units of the vector field

    def __post_init__(self) -> None:
        require(self.hidden >= 1, self, "hidden", "at least 1")


MODELS: dict[str, type] = {
    "odenet": ImageClassifierConfig,
    "stem_only": ImageClassifierConfig,
    "resnet": ResNetConfig,
    "revnet": RevNetConfig,
    "lm_resnet": LMResNetConfig,
    "mlp": MLPConfig,
    "latent_ode": LatentODEConfig,
    "rnn": RecurrentConfig,
    "rnn_dt": RecurrentConfig,
    "poisson_latent_ode": PoissonLatentODEConfig,
    "depth_pair": DepthPairConfig,
    "neural_ode": NeuralODEConfig,
    "planar_nf": PlanarNFConfig,
    "planar_cnf": PlanarCNFConfig,
    "ffjord": FFJORDConfig,
    "hamiltonian_cnf": HamiltonianCNFConfig,
    **IRREGULAR_MODELS,
}
