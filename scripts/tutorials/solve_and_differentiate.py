# %% [markdown]
# # Solve an ODE, and differentiate through the solve
# `solve` takes a vector field, a start and the times at which the solution is wanted.

# %%
import torch

from node_experiments.ode import Event, Solver, solve

t = torch.linspace(0, 3, 7, dtype=torch.double)
y0 = torch.tensor([1.0, 0.0], dtype=torch.double)
solution = solve(lambda t, y: torch.stack([y[1], -y[0]]), y0, t, Solver("dopri5", rtol=1e-8))
print("largest error:", float((solution.ys[:, 0] - t.cos()).abs().max()))

# %% [markdown]
# ## Gradients
# The gradient method is a choice. All of these agree to the tolerance; they differ in what they
# keep in memory.

# %%
rate = torch.tensor(0.5, dtype=torch.double, requires_grad=True)
exact = -3 * torch.exp(torch.tensor(-1.5, dtype=torch.double))
for gradient in ("backprop", "discrete", "checkpoint", "adjoint", "interpolated"):
    decay = solve(
        lambda t, y: -rate * y,
        y0[:1],
        t,
        Solver("dopri5", rtol=1e-8, atol=1e-8),
        gradient,
        parameters=[rate],
    )
    (found,) = torch.autograd.grad(decay.ys[-1].sum(), rate)
    print(f"{gradient:>12}: error {abs(float(found - exact)):.0e}")

# %% [markdown]
# ## Events
# A solve can end where a function crosses zero, and the time of that has a gradient: here of a
# ball's fall from a height h, in sqrt(2 h / g) seconds.

# %%
height = torch.tensor(2.0, dtype=torch.double, requires_grad=True)
fall = solve(
    lambda t, y: torch.stack([y[1], torch.full_like(y[1], -9.81)]),
    torch.stack([height, torch.zeros_like(height)]),
    torch.tensor([0.0, 10.0], dtype=torch.double),
    Solver("dopri5"),
    "discrete",
    events=[Event(lambda t, y: y[0])],
)
(slope,) = torch.autograd.grad(fall.ts[-1], height)
print("lands at", fall.ts[-1].item(), "s; per metre:", float(slope))
