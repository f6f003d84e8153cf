"""Flow matching with torchcfm from noise to two moons, and sampling by the solver."""

import math

import torch
from torchcfm.conditional_flow_matching import ConditionalFlowMatcher
from torchcfm.models.models import MLP
from torchdiffeq import odeint


def moons(count: int) -> torch.Tensor:
    angle = torch.rand(count) * math.pi
    upper = torch.rand(count) < 0.5
    x = torch.where(upper, angle.cos(), 1 - angle.cos())
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    return torch.stack([x, y], dim=1)


torch.manual_seed(0)
model, matcher = MLP(dim=2, time_varying=True), ConditionalFlowMatcher(sigma=0.1)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for _ in range(200):
    t, x, u = matcher.sample_location_and_conditional_flow(torch.randn(256, 2), moons(256))
    loss = (model(torch.cat([x, t[:, None]], dim=1)) - u).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def field(t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return model(torch.cat([x, t.expand(len(x), 1)], dim=1))


with torch.no_grad():
    start = torch.randn(512, 2)
    for method in ("dopri5", "euler", "midpoint", "rk4"):
        ends = odeint(field, start, torch.linspace(0, 1, 20), rtol=1e-4, atol=1e-4, method=method)
        print(f"{method}: loss {float(ends[-1].square().mean()):.6f}")
