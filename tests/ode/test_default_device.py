"""A default device other than that of the state is none of a solve's business."""

import pytest
import torch

from node_experiments.ode import Solver, solve


@pytest.fixture
def elsewhere():
    """As `with torch.device("cuda")`, for tensors that say no device: these cannot be read."""
    with torch.device("meta"):
        yield


@pytest.mark.parametrize(
    ("solver", "gradient"),
    [
        (Solver("dopri5"), "discrete"),
        (Solver("tsit5"), "interpolated"),
        (Solver("kvaerno3"), "discrete"),
        (Solver("radauIIA5", num_steps=4), "adjoint"),
        (Solver("adams"), "adjoint"),
        (Solver("adaptive_heun"), "backprop"),
        (Solver("rk4", num_steps=4), "checkpoint"),
        (Solver("dopri5", batching="independent"), "backprop"),
        (Solver("dopri5", batching="independent"), "discrete"),
    ],
    ids=str,
)
def test_the_solve_is_on_the_device_of_the_state(elsewhere, solver, gradient):
    y0 = torch.ones(3, 1, device="cpu")
    rate = torch.ones(1, device="cpu", requires_grad=True)
    t = torch.linspace(0, 1, 5, device="cpu")
    solution = solve(lambda t, y: -rate * y, y0, t, solver, gradient)
    solution.ys[-1].sum().backward()
    assert float(rate.grad) == pytest.approx(-3 * 0.36788, rel=1e-2)
