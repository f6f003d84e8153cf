"""Run other people's programs with the drop-in in place of torchdiffeq, and compare.

    python scripts/foreign_suites.py --torchdiffeq ~/torchdiffeq --ffjord ~/ffjord

Each option is the path of a checkout; what is not given is not run. Nothing of a checkout is
changed: a package `torchdiffeq` that re-exports the drop-in is put in front of it in a temporary
directory. Everything runs once with the drop-in and once with torchdiffeq from its checkout, in
separate processes with one thread, and a Markdown table is printed. The Python that runs this
script needs what the checkouts need. Bytecode is kept in a temporary directory from the first run
on, as it is of an installed package; both packages are imported once before anything is timed.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SHIM = """
import importlib, sys
from node_experiments.ode.torchdiffeq import *
from node_experiments.ode.torchdiffeq import __version__, _impl
sys.modules["torchdiffeq._impl"] = _impl
for _name in ("odeint", "adjoint", "solvers", "fixed_grid", "misc"):
    _module = f"node_experiments.ode.torchdiffeq._impl.{_name}"
    sys.modules[f"torchdiffeq._impl.{_name}"] = importlib.import_module(_module)
"""
# Whoever imports a module first pays for its bytecode.
IMPORTING = """
import importlib
for name in ("torchdiffeq", "torch._dynamo", "torchvision", "sklearn.datasets", "pandas",
             "scipy.integrate", "matplotlib.pyplot", "torchcde", "torchdyn"):
    try:
        importlib.import_module(name)
    except ImportError:
        pass
"""
PROGRAMS = HERE / "foreign_programs"


@dataclass(frozen=True)
class Program:
    """Something to run.

    Attributes:
        package: Name of the option whose checkout it belongs to.
        name: What it is.
        command: Arguments of the Python interpreter; `{root}` is the checkout.
        folder: Where it runs, relative to the checkout; a temporary directory when None.
        result: Pattern whose last match is the result; its groups are joined by "/".
    """

    package: str
    name: str
    command: tuple[str, ...]
    folder: str | None = None
    result: str = r"[Ll]oss:? ?=? ?(-?\d+\.\d+)"


def programs() -> Iterator[Program]:
    """Everything that is run, in the order of the table."""
    methods = r"methods passed: (\d+) of (\d+)"
    tests = r"(\d+) passed"
    own = ("api", "event", "gradient", "norm", "odeint")
    runner = str(PROGRAMS / "test_methods.py")
    yield Program(
        "torchdiffeq",
        "its test suite (methods)",
        (runner, *(f"{name}_tests" for name in own)),
        "tests",
        methods,
    )
    seeded = str(PROGRAMS / "seeded.py")
    examples = "{root}/examples"
    for flags in ((), ("--adjoint",)):
        yield Program(
            "torchdiffeq",
            " ".join(("ode_demo.py", *flags)),
            (seeded, f"{examples}/ode_demo.py", "--niters", "40", "--test_freq", "20", *flags),
        )
        yield Program(
            "torchdiffeq",
            " ".join(("cnf.py", *flags)),
            (seeded, f"{examples}/cnf.py", "--niters", "4", *flags),
        )
        mode = str(bool(flags))
        yield Program(
            "torchdiffeq",
            f"latent_ode.py --adjoint {mode}",
            (seeded, f"{examples}/latent_ode.py", "--niters", "4", "--adjoint", mode),
            result=r"Iter: \d+, running avg elbo: (-?\d+\.\d+)",
        )
        yield Program(
            "torchdiffeq",
            f"odenet_mnist.py --adjoint {mode}",
            (str(PROGRAMS / "odenet_mnist.py"), f"{examples}/odenet_mnist.py", mode),
        )
        yield Program(
            "torchdiffeq",
            " ".join(("bouncing_ball.py", *flags)),
            (seeded, f"{examples}/bouncing_ball.py", "3", *flags),
            result=r"(Gradient check passed)",
        )
    yield Program(
        "torchdiffeq",
        "learn_physics.py",
        (seeded, f"{examples}/learn_physics.py", "--num_iterations", "3"),
        result=r"^\d+ (\d+\.\d+) \d+$",
    )
    for divergence in ("brute_force", "approximate"):
        for solver in ("dopri5", "rk4"):
            yield Program(
                "ffjord",
                f"CNF layer, {divergence}, {solver}",
                (str(PROGRAMS / "ffjord_cnf.py"), divergence, solver),
                ".",
            )
    quiet = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore")
    cde = ("test_cdeint.py", "test_tricks.py", "test_misc.py")
    yield Program("torchcde", "its tests", (*quiet, *cde), "test", tests)
    yield Program(
        "torchdyn", "test_sensitivity.py", (*quiet, "test_sensitivity.py"), "test", tests
    )
    yield Program("flow_matching", "its tests", (*quiet, "tests"), ".", tests)
    yield Program("torchcfm", "training and sampling", (str(PROGRAMS / "torchcfm_moons.py"),), ".")
    yield Program(
        "latent_ode",
        "run_models.py, periodic, 1 epoch",
        (
            seeded, "{root}/run_models.py", "--niters", "1", "-n", "20", "-s", "30", "-l", "6",
            "--dataset", "periodic", "--latent-ode",
        ),
        None,
        r"Loss (-?\d+\.\d+)",
    )  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What came of a run: its result, or how it failed, and CPU seconds."""

    result: str
    seconds: float


