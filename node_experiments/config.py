"""What can be configured: one dataclass a part, one comment a field, and where `configs/` lies.

Hydra composes YAML files; `typed_config` turns what it composed into these dataclasses once, and
nothing below it sees a DictConfig. This module imports no torch, so that help is instant.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

__all__ = [
    "ConfigError",
    "DatasetConfig",
    "GradientConfig",
    "ModelConfig",
    "OptimizerConfig",
    "RunConfig",
    "SchedulerConfig",
    "SolverConfig",
    "TrainerConfig",
    "configs_folder",
    "nearest",
    "to_yaml",
    "typed_config",
]


class ConfigError(Exception):
    """A configuration that cannot be run; the message is one line for the user."""


@dataclass
class SolverConfig:
    """The fields of `ode.Solver`, where each is described and checked."""

    method: str = "dopri5"  # name of the method
    rtol: float = 1e-3  # relative tolerance of the local error
    atol: float = 1e-3  # absolute tolerance of the local error, in units of the state
    step_size: float | None = None  # largest step of a fixed-step solve, in units of t
    num_steps: int | None = None  # or the number of equal steps over the whole interval
    first_step: float | None = None  # first step of an adaptive solve; chosen when null
    min_step: float = 0.0  # an adaptive step below this ends the solve
    max_step: float = math.inf  # longest adaptive step, in units of t
    max_steps: int = 10_000  # steps after which a solve gives up
    controller: str = "i"  # step control: i, pi or pid
    safety: float = 0.9  # factor on each proposed step
    min_factor: float = 0.2  # a step shrinks at most by this at once
    max_factor: float = 10.0  # and grows at most by this


@dataclass
class GradientConfig:
    """How gradients through a solve are computed; each way reads the fields that it knows."""

    name: str = "adjoint"  # adjoint | backprop
    rtol: float | None = None  # tolerances of the backward solve; the forward ones when null
    atol: float | None = None
    seminorm: bool = True  # leave parameter gradients out of the backward error norm


@dataclass
class DatasetConfig:
    """A dataset of labelled images."""

    name: str = "mnist"  # mnist | fashion_mnist | cifar10
    root: str | None = None  # folder of the data; a cache folder of the user when null
    batch_size: int = 128  # training images a batch
    eval_batch_size: int = 1000  # images a batch of an evaluation
    train_size: int | None = None  # training images to use; all that remain when null
    validation_size: int = 0  # images taken from the training set to choose a checkpoint by
    test_size: int | None = None  # test images to use; all when null
    augment: bool = True  # random crop after padding by 4 pixels
    flip: bool = False  # mirror half of the images
    standardize: bool = False  # zero mean and unit variance a channel; else pixels in [0, 1]
    drop_last: bool = True  # leave out the last, smaller batch of an epoch

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, self, "batch_size", "at least 1")
        require(self.eval_batch_size >= 1, self, "eval_batch_size", "at least 1")
        require(self.train_size is None or self.train_size >= 1, self, "train_size", "at least 1")
        require(self.test_size is None or self.test_size >= 1, self, "test_size", "at least 1")
        require(self.validation_size >= 0, self, "validation_size", "at least 0")


@dataclass
class ModelConfig:
    """An image classifier; each reads the fields that it knows."""

    name: str = "odenet"  # odenet | resnet | stem_only | mlp
    stem: str = "conv"  # downsampling before the feature block: conv | res
    channels: int = 64  # channels of the state
    blocks: int = 6  # residual blocks of a resnet
    hidden: int = 300  # hidden units of an mlp

    def __post_init__(self) -> None:
        require(self.stem in ("conv", "res"), self, "stem", "conv or res")
        require(self.channels >= 1, self, "channels", "at least 1")
        require(
            self.channels < 32 or self.channels % 32 == 0, self, "channels", "a multiple of 32"
        )
        require(self.blocks >= 0, self, "blocks", "at least 0")
        require(self.hidden >= 1, self, "hidden", "at least 1")


@dataclass
class OptimizerConfig:
    """A stochastic gradient method."""

    name: str = "sgd"  # sgd | adam
    lr: float = 0.1  # learning rate, before any schedule
    weight_decay: float = 0.0  # L2 penalty on all parameters
    momentum: float = 0.9  # of sgd
    nesterov: bool = False  # of sgd
    beta1: float = 0.9  # of adam
    beta2: float = 0.999  # of adam

    def __post_init__(self) -> None:
        require(0 < self.lr < math.inf, self, "lr", "a number > 0")
        require(0 <= self.weight_decay < math.inf, self, "weight_decay", "a number >= 0")
        require(0 <= self.momentum < 1, self, "momentum", "from 0 to below 1")
        require(not self.nesterov or self.momentum > 0, self, "nesterov", "false without momentum")
        require(0 <= self.beta1 < 1, self, "beta1", "from 0 to below 1")
        require(0 <= self.beta2 < 1, self, "beta2", "from 0 to below 1")


@dataclass
class SchedulerConfig:
    """How the learning rate changes during training."""

    name: str = "none"  # none | step | cosine | one_cycle
    epochs: list[int] = field(default_factory=list)  # of step: where the rate is multiplied
    factor: float = 0.1  # of step: by how much
    warmup: float = 0.3  # of one_cycle: share of the training in which the rate rises

    def __post_init__(self) -> None:
        require(self.factor > 0, self, "factor", "a number > 0")
        require(0 < self.warmup < 1, self, "warmup", "between 0 and 1")
        rising = all(a < b for a, b in zip([0, *self.epochs], self.epochs, strict=False))
        require(rising, self, "epochs", "rising epoch numbers of at least 1")


@dataclass
class TrainerConfig:
    """The shared training loop."""

    epochs: int = 1  # passes over the training data
    clip_norm: float | None = None  # largest norm of the joint gradient; not clipped when null
    device: str = "auto"  # auto | cpu | cuda | mps
    precision: str = "fp32"  # fp32 | bf16 (products in bf16; state and error norms in fp32)
    threads: int | None = None  # CPU threads; as torch chooses when null
    compile: bool = False  # compile the vector fields
    deterministic: bool = False  # refuse operations that are not reproducible
    log_every: int = 20  # training steps between two points in TensorBoard
    progress: bool = True  # show a progress bar on a terminal

    def __post_init__(self) -> None:
        require(self.epochs >= 1, self, "epochs", "at least 1")
        require(self.clip_norm is None or self.clip_norm > 0, self, "clip_norm", "a number > 0")
        devices = ("auto", "cpu", "cuda", "mps")
        require(self.device in devices, self, "device", ", ".join(devices))
        require(self.precision in ("fp32", "bf16"), self, "precision", "fp32 or bf16")
        require(self.threads is None or self.threads >= 1, self, "threads", "at least 1")
        require(self.log_every >= 1, self, "log_every", "at least 1")


@dataclass
class RunConfig:
    """Everything that one run needs to know."""

    name: str = "run"  # names the run's folder; each experiment sets its own
    protocol: str = "quick"  # smoke | quick | paper: how long the experiments train
    mode: str = "train"  # train | eval
    checkpoint: str | None = None  # of eval: a run folder or a .pt file
    seed: int = 0  # of initial weights, data order and augmentation
    outputs: str = "outputs"  # folder in which run folders are made
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    solver: SolverConfig = field(default_factory=SolverConfig)
    gradient: GradientConfig = field(default_factory=GradientConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)

    def __post_init__(self) -> None:
        if self.mode not in ("train", "eval"):
            raise ConfigError(f"mode={self.mode!r} is unknown; allowed: train, eval")
        if self.mode == "eval" and self.checkpoint is None:
            raise ConfigError("mode=eval needs checkpoint=<run folder or .pt file>")
        if self.mode == "train" and self.checkpoint is not None:
            raise ConfigError("checkpoint= is read by mode=eval only; add mode=eval")
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"seed={self.seed} must be from 0 to {2**31 - 1}")


def configs_folder() -> Path:
    """`configs/` inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    packaged = package / "configs"
    return packaged if packaged.is_dir() else package.parent / "configs"


