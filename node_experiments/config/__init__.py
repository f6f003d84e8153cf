"""Settings that all runs share, and their checks.

Imports neither torch nor a chapter, so that help texts appear at once.
"""

from .checks import (
    ConfigError,
    alternatives,
    enumerated,
    folder_name,
    known,
    nearest,
    require,
    shorten,
)
from .run import (
    GradientConfig,
    OptimizerConfig,
    RegularizerConfig,
    RunConfig,
    SchedulerConfig,
    SolverConfig,
    TrainerConfig,
    config_hash,
    missing_checkpoint,
)

__all__ = [
    "ConfigError",
    "GradientConfig",
    "OptimizerConfig",
    "RegularizerConfig",
    "RunConfig",
    "SchedulerConfig",
    "SolverConfig",
    "TrainerConfig",
    "alternatives",
    "config_hash",
    "enumerated",
    "folder_name",
    "known",
    "missing_checkpoint",
    "nearest",
    "require",
    "shorten",
]
