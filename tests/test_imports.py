"""What an import costs, by what it brings: the package itself is instant, `ode` needs torch."""

import subprocess
import sys

import pytest

HEAVY = {
    "torch", "torchvision", "hydra", "omegaconf", "tensorboard", "matplotlib", "scipy", "pandas",
    "rich", "yaml", "PIL",
}  # fmt: skip


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("node_experiments", set()),
        ("node_experiments.ode", {"torch"}),
        ("node_experiments.ode.torchdiffeq", {"torch"}),
        ("node_experiments.runs", {"pandas", "yaml"}),
    ],
)
def test_an_import_brings_no_more_than_it_needs(package, allowed):
    code = f"import sys, {package}; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert HEAVY & set(result.stdout.split()) - allowed == set()
