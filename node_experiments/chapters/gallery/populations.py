"""Three models of two populations: a mechanism, a network, and their sum.

With x = (log hare, log lynx), per year:

    mechanism   dx/dt = (a - b exp(x_2), -c + d exp(x_1))     Lotka 1925, Volterra 1926
    network     dx/dt = s(x), one hidden layer of tanh        Chen et al. 2018
    sum         both: a universal differential equation       Rackauckas et al. 2020

Each is an ensemble of members that differ in their initial parameters and in the weights of the
years (a Bayesian bootstrap, Rubin 1981); all are solved together, as rows of one state.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ...nn.ode_module import ODEModule
from ...ode import Gradient, Solver
from .settings import PopulationsConfig

__all__ = ["KINDS", "PopulationFit", "Populations", "population_fit", "populations"]

KINDS = ("mechanism", "network", "sum")
RATES = (0.55, 0.028, 0.80, 0.024)  # Carpenter 2018: posterior means of a, b, c, d
CENTRE, SPREAD = (3.3, 2.7), (0.7, 0.8)  # of the logarithms, to scale the networks' inputs


class PopulationField(nn.Module):
    """The vector field of all members of all kinds, each a row of the state."""

    def __init__(self, members: int, hidden: int) -> None:
        super().__init__()
        rows = len(KINDS) * members
        start = torch.tensor(RATES).log() + 0.2 * torch.randn(rows, 4)
        self.log_rates = nn.Parameter(start)
        self.enter = nn.Parameter(torch.randn(rows, 2, hidden))
        self.bias = nn.Parameter(torch.randn(rows, 1, hidden))
        self.leave = nn.Parameter(0.1 * torch.randn(rows, hidden, 2) / hidden**0.5)
        kind = torch.arange(len(KINDS)).repeat_interleave(members).unsqueeze(1)
        self.register_buffer("has_mechanism", (kind != 1).float(), persistent=False)
        self.register_buffer("has_network", (kind != 0).float(), persistent=False)
        self.register_buffer("centre", torch.tensor(CENTRE), persistent=False)
        self.register_buffer("spread", torch.tensor(SPREAD), persistent=False)
        self.has_mechanism: Tensor
        self.has_network: Tensor
        self.centre: Tensor
        self.spread: Tensor

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """The derivative of logarithms `(row, 2)`, per year."""
        a, b, c, d = self.log_rates.exp().unbind(1)
        # A member that diverges in training must not stop the others by overflow.
        hare, lynx = x.clamp(max=8).exp().unbind(1)
        mechanism = torch.stack([a - b * lynx, d * hare - c], 1)
        seen = ((x - self.centre) / self.spread).unsqueeze(1)
        network = (torch.tanh(seen @ self.enter + self.bias) @ self.leave).squeeze(1)
        return self.has_mechanism * mechanism + self.has_network * network


class Populations(ODEModule):
    """All members, each from its own initial state, which is learned too.

    Args:
        start: Logarithms of the first year, shape `(2,)`, the initial guess for all members.
    """

    def __init__(
        self, start: Tensor, members: int, hidden: int, solver: Solver, gradient: Gradient
    ) -> None:
        super().__init__(PopulationField(members, hidden), solver, gradient)
        self.members = members
        self.start = nn.Parameter(start.repeat(len(KINDS) * members, 1))

    def forward(self, times: Tensor) -> Tensor:
        """Logarithms at `times`, `(time, kind, member, 2)`."""
        states: Tensor = self.solve(self.start, times)
        return states.unflatten(1, (len(KINDS), self.members))


class PopulationFit:
    """Squared error of logarithms, with separate weights of the years for each member."""

    metric = "extrapolation"
    higher_is_better = False

    def __init__(self, members: int) -> None:
        self.members = members

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted mean over members and fitted years, summed over kinds."""
        errors = (model(batch.times) - batch.logs[:, None, None]).square().mean(-1)
        generator = torch.Generator().manual_seed(0)
        drawn = torch.empty(len(batch.times), self.members).exponential_(generator=generator)
        weights = (drawn / drawn.mean(0)).unsqueeze(1).to(errors)
        return (weights * errors).mean((0, 2)).sum(), {}

    def evaluate(self, model: Any, batches: Iterable[Any]) -> dict[str, float]:
        """Root mean square errors of the ensemble's median, in logarithms.

        - `fit_<kind>`, `extrapolation_<kind>`: error over the fitted years, and over those after
        - `extrapolation`: the smallest error over kinds
        - `covered_<kind>`: fraction of later values inside the 90 % band of the members
        """
        (batch,) = batches
        found = model(batch.times)
        low, middle, high = (found.quantile(q, 2) for q in (0.05, 0.5, 0.95))
        errors = (middle - batch.logs.unsqueeze(1)).square()
        inside = (low <= batch.logs.unsqueeze(1)) & (batch.logs.unsqueeze(1) <= high)
        values: dict[str, float] = {}
        n = batch.fitted
        for k, kind in enumerate(KINDS):
            values[f"fit_{kind}"] = float(errors[:n, k].mean().sqrt())
            values[f"extrapolation_{kind}"] = float(errors[n:, k].mean().sqrt())
            values[f"covered_{kind}"] = float(inside[n:, k].double().mean())
        values["extrapolation"] = min(values[f"extrapolation_{kind}"] for kind in KINDS)
        return {"loss": float(errors[:n].mean((0, 2)).sum()), **values}


def populations(
    settings: PopulationsConfig, data: Any, solver: Solver, gradient: Gradient
) -> Populations:
    """Build the three ensembles."""
    start = data.test[0].logs[0]
    return Populations(start, settings.members, settings.hidden, solver, gradient)


def population_fit(settings: PopulationsConfig, data: Any) -> PopulationFit:
    """The task of fitting the record."""
    return PopulationFit(settings.members)