def typed_config(composed: DictConfig) -> RunConfig:
    """The composed configuration as dataclasses.

    Raises:
        ConfigError: An unknown key, a value of the wrong type, or one out of range.
    """
    plain = DictConfig(composed)
    refuse_unknown_keys(plain, RunConfig, prefix="")
    try:
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(RunConfig), plain))
    except OmegaConfBaseException as error:
        raise ConfigError(describe(error)) from error
    assert isinstance(config, RunConfig)
    return config


def to_yaml(plain: dict[str, Any]) -> str:
    """A resolved configuration as the text of a YAML file."""
    return OmegaConf.to_yaml(OmegaConf.create(plain))


def refuse_unknown_keys(node: DictConfig, schema: type, prefix: str) -> None:
    """Compare the keys of a node with the fields of its dataclass, also those added with `+`."""
    known = {f.name: f for f in fields(schema)}
    for key in map(str, node):
        if key not in known:
            raise ConfigError(f"{prefix}{key} is not a setting{nearest(key, known, prefix)}")
        inner = known[key].default_factory
        if isinstance(inner, type) and is_dataclass(inner):
            if not OmegaConf.is_dict(node[key]):
                raise ConfigError(
                    f"{prefix}{key}={node[key]!r} must be a group of settings; "
                    f"choose one of configs/{key}/, or set {key}.<setting>"
                )
            refuse_unknown_keys(node[key], inner, f"{prefix}{key}.")


def nearest(name: str, allowed: Iterable[str], prefix: str = "") -> str:
    """The end of a message: the nearest allowed name, and all of them."""
    names = list(allowed)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(prefix + n for n in near)}?" if near else ""
    return f"{hint} (allowed: {', '.join(names)})"


def describe(error: OmegaConfBaseException) -> str:
    """The first line of an OmegaConf error, with the key it is about in front."""
    first_line = str(error).splitlines()[0]
    return f"{error.full_key}: {first_line}" if error.full_key else first_line


def require(ok: bool, config: Any, name: str, allowed: str) -> None:
    """Refuse a value out of range.

    Raises:
        ConfigError: `ok` is false.
    """
    if not ok:
        group = type(config).__name__.removesuffix("Config").lower()
        raise ConfigError(f"{group}.{name}={getattr(config, name)!r} must be {allowed}")
