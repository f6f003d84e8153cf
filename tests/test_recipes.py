"""The recipe of CONTRIBUTING.md for a solver, carried out in a copy of the library.

Those for a dataset, a model and a task are carried out by the chapter from outside of
`test_chapters.py`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TABLEAU = """
KUTTA3 = Tableau(
    name="kutta3",
    order=3,
    a=((), (1 / 2,), (-1.0, 2.0)),
    b=(1 / 6, 2 / 3, 1 / 6),
    c=(0.0, 1 / 2, 1.0),
    reference="Kutta 1901",
)

"""
USE = """
import math, torch
from node_experiments.ode import Solver, solve

y0 = torch.ones(1, dtype=torch.double)
for name, order in (("kutta3", 3), ("reversible_kutta3", 3)):
    errors = []
    for n in (20, 40):
        rate = torch.tensor(1.0, dtype=torch.double, requires_grad=True)
        solution = solve(lambda t, y: -rate * y, y0, [0.0, 1.0], Solver(name, num_steps=n),
                         "reversible" if "reversible" in name else "discrete")
        (gradient,) = torch.autograd.grad(solution.ys[-1].sum(), rate)
        errors.append([abs(solution.ys[-1].item() - math.exp(-1)),
                       abs(gradient.item() + math.exp(-1))])
    for coarse, fine in zip(*errors):
        assert order - 0.4 < math.log2(coarse / fine) < order + 1.4, (name, coarse, fine)
print("ok")
"""


def test_a_tableau_is_all_that_a_solver_needs(tmp_path):
    package = tmp_path / "node_experiments"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copytree(ROOT / "node_experiments" / "ode", package / "ode")
    path = package / "ode" / "methods" / "explicit_tableaus.py"
    text = path.read_text()
    assert "ADAPTIVE_HEUN = Tableau(" in text
    text = text.replace("ADAPTIVE_HEUN = Tableau(", f"{TABLEAU}ADAPTIVE_HEUN = Tableau(")
    assert "        RK38,\n" in text
    path.write_text(text.replace("        RK38,\n", "        RK38,\n        KUTTA3,\n"))
    done = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout == "ok\n", done.stderr
