"""Incompressible flow that carries smoke in a periodic box (Navier & Stokes, in 2 dimensions).

    du/dt = P(-div(u u) + nu lap u + b s e_y + f)        s: smoke, lighter than the fluid
    ds/dt = -div(u s) + kappa lap s

P is the Helmholtz projection onto divergence-free velocities: u^(k) - k (k . u^(k)) / |k|^2 in
Fourier space. Derivatives are spectral, and products are dealiased by the 2/3 rule (Orszag 1971).
All operations are differentiable in torch, so that gradients flow through a solve.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["PeriodicFluid", "Spectrum"]


class Spectrum(nn.Module):
    """Wave numbers of a square grid on the unit box, and linear operators in Fourier space.

    Args:
        size: Number of points along each side, even.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        along_y = torch.fft.fftfreq(size, 1 / size).unsqueeze(1).expand(size, size // 2 + 1)
        along_x = torch.fft.rfftfreq(size, 1 / size).expand_as(along_y)
        k = torch.stack([along_x, along_y])
        self.register_buffer("wave_numbers", k.contiguous(), persistent=False)
        self.register_buffer("smooth", self.largest_at_most(size // 3), persistent=False)
        self.register_buffer("laplacian", -((2 * math.pi) ** 2) * (k**2).sum(0), persistent=False)
        self.register_buffer("inverse_square", 1 / (k**2).sum(0).clamp(min=1), persistent=False)
        self.wave_numbers: Tensor
        self.smooth: Tensor
        self.laplacian: Tensor
        self.inverse_square: Tensor

    def largest_at_most(self, modes: int) -> Tensor:
        """A mask of wave numbers up to `modes` along each axis, shape `(size, size // 2 + 1)`."""
        k = self.wave_numbers.abs()
        return (k.amax(0) <= modes).to(k)

    def to_fourier(self, values: Tensor) -> Tensor:
        """Fourier coefficients of real fields `(..., size, size)`."""
        return torch.fft.rfft2(values)

    def to_grid(self, coefficients: Tensor) -> Tensor:
        """Real fields `(..., size, size)` of Fourier coefficients."""
        return torch.fft.irfft2(coefficients, s=(self.size, self.size))

    def divergence(self, x: Tensor, y: Tensor) -> Tensor:
        """Fourier coefficients of d/dx x + d/dy y, from those of x and y."""
        k = self.wave_numbers
        return 2j * math.pi * (k[0] * x + k[1] * y)

    def project(self, velocity: Tensor) -> Tensor:
        """Remove divergence and mean flow from coefficients `(..., 2, size, size//2 + 1)`."""
        k = self.wave_numbers
        along = (k * velocity).sum(-3, keepdim=True) * self.inverse_square
        # A constant force would only set the whole periodic box in motion.
        return (velocity - k * along) * (self.laplacian < 0)


class PeriodicFluid(nn.Module):
    """The vector field of (u_x, u_y, s).

    Attributes:
        force: Maps a 0-d time to Fourier coefficients of f `(2, size, size // 2 + 1)`; None for
            no force.
    """

    def __init__(self, size: int, viscosity: float, diffusivity: float, buoyancy: float) -> None:
        super().__init__()
        self.spectrum = Spectrum(size)
        self.viscosity, self.diffusivity, self.buoyancy = viscosity, diffusivity, buoyancy
        self.force: Callable[[Tensor], Tensor] | None = None

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The derivative of states `(batch, 3, size, size)` at a 0-d time."""
        spectrum = self.spectrum
        coefficients = spectrum.smooth * spectrum.to_fourier(y)
        u, v, s = spectrum.to_grid(coefficients).unbind(-3)
        products = torch.stack([u * u, u * v, v * v, u * s, v * s], -3)
        uu, uv, vv, us, vs = (spectrum.smooth * spectrum.to_fourier(products)).unbind(-3)
        smoke = coefficients[..., 2, :, :]
        acceleration = torch.stack(
            [-spectrum.divergence(uu, uv), self.buoyancy * smoke - spectrum.divergence(uv, vv)], -3
        )
        if self.force is not None:
            acceleration = acceleration + self.force(t)
        velocity = spectrum.project(acceleration)
        velocity = velocity + self.viscosity * spectrum.laplacian * coefficients[..., :2, :, :]
        smoke = self.diffusivity * spectrum.laplacian * smoke - spectrum.divergence(us, vs)
        return spectrum.to_grid(torch.cat([velocity, smoke.unsqueeze(-3)], -3))
