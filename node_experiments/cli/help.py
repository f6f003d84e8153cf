"""What `node-run --help` prints.

Hydra's own help asks its repository of configurations hundreds of questions, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from ..runner.choices import registered_choices
from ..runner.compose import configs_folder

__all__ = ["choices", "help_text"]

TEXT = """\
node-run reproduces "Neural Ordinary Differential Equations" (Chen et al. 2018).

== Examples ==
node-run experiment=mnist_odenet solver=dopri5
node-run -m experiment=mnist_odenet solver=euler,rk4 solver.num_steps=10 seed=0,1,2
node-run mode=eval checkpoint=outputs/mnist_odenet/<run> solver.rtol=1e-5 solver.atol=1e-5
node-run mode=figure3 checkpoint=outputs/mnist_odenet/<run>

== Choices (group=choice) ==
{choices}

== Settings (key=value) ==
{settings}
== Flags ==
--multirun, -m      run all combinations of values that are separated by commas
--cfg job           print the configuration and do not run it
--info defaults     print where each part of the configuration is from
--shell-completion  complete groups and settings in bash, fish or zsh; see --hydra-help
--hydra-help        all flags
"""


def help_text(overrides: Sequence[str]) -> str:
    """The help with the settings that these overrides lead to, but for those that are swept.

    Raises:
        HydraException: They cannot be composed.
    """
    folder = configs_folder()
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    single = [o.input_line for o in parsed if not o.is_sweep_override() and o.input_line]
    with initialize_config_dir(str(folder.resolve()), version_base="1.3"):
        composed = compose("config", overrides=single)
    return TEXT.format(
        choices="\n".join(f"{group}: {', '.join(names)}" for group, names in choices(folder)),
        settings=OmegaConf.to_yaml(composed),
    )


def choices(folder: Path) -> list[tuple[str, list[str]]]:
    """Every group with its choices, files or not; those of Hydra itself are left out."""
    found = registered_choices()
    for file in sorted(folder.rglob("*.yaml")):
        group = file.parent.relative_to(folder).as_posix()
        if group != "." and group.split("/")[0] != "hydra":
            found.setdefault(group, []).append(file.stem)
    return sorted(found.items())
