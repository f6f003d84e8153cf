"""Conditional flow matching, which trains a continuous flow without solving an ODE.

Lipman et al. 2023 (arXiv:2210.02747), with straight paths x_t = (1 - t) x_0 + t x_1 from noise
x_0 to data x_1: the vector field is regressed on x_1 - x_0. It learns the mean of x_1 - x_0 over
all paths through a point, and its flow transports the noise to the data.

With `independent` pairs, a point on a path could also have come from other noise, on a path to
other data of the batch. The mean over these paths, weighted by their probability given the point,
is a target of the same expectation and lower variance (the Rao-Blackwell theorem; Xu, Tong &
Jaakkola 2023, arXiv:2302.00670, for diffusion). With `optimal_transport`, noise and data of a
batch are paired by the assignment of least squared distance (Tong et al. 2024, arXiv:2302.00482),
so that paths cross less and are straighter.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from ...ode import Gradient, Solver
from ...training.random_state import seeded
from .chapter import FlowMatchingConfig
from .continuous_flow import ContinuousFlow
from .divergence import Divergence
from .maximum_likelihood import MaximumLikelihood
from .point_sets import PointData
from .velocity_mlp import VelocityMLP

__all__ = [
    "FlowMatching",
    "MatchedFlow",
    "flow_matching",
    "matching_task",
    "mean_velocity",
    "optimal_pairs",
]


class MatchedFlow(ContinuousFlow):
    """A continuous flow that is trained without solving its ODE."""

    reason_not_regularizable = "which is trained by flow matching and solves no ODE in training"


# choice: an exponent above 1 draws more times near the data, where f is sharpest
TIME_EXPONENT = 1.7
TARGET_CHUNK = 128  # choice: number of points of a batch over whose paths targets are averaged


def optimal_pairs(noise: Tensor, data: Tensor) -> Tensor:
    """The noise, reordered to the least squared distance from the data, `(batch, dim)`.

    >>> optimal_pairs(torch.tensor([[0.0], [5.0]]), torch.tensor([[6.0], [1.0]]))
    tensor([[5.],
            [0.]])
    """
    costs = torch.cdist(data, noise).square()
    _, order = linear_sum_assignment(costs.cpu().numpy())
    return noise[torch.as_tensor(order, device=noise.device)]


def mean_velocity(noise: Tensor, data: Tensor, remaining: Tensor, base_std: float) -> Tensor:
    """The mean of x_1 - x_0 over the paths through each point from noise to any of the data.

    A path through x_t to other data x_1' starts at x_0' = x_0 - (t / (1 - t)) (x_1' - x_1), and
    is weighted by the density of x_0'. Its velocity is x_1 - x_0 + (x_1' - x_1) / (1 - t).

    Args:
        noise, data: Ends of the path that each point is on, `(batch, dim)`, of independent pairs.
        remaining: The time 1 - t at each point, above 0, `(batch, 1)`.
        base_std: Standard deviation of the noise.

    Returns:
        Shape `(batch, dim)`.

    Near t = 1 only the point's own path has weight; at t = 0 all paths have equal weight:

    >>> noise, data = torch.tensor([[0.5], [-1.0]]), torch.tensor([[1.0], [-1.0]])
    >>> mean_velocity(noise, data, torch.tensor([[0.01], [1.0]]), base_std=1.0)
    tensor([[0.5000],
            [1.0000]])
    """
    ratio = (1 - remaining) / remaining / base_std
    squares = torch.cdist(data, data).square()
    log_weights = (ratio / base_std * noise) @ data.T - ratio.square() / 2 * squares
    return data - noise + (log_weights.softmax(1) @ data - data) / remaining


class FlowMatching(MaximumLikelihood):
    """Regression of the vector field on straight paths, evaluated by the log-likelihood.

    Args:
        pairs: `independent` or `optimal_transport`.
    """

    def __init__(self, pairs: str, true_log_likelihood: float | None = None) -> None:
        super().__init__(true_log_likelihood)
        self.pairs = pairs

    def loss(self, model: Any, batch: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error of the velocity, in squared data units per unit of time.

        With the mean target it is smaller than with single paths, by the variance of these.
        """
        noise = model.base_std * torch.randn_like(batch)
        # Times stratified over [0, 1], one in each stratum, reduce the variance.
        strata = torch.randperm(len(batch), device=batch.device).to(batch)
        remaining = ((strata + torch.rand_like(strata)) / len(batch)) ** TIME_EXPONENT
        remaining = remaining.clamp(min=1e-6).unsqueeze(1)
        if self.pairs == "optimal_transport":
            noise = optimal_pairs(noise, batch)
            target = batch - noise
        else:
            pieces = (part.split(TARGET_CHUNK) for part in (noise, batch, remaining))
            # In half precision, rounding errors divided by the remaining time would dominate.
            with torch.autocast(batch.device.type, enabled=False):
                target = torch.cat([
                    mean_velocity(start, end, rest, model.base_std)
                    for start, end, rest in zip(*pieces, strict=True)
                ])  # fmt: skip
        path = torch.lerp(batch, noise, remaining)
        velocity = model.vector_field.dynamics(model.horizon * (1 - remaining[:, 0]), path)
        return (model.horizon * velocity - target).square().mean(), {}

    def evaluate(self, model: nn.Module, batches: Iterable[Tensor]) -> dict[str, float]:
        """The metrics of `MaximumLikelihood`, with the loss of flow matching as `loss`.

        - `gap`: nats by which the log-likelihood is below that of the true density
        """
        points = list(batches)
        values = super().evaluate(model, points)
        with seeded(0, points[0].device):
            values["loss"] = float(self.loss(model, torch.cat(points), 0)[0])
        if self.true_log_likelihood is not None:
            values["gap"] = self.true_log_likelihood - values["log_likelihood"]
        return values


def flow_matching(
    settings: FlowMatchingConfig, data: Any, solver: Solver, gradient: Gradient
) -> MatchedFlow:
    """Build a flow whose vector field accepts a time for each sample."""
    field = VelocityMLP(data.dim, settings.hidden, settings.layers, settings.horizon)
    return MatchedFlow(
        field, data.dim, solver, gradient, Divergence(), settings.horizon, settings.base_std
    )


def matching_task(settings: FlowMatchingConfig, data: PointData) -> FlowMatching:
    """The task of fitting a flow to the points of the data by flow matching."""
    return FlowMatching(settings.pairs, data.true_log_likelihood)