def run(program: Program, root: Path, paths: list[Path], limit: float, cache: str) -> Outcome:
    """Run a program with `paths` in front of all other modules, and bytecode kept in `cache`."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if program.folder is None else root / program.folder
        modules = [*paths, root, folder, HERE.parent]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, modules)),
            "OMP_NUM_THREADS": "1",
            "MPLBACKEND": "agg",
            "PYTHONPYCACHEPREFIX": cache,
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [part.format(root=root) for part in program.command]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        try:
            done = subprocess.run(
                [sys.executable, *command],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Outcome(f"not finished in {limit:g} s", limit)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    output = done.stdout + done.stderr
    found = re.findall(program.result, output, re.MULTILINE)
    if program.package == "torchdiffeq" and program.folder == "tests":
        print(output, file=sys.stderr)
    if not found:
        lines = output.strip().splitlines() or ["no output"]
        return Outcome(f"failed: {lines[-1][:80]}", seconds)
    last = found[-1]
    result = "/".join(last) if isinstance(last, tuple) else last
    failed = re.search(r"(\d+) failed", output)
    if failed:
        result += f", {failed[1]} failed"
    elif done.returncode and "methods passed" not in output:
        result += f", exit code {done.returncode}"
    return Outcome(result, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    packages = list(dict.fromkeys(program.package for program in programs()))
    for package in packages:
        parser.add_argument(f"--{package}", type=Path, metavar="PATH")
    parser.add_argument("--only", default="", help="run what has this in its name")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds for each run")
    options = vars(parser.parse_args())
    theirs = options["torchdiffeq"]
    if theirs is None:
        parser.error("--torchdiffeq is needed, for everything is compared with it")
    columns = ["result, drop-in", "result, torchdiffeq", "CPU s, drop-in", "CPU s, torchdiffeq"]
    print(f"| package | what ran | {' | '.join(columns)} | ratio |")
    print("| --- | --- | --- | --- | ---: | ---: | ---: |", flush=True)
    with tempfile.TemporaryDirectory() as shim, tempfile.TemporaryDirectory() as cache:
        package = Path(shim) / "torchdiffeq"
        package.mkdir()
        (package / "__init__.py").write_text(SHIM)
        importing = Program("torchdiffeq", "import", ("-c", IMPORTING))
        for path in (Path(shim), theirs.resolve()):
            run(importing, theirs.resolve(), [path], options["limit"], cache)
        for program in programs():
            root = options[program.package]
            if root is None or options["only"] not in f"{program.package} {program.name}":
                continue
            root = root.resolve()
            ours = run(program, root, [Path(shim)], options["limit"], cache)
            other = run(program, root, [theirs.resolve()], options["limit"], cache)
            ratio = other.seconds / max(ours.seconds, 1e-9)
            print(
                f"| {program.package} | {program.name} | {ours.result} | {other.result} "
                f"| {ours.seconds:.1f} | {other.seconds:.1f} | {ratio:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
