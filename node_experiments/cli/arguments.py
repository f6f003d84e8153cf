"""Parsing of a command line into flags and overrides that Hydra can read, without starting Hydra.

`parse` is called once; later code uses its result and never reads the arguments again.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, NoReturn

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from ..config import alternatives, shorten
from ..errors import UserError
from .settings import holds_texts, nearest_setting, setting_types

__all__ = ["CommandLineError", "is_sweep", "normalise", "parse", "parser", "read"]

INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")

# Settings that are paths or names, whose values are taken literally.
LITERAL_SETTINGS = (
    "checkpoint", "resume", "name", "outputs", "hydra.run.dir", "hydra.sweep.dir",
    "predict.points", "predict.images", "predict.times",
)  # fmt: skip
LITERAL_LAST_PARTS = (
    "path", "root", "out", "init_from", "series_column", "time_column", "label_column",
    "group_column",    "variable_column", "value_column", "time_format", "delimiter", "decimal",
    "thousands",
)  # fmt: skip
SWEPT = ("checkpoint", "resume")  # a comma separates several values
PER_EXPERIMENT = ("dataset", "model")  # groups whose settings depend on the experiment


class CommandLineError(UserError):
    """A command line that cannot be parsed."""


class Parser(argparse.ArgumentParser):
    """Argument parser that raises an error where argparse would print and exit."""

    def error(self, message: str) -> NoReturn:
        raise CommandLineError(f"{message}; see node-run --help")


def parser() -> Parser:
    """Parser of the flags of `node-run`, which include Hydra's."""
    flags = Parser("node-run", add_help=False, allow_abbrev=False)
    flags.add_argument("overrides", nargs="*", help="key=value or group=choice")
    for names, what in {
        ("--help", "-h"): "list all choices, and the settings of those made",
        ("--hydra-help",): "this text",
        ("--version",): "the version of this package",
        ("--multirun", "-m"): "run all combinations of values that are separated by commas",
        ("--run", "-r"): "run one job (the default)",
        ("--resolve",): "with --cfg: resolve interpolations",
        ("--shell-completion", "-sc"): "with install=, uninstall= or query=<shell>",
    }.items():
        flags.add_argument(*names, action="store_true", help=what)
    flags.add_argument("--list", nargs="?", const="", help="list experiments that mention a word")
    flags.add_argument("--sample", nargs="?", const="", help="print a sample file for dataset=")
    shown = ("job", "hydra", "all")
    flags.add_argument("--cfg", "-c", choices=shown, help="print the configuration")
    flags.add_argument("--info", "-i", nargs="?", const="all", choices=INFO, help="its origins")
    flags.add_argument("--package", "-p", help="with --cfg: the part to print")
    flags.add_argument("--config-path", "-cp", help="configurations in place of the package's")
    flags.add_argument("--config-name", "-cn", help="the root configuration in place of config")
    flags.add_argument("--config-dir", "-cd", help="a directory of further configurations")
    return flags


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse flags and overrides, which may be mixed; the overrides keep their order.

    Raises:
        CommandLineError: A flag is unknown, lacks its value or excludes another one.
    """
    # argparse treats every word that starts with a dash as a flag, even if it is an override.
    flags, unknown = parser().parse_known_intermixed_args(list(words))
    if unknown:
        raise CommandLineError(unknown_flag(unknown[0], words))
    modes = {
        "--run": flags.run, "--multirun": flags.multirun, "--cfg": flags.cfg,
        "--info": flags.info, "--shell-completion": flags.shell_completion,
    }  # fmt: skip
    given = [name for name, value in modes.items() if value]
    if len(given) > 1:
        raise CommandLineError(f"{' and '.join(given)} exclude each other; give one of them")
    if flags.resolve and not flags.cfg:
        raise CommandLineError("--resolve goes with --cfg job")
    return flags


def unknown_flag(flag: str, words: Sequence[str]) -> str:
    """Message that says what to write instead of a flag such as `--epochs 3`."""
    name, given, value = flag.lstrip("-").replace("-", "_").partition("=")
    if not given:
        following = [*words, ""][list(words).index(flag) + 1]
        value = "" if following.startswith("-") or "=" in following else following
    near = nearest_setting(name)
    if not near:
        return f"{flag} is not a flag; settings are written as key=value: see node-run --help"
    written = alternatives([f"{key}={value or '<value>'}" for key in near])
    return f"{flag} is not a flag; settings are written without dashes: {written}"


@lru_cache  # each override of a command line is read several times
def read(override: str) -> Override:
    """Parse one override as Hydra does; the result is cached and must not be modified.

    Raises:
        HydraException: It does not follow Hydra's grammar; its cause is the parser's exception.
    """
    return OverridesParser.create().parse_override(override)


def normalise(
    flags: argparse.Namespace, groups: Mapping[str, Collection[str]], scratch: str | None = None
) -> list[str]:
    """The overrides in a form that Hydra can read, with those that a sweep or a process adds.

    Args:
        groups: The choices of each group.
        scratch: Folder for the files that Hydra itself writes; the run folder when None.

    Raises:
        CommandLineError: An override cannot be read, or lacks its `=`.
    """
    if flags.shell_completion:
        return list(flags.overrides)
    multirun = is_sweep(flags)
    given = [as_typed(word, groups, multirun) for word in words_with_values(flags, groups)]
    overrides = [read_or_explain(word) for word in given]
    added = []
    if multirun:
        swept = any(o.key_or_group == "experiment" and o.is_sweep_override() for o in overrides)
        if swept or any(o.key_or_group == "sweep" for o in overrides):
            given = [for_each_job(o) for o in overrides]
    if scratch is not None:
        added += [f"hydra.run.dir={scratch}", f"hydra.sweep.dir={scratch}"]
        added.append("hydra.output_subdir=null")
    return [*given, *added]


def is_sweep(flags: argparse.Namespace) -> bool:
    """Whether the command line asks for many jobs."""
    return flags.multirun or any(word.startswith("sweep=") for word in flags.overrides)


def words_with_values(
    flags: argparse.Namespace, groups: Mapping[str, Collection[str]]
) -> list[str]:
    """Return the overrides after a check that each is `key=value`, or `~key`, which deletes.

    Raises:
        CommandLineError: One is neither; the message suggests what was probably meant.
    """
    words: list[str] = flags.overrides
    for place, word in enumerate(words):
        if "=" in word[1:] or word.startswith("~"):
            continue
        # Also for `key = value`, which the shell splits into three words.
        following = next((w for each in words[place + 1 :] if (w := each.lstrip("="))), "")
        before = words[place - 1] if place else ""
        if (word in groups or word in setting_types()) and following:
            meant = [f"{word}={following}"]
        elif before.endswith("="):
            meant = [before + word]
        elif before.count("[") > before.count("]"):
            meant = [shlex.quote(f"{before} {word}")]
        else:
            meant = [f"{group}={word}" for group, names in groups.items() if word in names]
        hint = f"; did you mean {alternatives(meant[:3])}?" if meant else ""
        raise CommandLineError(f"{word!r} sets nothing: write key=value{hint}")
    return words


def as_typed(word: str, groups: Mapping[str, Collection[str]], multirun: bool) -> str:
    """Quote the value of an override where it is text that Hydra would read as something else.

    >>> as_typed("dataset.path=a=b (1).csv", {}, False)
    "dataset.path='a=b (1).csv'"
    >>> as_typed("dataset.value_columns=[hr (bpm), bp]", {}, False)
    "dataset.value_columns=['hr (bpm)','bp']"
    >>> as_typed("debug=nan", {"debug": ["nan"]}, False)
    "debug='nan'"
    """
    key, _, value = word.partition("=")
    setting = key.lstrip("+")
    if setting in groups and value in groups[setting]:
        return word if readable(word, str) else f"{key}={quoted(value)}"
    if holds_texts(setting) and re.fullmatch(r"\[.+\]", value, re.DOTALL):
        items = value[1:-1]
        if not set("[]{}'\"\\$") & set(items) or not readable(word, object):
            names = (
                re.sub(r"""^(['"])(.*)\1$""", r"\2", each.strip()) for each in items.split(",")
            )
            return f"{key}=[{','.join(map(quoted, names))}]"
    if is_literal(setting) and value.strip() and value.lower() != "null" and "${" not in value:
        return f"{key}={literal_value(word, several=multirun or setting in SWEPT)}"
    return word


def is_literal(setting: str) -> bool:
    """Whether a setting is a path or a name."""
    group, _, last = setting.rpartition(".")
    return setting in LITERAL_SETTINGS or (bool(group) and last in LITERAL_LAST_PARTS)


def literal_value(word: str, several: bool) -> str:
    """The value of an override that is a path or a name, quoted unless Hydra reads it as typed.

    Args:
        several: A comma separates values; an escaped one is part of a name.
    """
    value = word.partition("=")[2]
    several = several and "," in value
    if readable(word, object):
        override = read(word)
        own_quotes = value[0] in "'\"[{"
        own_function = override.is_sweep_override() and "," not in value.split("(")[0]
        unchanged = own_function or override.value() == value
        if own_quotes or (not {"=", "\\"} & set(value) if several else unchanged):
            return value
    if several:
        parts = [re.sub(r"\\(.)", r"\1", part) for part in re.split(r"(?<!\\),", value)]
        return ",".join(map(quoted, parts))
    return quoted(re.sub(r"\\(?=[=,])", "", value))  # escapes that Hydra's manual prescribes


def readable(word: str, kind: type) -> bool:
    """Whether Hydra can parse an override and its value has this type."""
    try:
        override = read(word)
        return kind is object or isinstance(override.value(), kind)
    except HydraException:
        return False


def quoted(text: str) -> str:
    """Text quoted for Hydra's grammar."""
    return QuotedString(text=text, quote=Quote.single).with_quotes()


def for_each_job(override: Override) -> str:
    """Turn a setting of a dataset or a model into a sweep over its one value.

    Hydra composes what does not vary before it knows the experiment, and would apply
    `dataset.observations=30` to the default dataset.
    """
    word = str(override.input_line)
    group, _, setting = override.key_or_group.partition(".")
    if group in PER_EXPERIMENT and setting and not override.is_sweep_override():
        key, _, value = word.partition("=")
        return f"{key}=choice({value})"
    return word


def read_or_explain(word: str) -> Override:
    """Parse one override as Hydra does.

    Raises:
        CommandLineError: It does not follow Hydra's grammar; the message shows how to quote it.
    """
    try:
        return read(word)
    except HydraException as error:
        key, _, value = word.partition("=")
        if not re.fullmatch(r"[+~]{0,2}[\w.@:/-]+", key, re.ASCII):
            raise CommandLineError(
                f"{shorten(key)!r} in {shorten(word)!r} is not a setting"
            ) from error
        quotes = Quote.double if "'" not in value else Quote.single
        example = shlex.quote(f"{key}={QuotedString(value, quotes).with_quotes()}")
        raise CommandLineError(
            f"the value of {key} cannot be read{place_of(error, word)}: {shorten(value)!r}; "
            f"if it is text, quote it for the shell and for Hydra: {shorten(example)}"
        ) from error


def place_of(error: BaseException, word: str) -> str:
    """Phrase that says at which text the parser stopped; empty if its exception does not tell."""
    cause: Any = error.__cause__
    token = getattr(cause, "offendingToken", None)
    at = getattr(token, "start", None) if token is not None else getattr(cause, "startIndex", None)
    if not isinstance(at, int) or not 0 <= at < len(word):
        return ""
    return f" from {shorten(word[at:], 20)!r} on"
