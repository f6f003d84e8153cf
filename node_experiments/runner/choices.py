"""Choices of configuration groups that are no files: they follow from the code.

`solver=<name>` exists for every method of `ode`: `{method: <name>}`, with the tolerances and all
else from `SolverConfig`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from hydra.core.config_store import ConfigStore

from ..config.run import OptimizerConfig, RunConfig, SchedulerConfig

__all__ = ["register_choices", "registered_choices", "solver_names"]

# The methods that are no tableaus; a test compares all names with `ode.methods.METHODS`.
NOT_RUNGE_KUTTA = (
    "asynchronous_leapfrog",
    "reversible_heun",
    "leapfrog",
    "adams",
    "adams_bashforth",
    "adams_moulton",
    "scipy_lsoda",
    "scipy_vode_adams",
    "scipy_bdf",
    "scipy_radau",
)


def register_choices() -> None:
    """Make known to Hydra: the schema, the choices of `solver`, and what optimizers start from."""
    store = ConfigStore.instance().store
    store(name="schema", node=RunConfig)
    # Choices in optimizer/ and scheduler/ start from these, so that they replace a whole recipe's.
    store(name="optimizer_defaults", node=OptimizerConfig)
    store(name="scheduler_defaults", node=SchedulerConfig)
    for name in solver_names():
        store(group="solver", name=name, node={"method": name})


def registered_choices() -> dict[str, list[str]]:
    """The groups of which choices were registered here, with their choices."""
    return {"solver": sorted(solver_names())}


def solver_names() -> list[str]:
    """Every method of `ode`, without importing torch."""
    tableaus = without_torch("ode.tableaus")
    reversible = [f"reversible_{name}" for name in tableaus.EXPLICIT_TABLEAUS]
    return list(dict.fromkeys([*tableaus.TABLEAUS, *NOT_RUNGE_KUTTA, *reversible]))


def without_torch(module: str) -> ModuleType:
    """A module of this project that needs no torch, without the packages around it, which do."""
    package, _, name = module.rpartition(".")
    alias = f"_node_experiments_{package.replace('.', '_')}"
    if alias not in sys.modules:
        bare = ModuleType(alias)
        bare.__path__ = [str(Path(__file__).parent.parent.joinpath(*package.split(".")))]
        sys.modules[alias] = bare
    return import_module(f"{alias}.{name}")
