"""Configurations of command lines, without a run."""

from node_experiments.cli.application import (
    CONFIG,
    chapter_folders,
    check_overrides,
    choices,
    compose,
    config_folders,
    exclude_keys_override,
    hydra_for,
    is_sweep,
    normalise,
    parse,
    read,
    validate,
)


def composed_config(words):
    """The typed configuration of a command line whose checkpoint, if any, need not exist."""
    flags = parse(words)
    folders = [*config_folders(flags), *chapter_folders()]
    groups = choices(folders)
    given, multirun = normalise(flags, groups), is_sweep(flags)
    overrides = [*given, exclude_keys_override([], given, multirun)]
    check_overrides(map(read, overrides), groups, folders, multirun)
    with hydra_for(flags) as hydra:
        return validate(compose(hydra, CONFIG, overrides, multirun))
