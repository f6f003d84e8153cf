"""Figure 1: both networks learn the same map, and the drawing shows where they were evaluated."""

import json

import pytest
import torch

from node_experiments.chapters.toy.figure1 import evaluation_points
from node_experiments.chapters.toy.residual_and_ode import DepthODE, DepthPair
from node_experiments.ode import Adjoint, Backprop, Solver
from node_experiments.ode.solve import solve


@pytest.mark.figures
def test_one_command_draws_it(node_run):
    result = node_run("experiment=figure1", "protocol=smoke", "trainer.threads=1")
    assert result.code == 0, result.err
    (folder,) = result.folders
    assert (folder / "figures" / "figure1.png").stat().st_size > 20_000
    metrics = json.loads((folder / "result.json").read_text())["metrics"]
    assert metrics["rmse/test"] == max(metrics["rmse_residual/test"], metrics["rmse_ode/test"])


def test_both_networks_learn_the_map(node_run):
    result = node_run(
        "experiment=figure1", "protocol=smoke", "solver=rk4", "solver.num_steps=5",
        "trainer.epochs=4", "dataset.batches=60", "optimizer.lr=1e-2", "trainer.threads=1",
    )  # fmt: skip
    assert result.code == 0, result.err
    metrics = json.loads((result.folders[0] / "result.json").read_text())["metrics"]
    # The map is about 3 units large, and a line through it leaves 0.9.
    assert metrics["rmse_residual/test"] < 0.4
    assert metrics["rmse_ode/test"] < 0.4


def test_points_are_where_the_solver_was():
    """As many as it counted; the stages of the steps it made, at their depths and states."""
    ode = DepthODE(5.0, Solver("dopri5", rtol=1e-3, atol=1e-3), Backprop(), hidden=8)
    x = torch.tensor([[0.7]])
    steps = []
    with torch.no_grad():
        points = evaluation_points(ode, x)
        solve(
            ode.vector_field, x, ode.times, ode.solver,
            watch=lambda t, h, y, accepted: steps.append((t, h, float(y))),
        )  # fmt: skip
        assert len(points) == ode.stats.forward.evaluations
        again = evaluation_points(ode, x)
    assert points == again, "the hook is gone, and the solve is the same"
    for t, h, y in steps:
        assert any(abs(a - t) < 1e-6 and abs(b - y) < 1e-5 for a, b in points)
        assert any(abs(a - (t + 0.3 * h)) < 1e-5 for a, _ in points), "a stage of dopri5"
    assert max(t for t, _ in points) == pytest.approx(5.0)


def test_the_residual_network_is_euler_with_weights_of_its_own():
    pair = DepthPair(3, Solver("euler", num_steps=3), Adjoint(), hidden=4)
    x = torch.randn(6, 1)
    states = pair.residual(x)
    assert states.shape == (4, 6, 1)
    for k, function in enumerate(pair.residual.functions):
        torch.testing.assert_close(states[k + 1], states[k] + function(states[k]))
    by_hand = x
    for k in range(3):
        by_hand = by_hand + pair.ode.vector_field(torch.tensor(float(k)), by_hand)
    torch.testing.assert_close(pair(x)[1], by_hand)
