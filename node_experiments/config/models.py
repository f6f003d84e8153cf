"""Settings of the models, by the name that a configuration gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .checks import require

__all__ = ["MODELS", "ImageClassifierConfig", "MLPConfig", "ResNetConfig"]


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

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.blocks >= 0, self, "blocks", "at least 0")


@dataclass
class MLPConfig:
    """One hidden layer."""

    GROUP: ClassVar[str] = "model"

    name: str = "mlp"  # mlp
    hidden: int = 300  # hidden units

    def __post_init__(self) -> None:
        require(self.hidden >= 1, self, "hidden", "at least 1")


MODELS = {
    "odenet": ImageClassifierConfig,
    "stem_only": ImageClassifierConfig,
    "resnet": ResNetConfig,
    "mlp": MLPConfig,
}
