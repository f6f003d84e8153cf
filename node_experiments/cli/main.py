"""`node-run`: compose a configuration, run it, and say in one line what went wrong if it did.

No torch is imported here before a run starts, so that help and mistakes are answered at once.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from ..config import (
    ConfigError,
    folder_name,
)
from ..runner.choices import register_choices
from ..runner.compose import configs_folder
from ..runner.job import (
    ExitCode,
    job,
    torchrun_rank,
)
from ..runner.messages import (
    complain,
    describe,
)
from .help import help_text
from .sweep_summary import SweepSummary

__all__ = ["main"]

MULTIRUN = {"-m", "--multirun"}
BROKEN_PIPE = 128 + 13  # as the shell says of a process that the signal of that name ended
HELP = {"-h", "--help"}


def main() -> int:
    """Run the command line; returns the exit code."""
    ExitCode.last = SweepSummary.exit_code = 0
    ExitCode.began = False
    register()
    try:
        with errors_raised():
            # Without quotes, Hydra reads a number that is none.
            sys.argv[1:] = ["debug='nan'" if a == "debug=nan" else a for a in sys.argv[1:]]
            put_multirun_first()
            quote_run_folders()
            name_jobs_by_what_varies()
            leave_settings_to_the_jobs()
            let_process_0_have_the_folder()
            if HELP & set(sys.argv):
                overrides = [a for a in sys.argv[1:] if not a.startswith("-")]
                print(help_text(overrides), end="", flush=True)
                return 0
            compose_and_run()
    except (ConfigError, HydraException, ValueError) as error:
        if wants_traceback():
            raise
        return complain(describe(error))
    except BrokenPipeError:
        # Who reads the output has seen enough; what is still to be written goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        if wants_traceback():
            raise
        return complain(
            f"cannot write the run folder: {error.strerror} ({error.filename}); "
            "set outputs=<folder that can be written>"
        )
    except KeyboardInterrupt as interruption:
        return next(iter(interruption.args), 130)
    except Exception as error:
        # Hydra meets some input with an exception of no type of its own, before any job.
        if wants_traceback() or ExitCode.began:
            raise
        return complain(describe(error))
    return SweepSummary.exit_code if is_sweep() else ExitCode.last


def wants_traceback() -> bool:
    """Whether the user asked for tracebacks, with Hydra's own variable."""
    return os.environ.get("HYDRA_FULL_ERROR") == "1"


@contextmanager
def errors_raised() -> Iterator[None]:
    """Let Hydra raise its errors here, instead of printing several lines and exiting."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before


def register() -> None:
    """Make the schema, the choices that are no files and the resolvers known to Hydra."""
    register_choices()
    OmegaConf.register_new_resolver("slug", slug, replace=True)
    OmegaConf.register_new_resolver(
        "folder_name", lambda name: folder_name(str(name)), replace=True
    )
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)


def put_multirun_first() -> None:
    """Take `-m` anywhere: argparse wants all overrides in one piece."""
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda argument: argument not in MULTIRUN)


def quote_run_folders() -> None:
    """Take run folders of sweeps as they are called: Hydra reads no `=` in a value as it is.

    Its manual escapes it with a backslash, which it would keep within quotes.
    """
    holds_equals = re.compile(r"(checkpoint|resume)=([^'\"]*=[^'\"]*)")
    for place, argument in enumerate(sys.argv):
        if found := holds_equals.fullmatch(argument):
            # A comma that is escaped belongs to a name.
            folders = [re.sub(r"\\(.)", r"\1", f) for f in re.split(r"(?<!\\),", found[2])]
            quoted = ",".join(f"'{folder}'" for folder in folders)
            sys.argv[place] = f"{found[1]}={quoted}"


def name_jobs_by_what_varies() -> None:
    """In a sweep, leave overrides that are the same for all jobs out of their folders' names."""
    if not is_sweep():
        return
    given = [argument for argument in sys.argv[1:] if "=" in argument and argument[0] != "-"]
    overrides = OverridesParser.create().parse_overrides(given)
    same = [o.key_or_group for o in overrides if not o.is_sweep_override()]
    keys = ",".join(f"'{key}'" for key in same if not key.startswith("hydra"))
    sys.argv.append(f"hydra.job.config.override_dirname.exclude_keys=[{keys}]")


def leave_settings_to_the_jobs() -> None:
    """Where experiments are swept, let each job read the settings of its own dataset and model.

    Hydra composes the part of the command line that does not vary before it has an experiment,
    and would meet `dataset.observations=30` with the default dataset.
    """
    swept = any(re.match(r"experiment=.*,|sweep=", argument) for argument in sys.argv)
    if is_sweep() and swept:
        setting = re.compile(r"((?:dataset|model)\.[\w.]+)=([^,(]+)")
        sys.argv[1:] = [
            setting.sub(r"\1=choice(\2)", a, count=1) if setting.fullmatch(a) else a
            for a in sys.argv[1:]
        ]


def is_sweep() -> bool:
    """Whether the command line asks for many jobs."""
    return bool(MULTIRUN & set(sys.argv)) or any(
        argument.startswith("sweep=") for argument in sys.argv
    )


def let_process_0_have_the_folder() -> None:
    """Under torchrun, the other processes leave no folder behind."""
    if torchrun_rank() > 0:
        scratch = tempfile.mkdtemp(prefix="node-run-")
        atexit.register(shutil.rmtree, scratch, ignore_errors=True)
        for key in ("run", "sweep"):
            sys.argv.append(f"hydra.{key}.dir={scratch}")
        sys.argv.append("hydra.output_subdir=null")


@hydra.main(version_base="1.3", config_path=str(configs_folder()), config_name="config")
def compose_and_run(composed: DictConfig) -> float | None:
    """One job; launchers carry this function into other processes, so it refers to others only."""
    return job(composed, HydraConfig.get())


def slug(overrides: str) -> str:
    """Overrides as a short folder name."""
    return re.sub(r"[^A-Za-z0-9.=_-]+", "_", overrides)[:80].strip("_")


def run_name(mode: str, dataset: str, model: str) -> str:
    """The name of a run that is no experiment."""
    return f"{dataset}_{model}" if mode == "train" else mode


# Also in the processes of a launcher, which import this module and do not call `main`.
register()

if __name__ == "__main__":
    sys.exit(main())
