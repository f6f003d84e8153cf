"""The same tableau on the same forced steps gives the same numbers as diffrax, in float64."""

import json
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import torch

from node_experiments.ode import Solver, solve

HERE = Path(__file__).parent
REFERENCE = json.loads((HERE / "diffrax_reference.json").read_text())


@pytest.mark.parametrize("method", REFERENCE["states"])
def test_the_steps_are_those_that_diffrax_printed(method):
    a, b, y0, t = (
        torch.tensor(REFERENCE["problem"][name], dtype=torch.float64)
        for name in ("a", "b", "y0", "t")
    )
    solution = solve(
        lambda t, y: torch.tanh(y @ a.T + b * torch.sin(2 * t)),
        y0,
        t,
        # Tolerances that accept every step, so that all of them are as long as they may be.
        Solver(method, rtol=1e3, atol=1e3, first_step=10.0, step_t=tuple(t[1:-1].tolist())),
    )
    assert solution.stats.forward.accepted == len(t) - 1
    theirs = torch.tensor(REFERENCE["states"][method], dtype=torch.float64)
    torch.testing.assert_close(solution.ys, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.skipif(find_spec("diffrax") is None, reason="the file is made with the extra bench")
@pytest.mark.parametrize("method", REFERENCE["states"])
def test_the_file_is_what_diffrax_prints(method):
    path = HERE.parent.parent / "scripts" / "diffrax_reference.py"
    spec = spec_from_file_location(path.stem, path)
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.problem() == REFERENCE["problem"]
    found = script.states(REFERENCE["problem"], method)
    np.testing.assert_allclose(found, REFERENCE["states"][method], rtol=1e-13, atol=1e-13)
