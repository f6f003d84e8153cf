"""What `node-run`, `node-run --help` and `node-run --list` print.

Hydra's own help asks its repository of configurations hundreds of questions, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from .. import __version__
from ..config import ConfigError, nearest
from ..runner.compose import configs_folder
from .arguments import read
from .experiment_times import MINUTES
from .settings import choices

__all__ = ["experiment_list", "help_text", "short_help"]

EXAMPLES = """\
node-run experiment=mnist_odenet solver=dopri5
node-run -m experiment=mnist_odenet solver=euler,rk4 solver.num_steps=10 seed=0,1,2
node-run mode=eval checkpoint=outputs/mnist_odenet/<run> solver.rtol=1e-5 solver.atol=1e-5
node-run mode=figure3 checkpoint=outputs/mnist_odenet/<run>
"""

SHORT = """\
node-run {version}: experiments with neural ordinary differential equations (Chen et al. 2018).

{examples}
node-run experiment=mnist_odenet protocol=smoke   try any experiment in seconds
node-run --list [word]                            experiments, each in one line
node-run experiment=mnist_odenet --help           the settings of an experiment, and all choices
"""

TEXT = """\
node-run reproduces "Neural Ordinary Differential Equations" (Chen et al. 2018).

== Examples ==
{examples}
== Choices (group=choice) ==
{choices}

== Settings (key=value) ==
{settings}
== Flags ==
--list [word]       experiments, each in one line; only those that mention the word
--multirun, -m      run all combinations of values that are separated by commas
--cfg job           print the configuration and do not run it
--info defaults     print where each part of the configuration is from
--version           print the version of this package
--shell-completion  complete groups and settings in bash, fish or zsh; see --hydra-help
--hydra-help        all flags of Hydra
"""


def short_help() -> str:
    """What to type first."""
    return SHORT.format(version=__version__, examples=EXAMPLES)


def help_text(overrides: Sequence[str]) -> str:
    """The help with the settings that these overrides lead to, but for those that are swept.

    Raises:
        HydraException: They cannot be composed.
    """
    folder = configs_folder()
    parsed = map(read, overrides)
    single = [o.input_line for o in parsed if not o.is_sweep_override() and o.input_line]
    with initialize_config_dir(str(folder.resolve()), version_base="1.3"):
        composed = compose("config", overrides=single)
    groups = choices([folder])
    return TEXT.format(
        examples=EXAMPLES,
        choices="\n".join(f"{group}: {', '.join(names)}" for group, names in groups.items()),
        settings=OmegaConf.to_yaml(composed),
    )


def experiment_list(word: str, folders: Iterable[Path]) -> str:
    """Every experiment in one line: its name, how long it takes, its data, and what it is.

    Args:
        word: Only experiments whose line has it, in any case.

    Raises:
        ConfigError: No experiment has the word.
    """
    files = {
        file.stem: file for folder in folders for file in sorted(folder.glob("experiment/*.yaml"))
    }
    rows = [(name, took(name), *described(file)) for name, file in sorted(files.items())]
    found = [row for row in rows if word.lower() in " ".join(row).lower()]
    if not found:
        raise ConfigError(f"no experiment mentions {word!r}{nearest(word, sorted(files))}")
    widths = [max(len(row[place]) for row in found) for place in (0, 1, 2)]
    lines = [
        "  ".join(
            [*(f"{text:<{width}}" for text, width in zip(row, widths, strict=False)), row[3]]
        )
        for row in found
    ]
    return "\n".join(
        [*lines, "", "minutes: protocol=quick on one CPU core, where it was measured"]
    )


def took(name: str) -> str:
    """The time that an experiment takes, in words."""
    return f"{MINUTES[name]} min" if name in MINUTES else ""


def described(file: Path) -> tuple[str, str]:
    """The dataset of an experiment, and what its file says of it in the comment on its top."""
    text = file.read_text(errors="replace")
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").strip())
    said = [line for line in lines if not line.startswith(("@package", "node-run "))]
    before = [line for line in said if not line.startswith(("Schedules", "Recipes", "Sources"))]
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        return "", "its file is no YAML"
    defaults = content.get("defaults") if isinstance(content, dict) else None
    data = ""
    for entry in defaults if isinstance(defaults, list) else []:
        if isinstance(entry, dict):
            for key, value in entry.items():
                if str(key).split()[-1].strip("/") == "dataset":
                    data = str(value)
    return data, " ".join(before)
