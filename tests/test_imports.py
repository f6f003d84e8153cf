"""What an import costs, by what it brings: the package itself is instant, `ode` needs torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "torch", "torchvision", "hydra", "omegaconf", "tensorboard", "matplotlib", "scipy", "pandas",
    "rich", "yaml", "PIL", "numpy",
}  # fmt: skip
REFERENCE = Path(__file__).parent.parent / "outputs" / "reference"
RUNS = {"pandas", "yaml", "numpy"}
REPORTS = RUNS | {"matplotlib", "scipy", "rich", "PIL"}

# Statements that one process executes one after the other, with what may be there after each.
WITHOUT_TORCH = {
    "import node_experiments.errors, node_experiments.runs; node_experiments.load": set(),
    "from node_experiments.runs import load_runs": {"yaml"},
    f"assert len(load_runs({str(REFERENCE / 'table1')!r})) > 5": RUNS,
    "from node_experiments.cli import report, report_figures": REPORTS,
    "import node_experiments.figures.comparison": REPORTS,
    "from node_experiments.cli.report import TABLES, resolve; [*map(resolve, TABLES.values())]": (
        REPORTS
    ),
    # Of runs of one table: what the others say of them is looked at elsewhere.
    **{
        f"report.main(['--outputs', {str(REFERENCE / 'table1')!r}, {name!r}])": REPORTS
        for name in ("table1", "table2", "figure3", "solver_transfer")
    },
}
ODE = {
    "import node_experiments": set(),
    "import node_experiments.ode": {"torch", "numpy"},
    "import node_experiments.ode.torchdiffeq": {"torch", "numpy"},
}


@pytest.mark.parametrize("statements", [WITHOUT_TORCH, ODE], ids=["without torch", "ode"])
def test_an_import_brings_no_more_than_it_needs(statements):
    each = "".join(f"{s}\nbrought.append([*sys.modules])\n" for s in statements)
    code = f"import json, sys\nbrought = []\n{each}print(json.dumps(brought))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    brought = json.loads(result.stdout.splitlines()[-1])
    for (statement, allowed), modules in zip(statements.items(), brought, strict=True):
        assert HEAVY & set(modules) <= allowed, statement
