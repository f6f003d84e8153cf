"""The examples of the docstrings run, in a process where their modules are imported afresh."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


WITH_EXAMPLES = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "node_experiments").rglob("*.py")
    if ">>> " in path.read_text()
)


def test_examples_of_docstrings_run():
    assert len(WITH_EXAMPLES) > 20
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider",
            "--doctest-modules", "-o", "python_classes=None", "-o", "python_functions=None",
            *WITH_EXAMPLES,
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
