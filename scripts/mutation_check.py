"""Whether tests find faults: makes each of `mutations.py` in a copy, and runs its tests.

    python scripts/mutation_check.py                  # all, one after the other
    python scripts/mutation_check.py checkpoint rk4   # those whose names have one of the words
    python scripts/mutation_check.py --processes 4

A fault that no test sees survives. First the tests must pass without any. The checkout is never
changed: each mutation is made in a copy of the package, and its tests import that copy. Exit code
1 where a mutation survives or no longer applies.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parent.parent
PACKAGE = "node_experiments"
COPIED = (PACKAGE, "tests")  # pytest imports what lies beside the tests; all else is linked
SECONDS = 300  # for the tests of one mutation, which may loop for ever
# What tests import besides the package: a fork of this process has it.
IMPORTED_ONCE = ("torch", "torchvision", "scipy.stats", "pandas", "omegaconf", "matplotlib.figure")
FORK = multiprocessing.get_context("fork")
KILLED, SURVIVED, UNUSABLE = "killed", "SURVIVED", "does not apply"


class Outcome(NamedTuple):
    """What became of a mutation."""

    mutation: Mutation
    what: str
    seconds: float
    detail: str = ""


def file_of(mutation: Mutation, package: Path) -> Path | None:
    """The one file that holds the text of a mutation once, its own or where that was moved to."""
    own = package / mutation.file
    holders = [own] if own.exists() and mutation.old in own.read_text() else [
        path for path in package.rglob("*.py") if mutation.old in path.read_text()
    ]  # fmt: skip
    once = len(holders) == 1 and holders[0].read_text().count(mutation.old) == 1
    return holders[0] if once else None


def missing_tests(mutation: Mutation, tests: Path) -> list[str]:
    """Those of its tests that are no file, or no function of one."""
    missing = []
    for test in mutation.tests:
        file, _, function = test.partition("::")
        path = tests / file
        if not path.exists() or (function and f"def {function}(" not in path.read_text()):
            missing.append(test)
    return missing


def check(mutation: Mutation) -> Outcome:
    """Make a mutation in a copy and run its tests until one fails."""
    start = time.monotonic()
    if file_of(mutation, ROOT / PACKAGE) is None:
        return Outcome(mutation, UNUSABLE, 0.0, f"{mutation.file} holds its text not once")
    if missing := missing_tests(mutation, ROOT / "tests"):
        return Outcome(mutation, UNUSABLE, 0.0, f"no tests {', '.join(missing)}")
    with copied() as copy:
        file = file_of(mutation, copy / PACKAGE)
        assert file is not None
        file.write_text(file.read_text().replace(mutation.old, mutation.new))
        code, output = run_tests(copy, mutation.tests, SECONDS)
    what = KILLED if code == 1 else SURVIVED if code == 0 else UNUSABLE
    failed = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    detail = " ".join(failed[:1] or output.splitlines()[-1:]) if code else ""
    return Outcome(mutation, what, time.monotonic() - start, detail)


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the checkout in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        copy = Path(folder)
        for path in ROOT.iterdir():
            if path.name in COPIED:
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(path, copy / path.name, ignore=ignored)
            elif not path.name.startswith("."):
                (copy / path.name).symlink_to(path)
        yield copy


def run_tests(copy: Path, tests: Sequence[str], seconds: float) -> tuple[int, str]:
    """The exit code of pytest, and what it printed; 1 where the tests took too many seconds.

    They run in a fork of this process, which has imported what takes long to import.
    """
    output = copy / "pytest.txt"
    process = FORK.Process(target=pytest_in, args=(copy, tests, output))
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        return 1, f"FAILED by taking more than {seconds} s"
    return process.exitcode or 0, output.read_text(errors="replace")


def pytest_in(copy: Path, tests: Sequence[str], output: Path) -> None:
    """Run tests in a copy of the checkout, as a process of its own; never returns."""
    assert PACKAGE not in sys.modules
    with output.open("w") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    os.chdir(copy)
    sys.path[:] = [str(copy), *(path for path in sys.path if Path(path) != ROOT)]
    os.environ["PYTHONPATH"] = str(copy)
    options = ["-n", "0", "-x", "-q", "-p", "no:cacheprovider", "--rootdir", str(copy)]
    code = pytest.main([*options, *(f"tests/{test}" for test in tests)])
    imported = Path(str(sys.modules[PACKAGE].__file__))
    sys.stdout.flush()
    os._exit(int(code) if imported.is_relative_to(copy) else 99)


def main() -> int:
    """Check the mutations that were asked for, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", help="of the names of mutations; all without any")
    parser.add_argument("--processes", type=int, default=1, help="mutations at a time")
    asked = parser.parse_args()
    chosen = [
        each for each in MUTATIONS
        if not asked.words or any(word in each.name for word in asked.words)
    ]  # fmt: skip
    tests = list(dict.fromkeys(test for each in chosen for test in each.tests))
    for name in IMPORTED_ONCE:
        importlib.import_module(name)
    with copied() as copy:
        code, output = run_tests(copy, tests, 10 * SECONDS)
    if code:
        print(output[-2000:], "\nthe tests fail without a mutation", sep="")
        return 1
    outcomes = []
    with ProcessPoolExecutor(asked.processes, mp_context=FORK) as pool:
        for outcome in pool.map(check, chosen):
            outcomes.append(outcome)
            name = outcome.mutation.name
            print(f"{outcome.what:14}  {outcome.seconds:5.0f} s  {name}", flush=True)
            if outcome.detail and outcome.what != SURVIVED:
                print(f"{'':25}{outcome.detail[:150]}", flush=True)
    counts = Counter(outcome.what for outcome in outcomes)
    print(
        f"{counts[KILLED]} of {len(outcomes)} killed; survived: {counts[SURVIVED]}; "
        f"not applicable: {counts[UNUSABLE]}"
    )
    return 0 if counts[KILLED] == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
