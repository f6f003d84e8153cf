"""Maximum likelihood: fit the density of a flow to points (section 4.2, Figure 5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ...nn.ode_module import ODEModule
from .grid import integral
from .point_sets import PointData

__all__ = ["MaximumLikelihood", "maximum_likelihood"]

SAMPLES = 10_000  # of the flow; the integral is over their bounding box


class MaximumLikelihood:
    """Mean negative log-likelihood of points, in nats.

    Args:
        true_log_likelihood: Mean log-density of the test points under their true density, or None.
    """

    metric = "log_likelihood"
    higher_is_better = True

    def __init__(self, true_log_likelihood: float | None = None) -> None:
        self.true_log_likelihood = true_log_likelihood

    def loss(self, model: Any, batch: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean negative log-likelihood of a batch of points `(batch, dim)`."""
        loss = -model.log_prob(batch).mean()
        return loss, {"log_likelihood": -loss.detach()}

    def evaluate(self, model: nn.Module, batches: Iterable[Tensor]) -> dict[str, float]:
        """The log-likelihood of held-out points, in nats per point.

        - `log_likelihood`, `log_likelihood_se`: mean and its standard error
        - `log_likelihood_true`: the mean under the density that the points were drawn from
        - `normalization`: the integral of the flow's density over a box that contains its samples
        - `evaluations`: function evaluations of the solve for the log-likelihoods
        """
        flow: Any = model
        points = list(batches)
        found = torch.cat([flow.log_prob(some) for some in points]).double()
        solve = flow.stats.forward if isinstance(flow, ODEModule) else None
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(SAMPLES, flow.dim, generator=generator).to(points[0])
        samples = flow.path(noise, [1.0])[0]
        mean = float(found.mean())
        values = {
            "loss": -mean,
            "log_likelihood": mean,
            "log_likelihood_se": float(found.std() / len(found) ** 0.5),
            "normalization": integral(flow, samples),
        }
        if solve is not None:
            values["evaluations"] = solve.evaluations
        if self.true_log_likelihood is not None:
            values["log_likelihood_true"] = self.true_log_likelihood
        return values


def maximum_likelihood(settings: Any, data: PointData) -> MaximumLikelihood:
    """The task of fitting a flow to the points of the data."""
    return MaximumLikelihood(data.true_log_likelihood)
