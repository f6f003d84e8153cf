"""Settings of a run and of the parts that all experiments share, with one comment per field."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, ClassVar

from .checks import (
    ConfigError,
    at_least,
    check_length,
    folder_name,
    not_negative,
    positive,
    require,
)

__all__ = [
    "GradientConfig",
    "OptimizerConfig",
    "RegularizerConfig",
    "RunConfig",
    "SchedulerConfig",
    "SolverConfig",
    "TrainerConfig",
    "config_hash",
    "missing_checkpoint",
]


MODES = ("train", "eval", "predict", "figure3")


@dataclass
class SolverConfig:
    """Settings of `ode.Solver`, which describes and checks each of them."""

    GROUP: ClassVar[str] = "solver"

    method: str = "dopri5"  # name of the method
    rtol: float = 1e-3  # relative tolerance of the local error; 1e-3: paper, section 3
    atol: float = 1e-3  # absolute tolerance, in units of the state; 1e-3: paper, section 3
    step_size: float | None = None  # largest step of a fixed-step solve, in units of t
    num_steps: int | None = None  # or the number of equal steps over the whole interval
    first_step: float | None = None  # first step of an adaptive solve; chosen when null
    min_step: float = 0.0  # an adaptive step below this ends the solve
    max_step: float = math.inf  # longest adaptive step, in units of t
    max_steps: int = 10_000  # steps after which an adaptive solve gives up
    controller: str = "i"  # step size controller: i, pi or pid
    safety: float = 0.9  # factor on each proposed step
    min_factor: float = 0.2  # smallest factor between successive steps
    max_factor: float = 10.0  # largest factor between successive steps
    step_t: list[float] = field(default_factory=list)  # times at which a step must end
    jump_t: list[float] = field(default_factory=list)  # times at which the vector field jumps
    max_order: int | None = None  # highest order of a multistep method
    batching: str = "joint"  # joint, or independent: a step size for every sample


@dataclass
class GradientConfig:
    """Settings of the gradient method; each method reads the fields that it knows."""

    GROUP: ClassVar[str] = "gradient"

    name: str = "adjoint"  # backprop | discrete | checkpoint | reversible | adjoint | interpolated
    rtol: float | None = None  # of the backward solve; the forward tolerance when null
    atol: float | None = None  # likewise
    seminorm: bool = True  # of adjoint: 30 times looser for parameter gradients, for fewer steps
    method: str | None = None  # of the backward solve; that of the forward solve when null
    retain_graphs: bool = False  # of discrete: keep each stage's graph, for speed
    checkpoints: int = 16  # of checkpoint: number of states that are kept
    reconstruction_tolerance: float = 1e-3  # of reversible: relative error above which to warn
    state_tolerance: float = 0.1  # of adjoint: error of the reconstructed state, likewise
    quadrature_points: int = 3  # of interpolated: Gauss points per step


@dataclass
class RegularizerConfig:
    """Weights, in the loss, of integrals along the solution, averaged over batch and dimensions.

    An integral of weight 0 is not computed.
    """

    GROUP: ClassVar[str] = "regularizer"

    kinetic: float = 0.0  # weight of the integral of |f|^2
    jacobian: float = 0.0  # of |noise^T df/dz|^2, with noise drawn once per solve
    taylor: float = 0.0  # of |d^K z / dt^K|^2
    order: int = 3  # K of taylor; an evaluation then costs as much as 2^K - 1

    def __post_init__(self) -> None:
        not_negative(self, "kinetic", "jacobian", "taylor")
        require(2 <= self.order <= 6, self, "order", "from 2 to 6; kinetic is that of order 1")


@dataclass
class OptimizerConfig:
    """Settings of the optimiser."""

    GROUP: ClassVar[str] = "optimizer"
    # Each name with the settings that it reads.
    SETTINGS: ClassVar[dict[str, tuple[str, ...]]] = {
        "sgd": ("lr", "weight_decay", "momentum", "nesterov"),
        "adam": ("lr", "weight_decay", "beta1", "beta2"),
        "adamw": ("lr", "weight_decay", "beta1", "beta2"),
        "adamax": ("lr", "weight_decay", "beta1", "beta2"),
        "rmsprop": ("lr", "weight_decay", "momentum"),
    }

    name: str = "sgd"  # sgd | adam | adamw | adamax | rmsprop
    lr: float = 0.1  # learning rate, before any schedule
    weight_decay: float = 0.0  # L2 penalty on all parameters; of adamw: decoupled, times lr
    momentum: float = 0.9  # of sgd and rmsprop
    nesterov: bool = False  # of sgd
    beta1: float = 0.9  # of adam, adamw and adamax
    beta2: float = 0.999  # of adam, adamw and adamax

    def __post_init__(self) -> None:
        positive(self, "lr")
        not_negative(self, "weight_decay")
        require(0 <= self.momentum < 1, self, "momentum", "from 0 to below 1")
        require(not self.nesterov or self.momentum > 0, self, "nesterov", "false without momentum")
        require(0 <= self.beta1 < 1, self, "beta1", "from 0 to below 1")
        require(0 <= self.beta2 < 1, self, "beta2", "from 0 to below 1")


@dataclass
class SchedulerConfig:
    """Settings of the learning-rate schedule."""

    GROUP: ClassVar[str] = "scheduler"
    # Each name with the settings that it reads.
    SETTINGS: ClassVar[dict[str, tuple[str, ...]]] = {
        "none": (),
        "step": ("epochs", "factor"),
        "cosine": (),
        "one_cycle": ("warmup",),
        "exponential": ("factor", "floor"),
    }
    # Schedules that depend on the total number of epochs.
    OVER_ALL_EPOCHS: ClassVar[tuple[str, ...]] = ("cosine", "one_cycle")

    name: str = "none"  # none | step | cosine | one_cycle (of momentum, too) | exponential
    epochs: list[int] = field(default_factory=list)  # of step: epochs at which the rate changes
    factor: float = 0.1  # of step: multiplier at these epochs; of exponential: at every step
    floor: float = 0.1  # of exponential: lowest rate, as a fraction of the first
    warmup: float = 0.3  # of one_cycle: fraction of the training in which the rate rises

    def __post_init__(self) -> None:
        positive(self, "factor")
        require(0 <= self.floor <= 1, self, "floor", "from 0 to 1")
        require(0 < self.warmup < 1, self, "warmup", "between 0 and 1")
        rising = all(a < b for a, b in zip([0, *self.epochs], self.epochs, strict=False))
        require(rising, self, "epochs", "rising epoch numbers of at least 1")


@dataclass
class TrainerConfig:
    """Settings of the training loop that all experiments share."""

    GROUP: ClassVar[str] = "trainer"

    epochs: int = 1  # passes over the training data
    clip_norm: float | None = None  # largest norm of the whole gradient; not clipped when null
    accumulate: int = 1  # batches whose gradients are combined in a step, as in one large batch
    device: str = "auto"  # auto | cpu | cuda | cuda:1 | mps
    precision: str = "fp32"  # fp32 | bf16 (products in bf16; state and error norms in fp32)
    threads: int | None = None  # CPU threads; as torch chooses when null
    compile: bool = False  # compile steps of explicit Runge-Kutta methods, else the vector fields
    deterministic: bool = False  # reject operations that are not reproducible
    log_every: int = 20  # training steps between two points in TensorBoard
    patience: int | None = None  # evaluations without a better validation metric that end training
    init_from: str | None = None  # a run folder or a .pt file whose weights training starts from
    evaluate_every: int = 1  # epochs from one evaluation to the next; the last is always evaluated
    progress: bool = True  # show a progress bar on a terminal
    loggers: list[str] = field(default_factory=lambda: ["tensorboard"])  # csv, wandb, mlflow too
    devices: int = 1  # processes that share each batch, each on its own device
    checkpoint_minutes: float = 10.0  # minutes between two checkpoints inside an epoch
    profile: bool = False  # write a trace of a few training steps into the run folder
    gradient_error: bool = False  # compare one gradient per epoch with that of a tight solve
    limit_batches: int | None = None  # batches in each pass over data; all when null
    overfit: bool = False  # train on the first batch only
    detect_anomaly: bool = False  # stop where the first NaN appears in a backward pass; slow

    def __post_init__(self) -> None:
        at_least(self, 1, "epochs")
        require(self.clip_norm is None or self.clip_norm > 0, self, "clip_norm", "a number > 0")
        devices = ("auto", "cpu", "cuda", "mps")
        known = self.device in devices or re.fullmatch(r"cuda:\d{1,3}", self.device) is not None
        require(known, self, "device", f"{', '.join(devices)}, or cuda:<number>")
        require(self.precision in ("fp32", "bf16"), self, "precision", "fp32 or bf16")
        require(self.threads is None or self.threads >= 1, self, "threads", "at least 1")
        at_least(self, 1, "accumulate", "log_every", "evaluate_every")
        patience = self.patience
        require(patience is None or patience >= 1, self, "patience", "at least 1, or null")
        at_least(self, 1, "devices")
        require(self.checkpoint_minutes >= 0, self, "checkpoint_minutes", "a number >= 0")
        limit = self.limit_batches
        require(limit is None or limit >= 1, self, "limit_batches", "at least 1")


@dataclass
class PredictConfig:
    """Settings of `mode=predict`: inputs, times, outputs; each task reads those it can use."""

    GROUP: ClassVar[str] = "predict"

    out: str | None = None  # .csv, .parquet or .npz; predictions.csv when null, or predictions-2
    times: Any = None  # [30,36], '24:48:1' or 'file.csv:column', in data units; a grid when null
    after_last: bool = False  # times count from each series' last point, in hours if it has dates
    rows: str | None = None  # table of series and times to predict, row by row, instead of times
    samples: int = 100  # draws for the quantiles, or points of a flow
    points: str | None = None  # table of flow points, initial states, series; test data when null
    images: str | None = None  # image folder, .npz or IDX file; the test images when null
    latent: Any = False  # of latent ODEs: write latent trajectories; true, or a file name

    def __post_init__(self) -> None:
        endings = (".csv", ".parquet", ".npz")
        named = self.out is None or (self.out.endswith(endings) and self.out.isprintable())
        require(named, self, "out", "a file .csv, .parquet or .npz, or null")
        at_least(self, 1, "samples")
        known = isinstance(self.latent, bool) or str(self.latent).endswith(endings)
        require(known, self, "latent", "true, false, or a file .csv, .parquet or .npz")


@dataclass
class RunConfig:
    """All settings of one run."""

    name: str = "run"  # names the run's folder; each experiment sets its own
    protocol: str = "quick"  # smoke | quick | paper: how long the experiments train
    mode: str = "train"  # train | eval | predict | figure3
    checkpoint: str | None = None  # a run folder, a .pt file, latest or pretrained:<name>
    resume: str | None = None  # run folder to resume, latest, or auto: where this run was started
    seed: int = 0  # of initial weights, data order and augmentation
    outputs: str = "outputs"  # folder in which run folders are created
    # Absolute paths of dataset.path and dataset.root if they are relative; set by the program.
    places: dict[str, str] = field(default_factory=dict)
    dataset: Any = None  # settings of a dataset of a chapter, by its name
    model: Any = None  # settings of a model of a chapter, by its name
    solver: SolverConfig = field(default_factory=SolverConfig)
    gradient: GradientConfig = field(default_factory=GradientConfig)
    regularizer: RegularizerConfig = field(default_factory=RegularizerConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    predict: PredictConfig = field(default_factory=PredictConfig)

    def __post_init__(self) -> None:
        folder_name(self.name)
        if not self.outputs.strip():
            raise ConfigError("outputs= is empty; it must name a directory, as outputs=outputs")
        check_length("outputs", self.outputs)
        if self.mode not in MODES:
            raise ConfigError(f"mode={self.mode!r} is unknown; allowed: {', '.join(MODES)}")
        if self.mode != "train" and self.checkpoint is None:
            raise missing_checkpoint(self.mode)
        if self.mode == "train" and self.checkpoint is not None:
            raise ConfigError(
                "checkpoint= is read by mode=eval, mode=predict and mode=figure3 only; add one of "
                "them"
            )
        if self.mode != "train" and self.resume is not None:
            raise ConfigError("resume= is read by mode=train only; nothing else is resumed")
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"seed={self.seed} must be from 0 to {2**31 - 1}")


def missing_checkpoint(mode: str) -> ConfigError:
    """The error that a mode needs a checkpoint and none is given."""
    return ConfigError(
        f"mode={mode} needs checkpoint=<run folder or .pt file>, checkpoint=latest for the newest "
        "run, or checkpoint=pretrained:<name>"
    )


# Settings that change where a run is stored or how it is shown, not what it computes.
NOT_HASHED = ("outputs", "resume", "places")
NOT_HASHED_OF_TRAINER = ("progress", "checkpoint_minutes", "profile", "loggers")
OF_EVALUATION = ("mode", "checkpoint", "predict")


def config_hash(config: dict[str, Any]) -> str:
    """Hash of twelve hexadecimal digits, equal for runs that compute the same."""
    left_out = {*NOT_HASHED, *(OF_EVALUATION if config["mode"] == "train" else ())}
    relevant = {key: value for key, value in config.items() if key not in left_out}
    relevant["trainer"] = {
        key: value for key, value in config["trainer"].items() if key not in NOT_HASHED_OF_TRAINER
    }
    text = json.dumps(relevant, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
