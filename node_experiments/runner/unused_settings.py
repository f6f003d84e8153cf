"""Check that the settings of a command line have an effect with the parts that were chosen.

`ode.Solver` itself rejects settings that its method does not read.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from torch import nn

from ..config import ConfigError, RunConfig, SchedulerConfig, SolverConfig
from ..config.run import GradientConfig, OptimizerConfig, RegularizerConfig
from ..nn.ode_module import solving_modules
from ..ode import Solver
from ..runs.jobs import name_of, split_overrides
from .build import settings_read
from .build_solves import gradient_settings

__all__ = ["check_effect", "check_overrides_have_effect"]

DEFAULTS: dict[str, Any] = {
    "optimizer": OptimizerConfig(),
    "scheduler": SchedulerConfig(),
    "solver": SolverConfig(),
    "gradient": GradientConfig(),
    "regularizer": RegularizerConfig(),
}
OF_SOLVES = ("solver", "gradient", "regularizer")
CHOOSE_PARTS = ("experiment", "dataset", "model", "recipe", "sweep")


def check_overrides_have_effect(config: RunConfig, model: nn.Module) -> None:
    """Check the settings that were overridden for this job.

    A sweep over parts may give all of them one setting, which only some of them read.

    Raises:
        ConfigError: One of the settings has no effect.
    """
    settings = HydraConfig.get() if HydraConfig.initialized() else None
    if settings is None:
        return
    given = [name_of(word) for word in settings.overrides.task]
    varied: set[str] = set()
    if settings.mode == RunMode.MULTIRUN:
        varied = {*map(name_of, split_overrides(settings.job.override_dirname))}
    if varied.isdisjoint(CHOOSE_PARTS):
        fixed = [name for name in given if not is_varied(name, varied)]
        check_effect(config, fixed, may_solve(model))


def may_solve(model: nn.Module) -> bool:
    """Whether a model solves an ODE, or holds a solver with which it may."""
    parts = [part for module in model.modules() for part in vars(module).values()]
    return bool(solving_modules(model)) or any(isinstance(part, Solver) for part in parts)


def is_varied(name: str, varied: Collection[str]) -> bool:
    """Whether a sweep varies the part that a setting belongs to, such as its solver."""
    group = name.partition(".")[0]
    return not {group, f"{group}.name", f"{group}.method"}.isdisjoint(varied)


def check_effect(config: RunConfig, names: Collection[str], solves: bool) -> None:
    """Check that settings have an effect; one at its default is not said to have any.

    Args:
        names: Dotted names.
        solves: Whether the model solves an ODE.

    Raises:
        ConfigError: One has no effect.
    """
    for name in names:
        group, _, setting = name.partition(".")
        if group not in DEFAULTS or setting not in asdict(DEFAULTS[group]):
            continue
        value = getattr(getattr(config, group), setting)
        if value == getattr(DEFAULTS[group], setting):
            continue
        if why := reason(config, group, setting, solves):
            raise ConfigError(f"{name}={value} has no effect {why}")


def reason(config: RunConfig, group: str, setting: str, solves: bool) -> str:
    """Why a setting has no effect; empty if it has one."""
    if group in OF_SOLVES and not solves:
        return (
            f"on model.name={config.model.name!r}, which solves no ODE; leave out all of {group}"
        )
    if group == "regularizer":
        without = setting == "order" and not config.regularizer.taylor
        return "without a weight regularizer.taylor; set one, or leave it out" if without else ""
    if group == "solver":
        return ""
    chosen = getattr(config, group).name
    of_gradient = group == "gradient"
    used = gradient_settings(chosen) if of_gradient else settings_read()[group][chosen]
    if setting in ("name", *used):
        return ""
    return f"with {group}={chosen}, which reads {', '.join(used) or 'none'}; leave it out"
