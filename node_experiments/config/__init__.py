"""Settings that all runs share, and how they are checked.

Imports neither torch nor a chapter, so that help is instant.
"""

from .checks import (
    ConfigError,
    alternatives,
    enumerated,
    folder_name,
    known,
    nearest,
    require,
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
    "nearest",
    "require",
]
