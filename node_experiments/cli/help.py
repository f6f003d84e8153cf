"""Texts that `node-run`, `node-run --help` and `node-run --list` print.

Hydra's own help queries its configuration repository hundreds of times, which takes seconds.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import DictConfig, OmegaConf

from ..chapters import datasets
from ..config import ConfigError, nearest
from ..runner.messages import outcome_of_test
from ..runs.checkpoint_names import PRETRAINED, pretrained_runs
from ..runs.result import read_result
from ..version import __version__
from .arguments import read
from .experiment_times import MINUTES
from .setting_comments import described_settings
from .settings import choices, listing

__all__ = ["experiment_list", "help_of_chosen", "help_text", "short_help"]

NARROWEST = 32  # columns that a description needs beside the start of its line
WIDEST = 36  # columns that a setting is padded to at most

EXAMPLES = """\
node-run experiment=mnist_odenet solver=dopri5
node-run -m experiment=mnist_odenet solver=euler,rk4 solver.num_steps=10 seed=0,1,2
node-run mode=eval checkpoint=latest solver.rtol=1e-5 solver.atol=1e-5
node-run mode=figure3 checkpoint=pretrained:mnist_odenet
node-run experiment=csv_latent_ode dataset.path=patients.csv
node-run mode=predict checkpoint=latest dataset.path=new_patients.csv predict.out=forecasts.csv
"""

SHORT = """\
node-run {version}: neural ordinary differential equations (Chen et al. 2018)

{examples}
in seconds    node-run experiment=mnist_odenet protocol=smoke
experiments   node-run --list [word]
its settings  node-run experiment=mnist_odenet --help
"""

TEXT = """\
node-run reproduces "Neural Ordinary Differential Equations" (Chen et al. 2018).

== Examples ==
{examples}
== Choices (group=choice) ==
{choices}

== Settings (key=value) ==
node-run experiment=mnist_odenet --help  # the settings of an experiment, explained

== Flags ==
--list [word]       list experiments and trained models; only those that mention the word
--sample [name]     print a sample file, such as dataset=csv reads
--multirun, -m      run all combinations of values that are separated by commas
--cfg job           print the configuration and do not run it
--info defaults     print where each part of the configuration comes from
--version           print the version of this package
--shell-completion  complete groups and settings in bash, fish or zsh; see --hydra-help
--hydra-help        all flags of Hydra
"""

OF_CHOSEN = """\
{settings}

