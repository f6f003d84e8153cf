"""Choices of configuration groups that are defined by the code instead of files.

`dataset=<name>` and `model=<name>` exist for every name in a chapter, with the defaults of its
settings dataclass. A file `configs/dataset/<name>.yaml` starts from them with
`defaults: [/settings/dataset/<name>]` and states only what differs.

`solver=<name>` exists for every method of `ode`: `{method: <name>}`, with tolerances and all other
settings from `SolverConfig`.
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

from ..chapters import optimizers, schedulers
from ..chapters.chapter import Dataset, Model
from ..config.run import OptimizerConfig, RunConfig, SchedulerConfig
from .compose import BY_NAME, chapter_folders, configs_folder

__all__ = ["register_choices", "registered_choices", "solver_names"]

# The methods that have no Butcher tableau; a test compares all names with `METHODS` of
# `ode.methods.registry`.
WITHOUT_TABLEAU = (
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
    """Hydra plugin that adds the configuration groups of external chapters to the search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append their folders: our files take precedence over files of the same name."""
        for folder in chapter_folders():
            search_path.append("chapters", f"file://{folder}")


def register_choices() -> None:
    """Register the schema, the choices that the code defines and optimiser defaults with Hydra."""
    Plugins.instance().register(ChapterConfigs)
    everything = ConfigStore.instance()
    # Hydra deep-copies its sources at each composition, and with them this whole store.
    vars(everything)["__deepcopy__"] = lambda memo: everything
    store, folders = everything.store, [configs_folder(), *chapter_folders()]
    store(name="schema", node=RunConfig)
    # Choices in optimizer/ and scheduler/ start from these, to replace all settings of a recipe.
    store(name="optimizer_defaults", node=OptimizerConfig)
    store(name="scheduler_defaults", node=SchedulerConfig)
    for group, entries in BY_NAME.items():
        for name, entry in entries().items():
            node = default_settings(name, entry)
            # A file of that name starts from this; without a file, this is the choice.
            store(group=f"settings/{group}", name=name, node=node, package=f"_global_.{group}")
            if not any((folder / group / f"{name}.yaml").exists() for folder in folders):
                store(group=group, name=name, node=node)
    for name in solver_names():
        store(group="solver", name=name, node={"method": name})
    for group, names in added_names().items():
        for name in names:
            if not any((folder / group / f"{name}.yaml").exists() for folder in folders):
                node = {"defaults": [f"/{group}_defaults@_here_"], "name": name}
                store(group=group, name=name, node=node)


def registered_choices() -> dict[str, list[str]]:
    """The choices that were registered here, by group."""
    by_name = {group: sorted(entries()) for group, entries in BY_NAME.items()}
    return {**by_name, "solver": sorted(solver_names()), **added_names()}


def added_names() -> dict[str, list[str]]:
    """The names of optimisers and learning-rate schedules that chapters add, by group."""
    return {"optimizer": sorted(optimizers()), "scheduler": sorted(schedulers())}


def default_settings(name: str, entry: Dataset | Model) -> dict[str, Any]:
    """Default settings that a dataset or a model reads, and its recipe, as a Hydra node."""
    settings = asdict(entry.settings(name=name))
    if isinstance(entry, Model) and entry.used_settings is not None:
        settings = {key: settings[key] for key in entry.used_settings}
    if entry.recipe is None:
        return settings
    return {"defaults": [{"override /recipe@_global_.recipe": entry.recipe}], **settings}


def solver_names() -> list[str]:
    """The names of all methods of `ode`, found without importing torch."""
    tableaus = without_torch("ode.methods.explicit_tableaus")
    reversible = [f"reversible_{name}" for name in tableaus.EXPLICIT_TABLEAUS]
    return list(dict.fromkeys([*tableaus.TABLEAUS, *WITHOUT_TABLEAU, *reversible]))


def without_torch(module: str) -> ModuleType:
    """Import a module that needs no torch, bypassing its parent packages, which do."""
    package, _, name = module.rpartition(".")
    alias = f"_node_experiments_{package.replace('.', '_')}"
    if alias not in sys.modules:
        bare = ModuleType(alias)
        bare.__path__ = [str(Path(__file__).parent.parent.joinpath(*package.split(".")))]
        sys.modules[alias] = bare
    return import_module(f"{alias}.{name}")
