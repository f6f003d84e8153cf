"""Robertson's reaction (1966): three species whose rates differ by nine orders of magnitude.

    A -> B            k1 = 0.04
    B + B -> C + B    k2 = 3e7
    B + C -> A + C    k3 = 1e4

(E. Hairer & G. Wanner, Solving Ordinary Differential Equations II, eq. IV.1.4.) The rate constants
are estimated from noisy concentrations over many decades of time, by gradients through implicit
solves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor, nn

from ...data.seeded_batches import SeededBatches
from ...nn.ode_module import ODEModule
from ...ode import Gradient, SolveError, Solver
from .settings import ReactionRatesConfig, RobertsonConfig

__all__ = [
    "RATES",
    "Reaction",
    "ReactionFit",
    "ReactionRates",
    "RobertsonData",
    "reaction_fit",
    "reaction_rates",
    "robertson_data",
]

RATES = (0.04, 3e7, 1e4)
SCALES = (1.0, 3.65e-5, 1.0)  # largest concentration of each species


class Reaction(nn.Module):
    """The vector field of three concentrations, parametrised by logarithms of rate constants."""

    def __init__(self, rates: Iterable[float]) -> None:
        super().__init__()
        self.log_rates = nn.Parameter(torch.tensor([math.log(k) for k in rates]).double())

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The derivative of concentrations `(batch, 3)`, whose sum is conserved."""
        k1, k2, k3 = self.log_rates.exp()
        a, b, c = y.unbind(-1)
        first, second, third = k1 * a, k2 * b * b, k3 * b * c
        return torch.stack([third - first, first - second - third, second], -1)


class ReactionRates(ODEModule):
    """Concentrations over time from pure A, in double precision."""

    reason_not_regularizable = "whose vector field is the law of the reaction"

    def __init__(self, rates: Iterable[float], solver: Solver, gradient: Gradient) -> None:
        super().__init__(Reaction(rates), solver, gradient)

    def forward(self, times: Tensor) -> Tensor:
        """Concentrations `(time, 3)` at times, the first of which is 0.

        Raises:
            SolveError: The solver gave up, as explicit methods do; the message says what to take.
        """
        start = times.new_tensor([[1.0, 0.0, 0.0]])
        try:
            states: Tensor = self.solve(start, times)
        except SolveError as error:
            solution = error.solution
            solution.message += (
                ". The reaction is stiff, so that explicit methods need steps as short as its "
                "fastest rate whatever their tolerance; use an implicit one: solver=kvaerno5"
            )
            raise SolveError(solution) from error
        return states[:, 0]


@dataclass
class ReactionBatch:
    """Concentrations relative to the largest of each species, `(time, 3)`, at `times`."""

    times: Tensor
    concentrations: Tensor

    def __len__(self) -> int:
        return len(self.times)


@dataclass
class RobertsonData:
    """Noisy samples, the same in every batch; the test samples have no noise."""

    train: SeededBatches[ReactionBatch]
    validation: None
    test: list[ReactionBatch]


def robertson_data(
    settings: RobertsonConfig, seed: int = 0, device: torch.device | None = None
) -> RobertsonData:
    """Samples at geometrically spaced times, solved by SciPy's Radau method at 1e-10."""
    times = np.concatenate([[0.0], np.geomspace(1e-4, settings.span, settings.samples)])
    k1, k2, k3 = RATES

    def field(t: float, y: Any) -> list[float]:
        first, second, third = k1 * y[0], k2 * y[1] ** 2, k3 * y[1] * y[2]
        return [third - first, first - second - third, second]

    exact = solve_ivp(field, (0, settings.span), [1.0, 0, 0], "Radau", times,
                      rtol=1e-10, atol=1e-14)  # fmt: skip
    clean = torch.tensor(exact.y.T) / torch.tensor(SCALES).double()
    generator = torch.Generator().manual_seed(seed)
    noise = settings.noise * torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    noise[0] = 0
    t = torch.tensor(times, device=device)
    seen = ReactionBatch(t, (clean + noise).to(device))
    truth = ReactionBatch(t, clean.to(device))
    return RobertsonData(SeededBatches(lambda _: seen, settings.batches, seed), None, [truth])


class ReactionFit:
    """Mean squared error of the relative concentrations."""

    metric = "rate_error"
    higher_is_better = False

    def loss(self, model: Any, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error over all samples."""
        found = model(batch.times) / batch.times.new_tensor(SCALES)
        return (found - batch.concentrations).square().mean(), {}

    def evaluate(self, model: Any, batches: Iterable[Any]) -> dict[str, float]:
        """The loss, the rate constants, and the largest relative error among them."""
        (batch,) = batches
        rates = model.vector_field.log_rates.exp().tolist()
        errors = [abs(found / true - 1) for found, true in zip(rates, RATES, strict=True)]
        return {
            "loss": float(self.loss(model, batch, 0)[0]),
            "rate_error": max(errors),
            **{f"k{n}": rate for n, rate in enumerate(rates, 1)},
        }


def reaction_rates(
    settings: ReactionRatesConfig, data: Any, solver: Solver, gradient: Gradient
) -> ReactionRates:
    """Build the reaction with wrong initial rate constants."""
    factors = settings.wrong_by
    return ReactionRates([k * f for k, f in zip(RATES, factors, strict=True)], solver, gradient)


def reaction_fit(settings: Any, data: Any) -> ReactionFit:
    """The task of estimating the rate constants."""
    return ReactionFit()
