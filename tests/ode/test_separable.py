"""Leapfrog is for separable systems whose halves are the first and the second half."""

import pytest
import torch

from node_experiments.ode import Solver, solve

T = torch.tensor([0.0, 1.0], dtype=torch.double)
SAMPLES = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, 0.2]], dtype=torch.double)
LEAPFROG = Solver("leapfrog", num_steps=20)


def oscillator(t, y):
    return torch.stack([y[..., 1], -y[..., 0]], -1)


@pytest.mark.parametrize("gradient", ["backprop", "reversible"])
@pytest.mark.parametrize("needs_gradient", [False, True])
def test_samples_of_q_and_p_are_not_the_halves_of_a_batch(gradient, needs_gradient):
    """Taken for the halves, two samples would be solved by Euler's method, in silence."""
    y0 = SAMPLES.clone().requires_grad_(needs_gradient)
    with pytest.raises(ValueError, match=r"dq/dt depends on q.*give y0=\(q, p\), a tuple"):
        solve(oscillator, y0, T, LEAPFROG, gradient)


def test_as_a_tuple_they_are_solved_to_order_two():
    q, p = SAMPLES.unbind(-1)
    exact = SAMPLES @ torch.linalg.matrix_exp(T[1] * torch.tensor([[0.0, -1], [1, 0]]).double())
    errors = []
    for steps in (20, 40):
        solver = Solver("leapfrog", num_steps=steps)
        ends = solve(lambda t, y: (y[1], -y[0]), (q, p), T, solver).ys
        errors.append(float((torch.stack([x[-1] for x in ends], -1) - exact).abs().max()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize(
    ("field", "half"),
    [
        (lambda t, y: (y[1], -y[0] - 0.1 * y[1]), "p"),  # friction
        (lambda t, y: (y[1] * (1 + y[0] ** 2), -y[0] * y[1] ** 2), "q"),
        (lambda t, y: (y[0], -y[1]), "q"),
    ],
)
def test_systems_that_are_not_separable(field, half):
    y0 = (torch.tensor([0.5]).double(), torch.tensor([1.0]).double())
    with pytest.raises(ValueError, match=f"d{half}/dt depends on {half}"):
        solve(field, y0, T, LEAPFROG)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_separable_ones_are_taken_in_every_precision(dtype):
    """Also one at rest, one that is moved by time, and a learned potential."""
    torch.manual_seed(0)
    potential = torch.nn.Sequential(
        torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)
    ).to(dtype)

    def learned(t, y):
        q = y[0].detach().requires_grad_()
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(potential(q).sum(), q)
        return y[1], -slope

    fields = [learned, lambda t, y: (y[1] * t, torch.cos(t) - y[0])]
    with torch.no_grad():
        for field in fields:
            for scale in (0.0, 1e-3, 1.0, 1e2):
                y0 = (scale * torch.randn(4, 3).to(dtype), scale * torch.randn(4, 3).to(dtype))
                ys = solve(field, y0, [0.0, 1.0], LEAPFROG).ys
                assert all(bool(torch.isfinite(y).all()) for y in ys)
