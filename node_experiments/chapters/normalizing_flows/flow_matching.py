"""Conditional flow matching: a continuous flow is trained without solving an ODE.

Lipman et al. 2023 (arXiv:2210.02747), with straight paths x_t = (1 - t) x_0 + t x_1 from noise
x_0 to data x_1: the vector field is regressed on x_1 - x_0. What it learns is the mean of that
over all paths through a point, whose flow carries the noise to the data.

Of `independent` pairs, a point of a path may as well have come from other noise, on the way to
other data of its batch. The mean over these, each as likely as it is to pass through the point, is
a target of the same expectation and of less variance (the Rao-Blackwell theorem; Xu, Tong &
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
    """A continuous flow that training does not solve."""

    not_regularized = "which is trained by flow matching and solves no ODE in training"


NEAR_DATA = 1.7  # choice: above 1, more times near the data, where the field is sharpest
TOGETHER = 128  # choice: points of a batch among which a target is averaged


def optimal_pairs(noise: Tensor, data: Tensor) -> Tensor:
    """The noise in the order in which its squared distance to the data is least, `(batch, dim)`.

    >>> optimal_pairs(torch.tensor([[0.0], [5.0]]), torch.tensor([[6.0], [1.0]]))
    tensor([[5.],
            [0.]])
    """
    costs = torch.cdist(data, noise).square()
    _, order = linear_sum_assignment(costs.cpu().numpy())
    return noise[torch.as_tensor(order, device=noise.device)]


def mean_velocity(noise: Tensor, data: Tensor, left: Tensor, base_std: float) -> Tensor:
    """The mean of x_1 - x_0 over the paths from noise to any of the data through each point.

    A path through x_t to other data x_1' comes from x_0' = x_0 - (t / (1 - t)) (x_1' - x_1), and
    is as likely as that is. Its velocity is x_1 - x_0 + (x_1' - x_1) / (1 - t).

    Args:
        noise, data: Ends of the path that each point is on, `(batch, dim)`, of independent pairs.
        left: 1 - t at each point, above 0, `(batch, 1)`.
        base_std: Standard deviation of the noise.

    Returns:
        Shape `(batch, dim)`.

    Late, the path that a point is on is the only one through it; at first, all are as likely:

    >>> noise, data = torch.tensor([[0.5], [-1.0]]), torch.tensor([[1.0], [-1.0]])
    >>> mean_velocity(noise, data, torch.tensor([[0.01], [1.0]]), base_std=1.0)
    tensor([[0.5000],
            [1.0000]])
    """
    ratio = (1 - left) / left / base_std
    squares = torch.cdist(data, data).square()
    likely = (ratio / base_std * noise) @ data.T - ratio.square() / 2 * squares
    return data - noise + (likely.softmax(1) @ data - data) / left


class FlowMatching(MaximumLikelihood):
    """Regression of the vector field on straight paths, measured by the log-likelihood.

    Args:
        pairs: `independent` or `optimal_transport`.
    """

    def __init__(self, pairs: str, true_log_likelihood: float | None = None) -> None:
        super().__init__(true_log_likelihood)
        self.pairs = pairs

    def loss(self, model: Any, batch: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error of the velocity, in squared data units per unit of time.

        The mean target makes it smaller than that of single paths, by what these vary.
        """
        noise = model.base_std * torch.randn_like(batch)
        # Spread evenly over the path, with one random offset for each: less variance.
        places = torch.randperm(len(batch), device=batch.device).to(batch)
        left = ((places + torch.rand_like(places)) / len(batch)) ** NEAR_DATA
        left = left.clamp(min=1e-6).unsqueeze(1)
        if self.pairs == "optimal_transport":
            noise = optimal_pairs(noise, batch)
            target = batch - noise
        else:
            pieces = (part.split(TOGETHER) for part in (noise, batch, left))
            # In half precision, what is divided by the time that is left would be noise.
            with torch.autocast(batch.device.type, enabled=False):
                target = torch.cat([
                    mean_velocity(start, end, rest, model.base_std)
                    for start, end, rest in zip(*pieces, strict=True)
                ])  # fmt: skip
        path = torch.lerp(batch, noise, left)
        velocity = model.vector_field.dynamics(model.horizon * (1 - left[:, 0]), path)
        return (model.horizon * velocity - target).square().mean(), {}

    def evaluate(self, model: nn.Module, batches: Iterable[Tensor]) -> dict[str, float]:
        """The log-likelihood as in `MaximumLikelihood`, and the loss of flow matching.

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
    """A flow whose vector field takes a time for each sample."""
    field = VelocityMLP(data.dim, settings.hidden, settings.layers, settings.horizon)
    return MatchedFlow(
        field, data.dim, solver, gradient, Divergence(), settings.horizon, settings.base_std
    )


def matching_task(settings: FlowMatchingConfig, data: PointData) -> FlowMatching:
    """The task of matching the points of the data."""
    return FlowMatching(settings.pairs, data.true_log_likelihood)
