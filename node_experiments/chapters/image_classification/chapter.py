"""Settings of image classification, and its entries (Chen et al. 2018, section 3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ...config.checks import at_least, check_augment, not_negative, require
from ..chapter import Chapter, Dataset, Mode, Model, Predictor, Task

__all__ = [
    "CHAPTER",
    "ImageClassifierConfig",
    "ImagesConfig",
    "LMResNetConfig",
    "MLPConfig",
    "ODENetConfig",
    "ResNetConfig",
    "RevNetConfig",
]


@dataclass
class ImagesConfig:
    """A dataset of labelled images.

    - `mnist`: 60,000 + 10,000 handwritten digits, shipped with the package (LeCun, Cortes &
      Burges)
    - `fashion_mnist`: 60,000 + 10,000 images of clothes (Xiao et al. 2017): the four files in
      `root`, plain or gzipped (`/usr/share/datasets` of Debian's package `dataset-fashion-mnist`),
      else a download
    - `cifar10`: 50,000 + 10,000 colour photographs, downloaded by torchvision (Krizhevsky 2009)
    """

    GROUP: ClassVar[str] = "dataset"

    name: str = "mnist"  # mnist | fashion_mnist | cifar10
    root: str | None = None  # folder of the data; a cache folder of the user when null
    batch_size: int = 128  # official_code: training images per batch
    eval_batch_size: int = 1000  # official_code: images per batch of an evaluation
    train_size: int | None = None  # training images to use; all that remain when null
    validation_size: int = 0  # official_code: images taken from the training set if above 0
    test_size: int | None = None  # test images to use; all when null
    augment: bool = True  # official_code: random crop after padding
    padding: int = 4  # official_code: pixels around an image from which a crop of its size is cut
    padding_mode: str = "zeros"  # official_code: what they hold: zeros | reflect
    rotation: float = 0.0  # official_code: images are rotated by at most this, in degrees
    scale: float = 0.0  # official_code: and each axis is stretched by at most this fraction
    shear: float = 0.0  # official_code: and sheared by at most this
    flip: bool = False  # mirror half of the images
    standardize: bool = False  # channels of unit variance; false, official_code: pixels in [0, 1]
    drop_last: bool = True  # official_code: leave out the last, smaller batch of an epoch

    def __post_init__(self) -> None:
        at_least(self, 1, "batch_size", "eval_batch_size")
        require(self.train_size is None or self.train_size >= 1, self, "train_size", "at least 1")
        require(self.test_size is None or self.test_size >= 1, self, "test_size", "at least 1")
        at_least(self, 0, "validation_size")
        require(0 <= self.padding < 28, self, "padding", "from 0 to 27")
        not_negative(self, "rotation", "scale", "shear")
        modes = ("zeros", "reflect")
        require(self.padding_mode in modes, self, "padding_mode", " or ".join(modes))


@dataclass
class ImageClassifierConfig:
    """A stem and a head with nothing between them: the control that critics of the paper ran."""

    GROUP: ClassVar[str] = "model"

    name: str = "stem_only"  # stem_only
    stem: str = "conv"  # official_code: conv (ODE-Net: 208,266 parameters) | res (232,970)
    channels: int = 64  # official_code: channels of the state

    def __post_init__(self) -> None:
        require(self.stem in ("conv", "res"), self, "stem", "conv or res")
        at_least(self, 1, "channels")
        require(
            self.channels < 32 or self.channels % 32 == 0, self, "channels", "a multiple of 32"
        )


@dataclass
class ODENetConfig(ImageClassifierConfig):
    """A stem and a head with an ODE block between them (Chen et al. 2018, section 3)."""

    name: str = "odenet"  # odenet
    augment: int = 0  # channels of zeros appended to the ODE's state (Dupont et al. 2019)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_augment(self)


@dataclass
class ImageODEConfig:
    """An ODE on pixels and a linear layer, plain or augmented (Dupont et al. 2019)."""

    GROUP: ClassVar[str] = "model"

    name: str = "image_ode"  # image_ode
    augment: int = 0  # paper: 5 channels of zeros beside the image in ANODE, none in the plain one
    parameters: int = 85_400  # official_code: of both networks; filters: 92 plain, 64 augmented
    pool: int = 1  # choice: pixels along a side that are averaged into one before the ODE

    def __post_init__(self) -> None:
        check_augment(self)
        require(1 <= self.pool <= 14, self, "pool", "from 1 to 14")
        require(1 <= self.parameters <= 10_000_000, self, "parameters", "from 1 to 10,000,000")


@dataclass
class ResNetConfig(ImageClassifierConfig):
    """Residual blocks between the stem and the head (He et al. 2016).

    576,778 parameters with the stem `conv`; 601,482 with `res`, the paper's 0.60 M.
    """

    name: str = "resnet"  # resnet
    blocks: int = 6  # paper: residual blocks
    shared: bool = False  # the same weights in all blocks

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "blocks")


@dataclass
class RevNetConfig(ImageClassifierConfig):
    """Reversible blocks between stem and head (Gomez et al. 2017): constant memory, no ODE.

    355,594 parameters.
    """

    name: str = "revnet"  # revnet
    blocks: int = 6  # choice: as many as the ResNet of Table 1; two residual functions each
    reconstruct: bool = True  # paper: undo blocks in the backward pass, keep no activations

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "blocks")
        require(self.channels % 2 == 0, self, "channels", "even")


@dataclass
class LMResNetConfig:
    """Residual blocks in stages, as steps of a linear two-step method (Lu et al. 2018)."""

    GROUP: ClassVar[str] = "model"

    name: str = "lm_resnet"  # lm_resnet
    widths: list[int] = field(  # official_code of LM-ResNet: channels of each stage
        default_factory=lambda: [16, 32, 64]
    )
    blocks: int = 3  # paper, of LM-ResNet-20: blocks of each stage
    multistep: bool = True  # the two-step method; false is the pre-activation ResNet-20

    def __post_init__(self) -> None:
        require(bool(self.widths) and min(self.widths) >= 1, self, "widths", "at least 1 each")
        at_least(self, 1, "blocks")


@dataclass
class MLPConfig:
    """One hidden layer (LeCun et al. 1998), first row of Table 1."""

    GROUP: ClassVar[str] = "model"

    name: str = "mlp"  # mlp
    hidden: int = 300  # paper: hidden units

    def __post_init__(self) -> None:
        at_least(self, 1, "hidden")


HERE = "node_experiments.chapters.image_classification"
IMAGES = {"images": "classification"}

CHAPTER = Chapter(
    name="image_classification",
    datasets={
        name: Dataset(ImagesConfig, f"{HERE}.datasets:image_data", "images", recipe=recipe)
        for name, recipe in (
            ("mnist", "mnist"),
            ("fashion_mnist", "mnist"),
            ("cifar10", "cifar10"),
        )
    },
    models={
        "odenet": Model(ODENetConfig, f"{HERE}.networks:odenet", IMAGES),
        "image_ode": Model(
            ImageODEConfig, f"{HERE}.image_ode:image_ode", IMAGES, recipe="image_ode"
        ),
        "stem_only": Model(ImageClassifierConfig, f"{HERE}.networks:stem_only", IMAGES),
        "resnet": Model(ResNetConfig, f"{HERE}.networks:resnet", IMAGES),
        "revnet": Model(RevNetConfig, f"{HERE}.revnet:revnet", IMAGES),
        "lm_resnet": Model(LMResNetConfig, f"{HERE}.lm_resnet:lm_resnet", IMAGES),
        "mlp": Model(MLPConfig, f"{HERE}.networks:mlp", IMAGES),
    },
    tasks={
        "classification": Task(
            f"{HERE}.task:classification",
            f"{HERE}.figures:classification_figures",
            predictor=Predictor(f"{HERE}.predict:predict_images", ("images",)),
        )
    },
    figures={
        "anode_mnist": f"{HERE}.image_ode_report:training_curves",
        "figure3": f"{HERE}.figure3_report:panels",
    },
    tables={
        "anode_mnist": f"{HERE}.image_ode_report:image_ode_table",
        "table1": f"{HERE}.table1:table1",
        "figure3": f"{HERE}.figure3_report:figure3",
        "solver_transfer": f"{HERE}.solver_transfer:solver_transfer",
    },
    modes={"figure3": Mode(f"{HERE}.figure3_run:check_figure3", f"{HERE}.figure3_run:figure3")},
)