(paper, official_code or choice: where a value comes from. Choices of all groups: node-run --help)
"""


def short_help() -> str:
    """Text that `node-run` prints without arguments: what to type first."""
    return SHORT.format(version=__version__, examples=EXAMPLES)


def help_text(folders: Iterable[Path], width: int | None = None) -> str:
    """Help text with all choices and flags.

    Args:
        folders: Folders of configurations.
        width: Width of the terminal; None for lines of any length.
    """
    names, of_recipes = choices(folders), "recipe/"
    recipes = [group.removeprefix(of_recipes) for group in names if group.startswith(of_recipes)]
    lines = []
    for group, of_group in names.items():
        if not group.startswith(of_recipes):
            lines += hanging(f"{group}: ", ", ".join(of_group), width)
    lines += hanging("recipe: ", ", ".join(recipes), width)
    return TEXT.format(examples=EXAMPLES, choices="\n".join(lines))


def help_of_chosen(
    overrides: Sequence[str],
    compose: Callable[[list[str]], DictConfig],
    folders: Iterable[Path],
    width: int | None = None,
) -> str:
    """Help text with the settings that result from overrides, of which swept ones are left out.

    Args:
        overrides: Overrides of the command line.
        compose: Composes a configuration from overrides, with these folders.
        folders, width: As in `help_text`.

    Raises:
        HydraException: The overrides cannot be composed.
    """
    parsed = map(read, overrides)
    single = [o.input_line for o in parsed if not o.is_sweep_override() and o.input_line]
    composed = compose(single)
    settings = cast("dict[str, Any]", OmegaConf.to_container(composed))
    settings["model"] = OmegaConf.to_container(composed.model, resolve=True)  # of_epochs
    lines = [
        dataset_and_description(file)[1]
        for folder in folders
        for file in folder.glob("experiment/*.yaml")
        if f"experiment={file.stem}" in single
    ]
    for group, of_group in described_settings(settings).items():
        longest = max(len(setting) for setting, _ in of_group)
        lines.append(f"\n== {group or 'run'} ==")
        for setting, description in of_group:
            lines += hanging(f"{setting:<{min(longest, WIDEST)}}  ", description, width)
    return OF_CHOSEN.format(settings="\n".join(lines))


def experiment_list(word: str, folders: Iterable[Path], width: int | None = None) -> str:
    """List of experiments, one per line: name, duration, dataset and description.

    Args:
        word: Keep only experiments whose line has a word that starts with it, in any case; if
            there are none, those whose line contains it anywhere.
        width: Width of the terminal, to which descriptions are wrapped; None for lines of any
            length.

    Raises:
        ConfigError: Neither an experiment nor a trained model mentions the word.
    """
    files = {
        file.stem: file for folder in folders for file in sorted(folder.glob("experiment/*.yaml"))
    }
    rows = [
        (name, duration(name), *dataset_and_description(file))
        for name, file in sorted(files.items())
    ]
    starts = re.compile(rf"(?<![^\W_]){re.escape(word)}", re.IGNORECASE)
    found = [row for row in rows if starts.search(" ".join(row))]
    found = found or [row for row in rows if word.lower() in " ".join(row).lower()]
    trained = [row for row in pretrained_list() if word.lower() in " ".join(row).lower()]
    shipped = [line for name, result in trained for line in hanging(f"{name}  ", result, width)]
    if shipped and not found:
        return "\n".join(shipped)
    if not found:
        raise ConfigError(
            f"no experiment mentions {word!r}"
            f"{nearest(word, sorted(files), listing=listing('experiment'))}"
        )
    widths = [max(len(row[place]) for row in found) for place in (0, 1, 2)]
    lines = []
    for *names, what in found:
        columns = zip(names, widths, strict=True)
        lines += hanging("".join(f"{text:<{size}}  " for text, size in columns), what, width)
    note = "min: protocol=quick on one CPU core, rounded up; - was not measured"
    return "\n".join([*lines, "", note, *([""] if shipped else []), *shipped])


def hanging(start: str, text: str, width: int | None) -> list[str]:
    """Lines of a text that follows `start`, wrapped with a hanging indent.

    >>> hanging("name  ", "what this is and does", 36)
    ['name', '    what this is and does']
    >>> hanging("name  ", "what this is and does, in a few words", 40)
    ['name  what this is and does, in a few', '      words']
    """
    if width is None:
        return [start + text]
    if width - len(start) < NARROWEST:
        rest = textwrap.wrap(text, max(width - 4, NARROWEST // 2))
        return [start.rstrip(), *(f"    {line}" for line in rest)]
    first, *rest = textwrap.wrap(text, width - len(start)) or [""]
    return [start + first, *(" " * len(start) + line for line in rest)]


def pretrained_list() -> list[tuple[str, str]]:
    """Name and test result of each trained model that ships with the package."""
    rows = []
    for name, folder in pretrained_runs().items():
        result = read_result(folder)
        if result is not None:
            outcome = outcome_of_test(result.found)
            rows.append(
                (f"checkpoint={PRETRAINED}{name}", f"protocol={result.protocol}, {outcome}")
            )
    return rows


def sample_text(dataset: str, name: str) -> str:
    """Content of a sample of the files that a dataset reads from its user.

    Args:
        name: Name of the sample; the dataset's first one when empty.

    Raises:
        ConfigError: The dataset has no sample, or none of this name.
    """
    known = {key: entry.samples for key, entry in datasets().items() if entry.samples}
    if dataset not in known:
        raise ConfigError(
            f"--sample needs a dataset that reads files of the user: {known_samples(known)}"
        )
    samples = known[dataset]
    if name and name not in samples:
        raise ConfigError(f"--sample {name} is unknown{nearest(name, samples)}")
    package, _, path = samples[name or next(iter(samples))].partition("/")
    return files(package).joinpath(path).read_text()


def known_samples(known: Mapping[str, Mapping[str, str]]) -> str:
    """The commands that print each sample, separated by commas."""
    return ", ".join(
        f"node-run dataset={dataset} --sample {name}"
        for dataset in known
        for name in known[dataset]
    )


def duration(name: str) -> str:
    """Duration of an experiment as text; a dash if it was not measured."""
    return f"{MINUTES[name]} min" if name in MINUTES else "-"


def dataset_and_description(file: Path) -> tuple[str, str]:
    """Dataset of an experiment, and its description from the comment at the top of its file."""
    text = file.read_text(errors="replace")
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").strip())
    skipped = ("@package", "node-run ", "Schedules", "Recipes", "Sources")
    sentences = [line for line in lines if not line.startswith(skipped)]
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        return "", "its file is not valid YAML"
    defaults = content.get("defaults") if isinstance(content, dict) else None
    data = ""
    for entry in defaults if isinstance(defaults, list) else []:
        if isinstance(entry, dict):
            for key, value in entry.items():
                if str(key).split()[-1].strip("/") == "dataset":
                    data = str(value)
    return data, " ".join(sentences)
