"""Choices of configuration groups that are no files: they follow from the code.

`dataset=<name>` and `model=<name>` exist for every name of a chapter, with the defaults of its
settings dataclass. A file `configs/dataset/<name>.yaml` starts from them by
`defaults: [/settings/dataset/<name>]` and states only what differs.

`solver=<name>` exists for every method of `ode`: `{method: <name>}`, with the tolerances and all
else from `SolverConfig`.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from ..chapters.chapter import Dataset, Model
from ..config.run import OptimizerConfig, RunConfig, SchedulerConfig
from .compose import BY_NAME, chapter_folders, configs_folder

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
    "scipy_rk23",
    "scipy_rk45",
    "scipy_dop853",
)


class ChapterConfigs(SearchPathPlugin):
    """Puts the configuration groups of chapters from outside on Hydra's search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append their folders: a file of ours wins over one of the same name."""
        for folder in chapter_folders():
            search_path.append("chapters", f"file://{folder}")


def register_choices() -> None:
    """Make known to Hydra: the schema, the choices of `solver`, and what optimizers start from."""
    Plugins.instance().register(ChapterConfigs)
    everything = ConfigStore.instance()
    # Hydra copies its sources whenever it composes, and with them all of this store.
    vars(everything)["__deepcopy__"] = lambda memo: everything
    store, folders = everything.store, [configs_folder(), *chapter_folders()]
    store(name="schema", node=RunConfig)
    # Choices in optimizer/ and scheduler/ start from these, so that they replace a whole recipe's.
    store(name="optimizer_defaults", node=OptimizerConfig)
    store(name="scheduler_defaults", node=SchedulerConfig)
    for group, entries in BY_NAME.items():
        for name, entry in entries().items():
            node = default_settings(name, entry)
            # What a file of that name starts from; without a file, this is the choice.
            store(group=f"settings/{group}", name=name, node=node, package=f"_global_.{group}")
            if not any((folder / group / f"{name}.yaml").exists() for folder in folders):
                store(group=group, name=name, node=node)
    for name in solver_names():
        store(group="solver", name=name, node={"method": name})


def registered_choices() -> dict[str, list[str]]:
    """The groups of which choices were registered here, with their choices."""
    by_name = {group: sorted(entries()) for group, entries in BY_NAME.items()}
    return {**by_name, "solver": sorted(solver_names())}


def default_settings(name: str, entry: Dataset | Model) -> dict[str, Any]:
    """The settings that a dataset or a model reads, and its recipe, as a node of Hydra's."""
    settings = asdict(entry.settings(name=name))
    if isinstance(entry, Model) and entry.reads is not None:
        settings = {key: settings[key] for key in entry.reads}
    if entry.recipe is None:
        return settings
    return {"defaults": [{"override /recipe@_global_.recipe": entry.recipe}], **settings}


def solver_names() -> list[str]:
    """Every method of `ode`, without importing torch."""
    tableaus = without_torch("ode.methods.explicit_tableaus")
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
