# %% [markdown]
# # An ODE block in your own network
# A linear layer in, an ODE in the middle, a linear layer out, on two rings of points.

# %%
import torch
from torch import nn

from node_experiments.ode import Discrete, Solver, solve

generator = torch.Generator().manual_seed(0)
angle = 2 * torch.pi * torch.rand(256, generator=generator)
label = torch.arange(256) % 2
points = (1 + label)[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)


# %%
class ODEBlock(nn.Module):
    """The state at time 1 of dy/dt = f(y), which starts at the input."""

    def __init__(self, width: int):
        super().__init__()
        self.field = nn.Sequential(nn.Linear(width, 32), nn.Tanh(), nn.Linear(32, width))
        self.solver = Solver("dopri5", rtol=1e-3, atol=1e-3)

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        """States of shape (batch, width) at time 1."""
        solution = solve(
            lambda t, y: self.field(y),
            y,
            torch.tensor([0.0, 1.0]),
            self.solver,
            Discrete(),
            parameters=self.field.parameters(),
        )
        self.stats = solution.stats
        return solution.ys[-1]


# %%
torch.manual_seed(0)
block = ODEBlock(8)
network = nn.Sequential(nn.Linear(2, 8), block, nn.Linear(8, 2))
optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
for step in range(60):
    loss = nn.functional.cross_entropy(network(points), label)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 19:
        print(f"step {step + 1}: loss {loss.item():.3f}, {block.stats.forward.evaluations} NFE")

# %% [markdown]
# ## Another solver after training
# The weights stay; only the solver changes.

# %%
for solver in (Solver("dopri5", rtol=1e-6, atol=1e-6), Solver("rk4", num_steps=4)):
    block.solver = solver
    with torch.no_grad():
        accuracy = (network(points).argmax(dim=1) == label).float().mean()
    print(f"{solver.method}: accuracy {accuracy:.3f}")
