"""Planar normalizing flow (Rezende & Mohamed 2015), the discrete baseline of section 4.

A layer adds one unit, f(z) = z + u tanh(w^T z + b), with log|det df/dz| =
log(1 + (1 - tanh^2) w^T u), and can be inverted when w^T u > -1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .flow import check_points, normal_log_density

__all__ = ["PlanarNF"]

NEWTON_STEPS = 100


class PlanarNF(nn.Module):
    """K planar layers.

    Args:
        units: Number of layers K.
        closed_form: The quantity that needs no root finding. `sample`: the layers map noise to
            data. `density`: they map data to noise; to sample, they are inverted from the last
            to the first.
        base_std: Standard deviation of the noise.

    Raises:
        ValueError: Unknown `closed_form`.
    """

    def __init__(
        self, dim: int, units: int, closed_form: str = "density", base_std: float = 1.0
    ) -> None:
        super().__init__()
        if closed_form not in ("sample", "density"):
            raise ValueError(f"closed_form={closed_form!r} is unknown; allowed: sample, density")
        self.dim, self.units, self.base_std = dim, units, base_std
        self.closed_form = closed_form
        self.w = nn.Parameter(torch.randn(units, dim) / dim**0.5)
        # Each layer starts close to the identity, where w^T u solves m(w^T u) = 0.
        start = math.log(math.e - 1) * self.w.detach() / self.w.detach().square().sum(1, True)
        self.u = nn.Parameter(start + 0.01 * torch.randn(units, dim))
        self.b = nn.Parameter(torch.zeros(units))

    def invertible_u(self) -> Tensor:
        """A modified u that ensures w^T u > -1 (Rezende & Mohamed 2015, appendix A.1).

        u + (m(w^T u) - w^T u) w / |w|^2 with m(x) = -1 + log(1 + e^x), shape `(unit, dim)`.
        """
        product = (self.w * self.u).sum(1, keepdim=True)
        change = F.softplus(product) - 1 - product
        return self.u + change * self.w / self.w.square().sum(1, keepdim=True)

    def log_prob(self, x: Tensor, fraction: float = 1.0) -> Tensor:
        """Log-density in nats after a fraction of the layers, shape `(batch,)`."""
        check_points(x, self.dim)
        count = self._layer_count(fraction)
        if self.closed_form == "density":
            z, change = self._apply_layers(x, self.units - count, self.units)
            return normal_log_density(z, self.base_std) + change
        z = self._invert_layers(x, 0, count)
        return normal_log_density(z, self.base_std) - self._apply_layers(z, 0, count)[1]

    def sample(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Points from standard normal noise, and their log-density in nats."""
        check_points(noise, self.dim)
        z = self.base_std * noise
        if self.closed_form == "density":
            x = self._invert_layers(z, 0, self.units)
            _, change = self._apply_layers(x, 0, self.units)
            return x, normal_log_density(z, self.base_std) + change
        x, change = self._apply_layers(z, 0, self.units)
        return x, normal_log_density(z, self.base_std) - change

    def path(self, noise: Tensor, fractions: Sequence[float]) -> Tensor:
        """Points after fractions of the layers, `(fraction, batch, dim)`."""
        check_points(noise, self.dim)
        z, done, found = self.base_std * noise, 0, []
        for fraction in fractions:
            count = self._layer_count(fraction)
            if self.closed_form == "density":
                z = self._invert_layers(z, self.units - count, self.units - done)
            else:
                z = self._apply_layers(z, done, count)[0]
            found.append(z)
            done = count
        return torch.stack(found)

    def _layer_count(self, fraction: float) -> int:
        return round(fraction * self.units)

    def _apply_layers(self, z: Tensor, first: int, last: int) -> tuple[Tensor, Tensor]:
        """Apply layers `first` to `last`; also return the sum of their log-determinants."""
        if first == last:
            return z, torch.zeros_like(z[:, 0])
        u = self.invertible_u()
        activations = []
        layers = zip(
            self.w[first:last].unbind(), u[first:last].unbind(), self.b[first:last].unbind(),
            strict=True,
        )  # fmt: skip
        for w, u_n, b in layers:
            h = torch.addmv(b, z, w).tanh()
            z = torch.addr(z, h, u_n)
            activations.append(h)
        slopes = 1 - torch.stack(activations).square()
        products = (self.w[first:last] * u[first:last]).sum(1, keepdim=True)
        return z, torch.log1p(slopes * products).sum(0)

    def _invert_layers(self, x: Tensor, first: int, last: int) -> Tensor:
        """Inverse of `_apply_layers`, without gradients.

        a = w^T z solves a + w^T u tanh(a + b) = w^T x, whose left side increases from -inf to inf:
        Newton's method, safeguarded by bisection of an interval that contains the root. In double
        precision, since a layer may be so steep that its inverse is flat.
        """
        with torch.no_grad():
            dtype, x = x.dtype, x.double()
            u = self.invertible_u().double()
            w, bias = self.w.double(), self.b.double()
            for k in reversed(range(first, last)):
                product = w[k] @ u[k]
                goal = x @ w[k]
                low, high = goal - product.abs(), goal + product.abs()
                a = goal
                for _ in range(NEWTON_STEPS):
                    h = (a + bias[k]).tanh()
                    error = a + product * h - goal
                    low = torch.where(error < 0, a, low)
                    high = torch.where(error > 0, a, high)
                    new = a - error / (1 + product * (1 - h.square()))
                    inside = (new >= low) & (new <= high)
                    new = torch.where(inside, new, (low + high) / 2)
                    settled = (new - a).abs().max() <= 1e-13 * (1 + goal.abs().max())
                    a = new
                    if settled:
                        break
                x = x - torch.outer((a + bias[k]).tanh(), u[k])
            return x.to(dtype)
