"""What can be configured. This package imports no torch, so that help is instant."""

from ..runner.compose import (
    configs_folder,
    plain_config,
    schema_of,
    to_yaml,
    typed_config,
)
from .checks import (
    ConfigError,
    folder_name,
    known,
    nearest,
    require,
)
from .datasets import (
    DATASETS,
    ImagesConfig,
    SpiralsConfig,
)
from .hashing import config_hash
from .models import (
    MODELS,
    ImageClassifierConfig,
    LatentODEConfig,
    MLPConfig,
    RecurrentConfig,
    ResNetConfig,
)
from .run import (
    GradientConfig,
    OptimizerConfig,
    RegularizerConfig,
    RunConfig,
    SchedulerConfig,
    SolverConfig,
    TrainerConfig,
)

__all__ = [
    "DATASETS",
    "MODELS",
    "ConfigError",
    "GradientConfig",
    "ImageClassifierConfig",
    "ImagesConfig",
    "LatentODEConfig",
    "MLPConfig",
    "OptimizerConfig",
    "RecurrentConfig",
    "RegularizerConfig",
    "ResNetConfig",
    "RunConfig",
    "SchedulerConfig",
    "SolverConfig",
    "SpiralsConfig",
    "TrainerConfig",
    "config_hash",
    "configs_folder",
    "folder_name",
    "known",
    "nearest",
    "plain_config",
    "require",
    "schema_of",
    "to_yaml",
    "typed_config",
]
