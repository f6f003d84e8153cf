"""The control of a fluid as the parameters of a model (McNamara et al. 2004).

The gradient of the final smoke with respect to the control comes from the solve like any other:
`gradient=adjoint` solves the adjoint equation that McNamara et al. derived for their fluid solver.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...config.checks import ConfigError
from ...nn.ode_module import ODEModule
from ...ode import Gradient, Solver, solve
from .periodic_fluid import Spectrum
from .settings import FluidControlConfig
from .smoke import Scene, SmokeData

__all__ = ["FluidControl", "SmoothVelocity", "fluid_control"]


class SmoothVelocity(nn.Module):
    """Vector fields on the grid, low-pass filtered and interpolated in time.

    Args:
        count: Number of vector fields between which `forward` interpolates linearly in time.
        modes: Largest wave number along each axis.
        span: Time from the first vector field to the last.
    """

    def __init__(self, spectrum: Spectrum, count: int, modes: int, span: float) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.zeros(count, 2, spectrum.size, spectrum.size))
        self.register_buffer("mask", spectrum.largest_at_most(modes), persistent=False)
        self.mask: Tensor
        self.span = span

    def forward(self, t: Tensor) -> Tensor:
        """Fourier coefficients `(2, size, size // 2 + 1)` at a 0-d time."""
        knots = torch.arange(len(self.values)).to(self.values)
        place = (t.to(self.values) / self.span).clamp(0, 1) * (len(self.values) - 1)
        weights = (1 - (place - knots).abs()).clamp(min=0)
        return self.mask * torch.fft.rfft2(torch.tensordot(weights, self.values, 1))


class FluidControl(ODEModule):
    """A fluid whose initial velocity, or the force on it, is optimised.

    Args:
        scene: The fluid, its smoke and the target.
    """

    def __init__(
        self, settings: FluidControlConfig, scene: Scene, solver: Solver, gradient: Gradient
    ) -> None:
        fluid = scene.fluid()
        count = settings.knots if settings.control == "force" else 1
        control = SmoothVelocity(fluid.spectrum, count, settings.modes, scene.span)
        if settings.control == "force":
            fluid.force = control
        super().__init__(fluid, solver, gradient)
        self.initial_velocity = control if settings.control == "initial_velocity" else None
        self.uncontrolled_field = scene.fluid()
        self.compare_gradients = settings.compare_gradients

    def forward(self, smoke: Tensor, times: Tensor) -> Tensor:
        """States (u_x, u_y, smoke) at `times`, `(time, batch, 3, size, size)`.

        Args:
            smoke: Smoke at the first time, shape `(batch, size, size)`.
        """
        velocity = smoke.new_zeros(len(smoke), 2, *smoke.shape[1:])
        if self.initial_velocity is not None:
            spectrum = self.uncontrolled_field.spectrum
            smooth = spectrum.project(self.initial_velocity(times[0]))
            velocity = velocity + spectrum.to_grid(smooth)
        states: Tensor = self.solve(torch.cat([velocity, smoke.unsqueeze(1)], 1), times)
        return states

    @torch.no_grad()
    def uncontrolled(self, smoke: Tensor, times: Tensor) -> Tensor:
        """The states of the fluid without control, in the same shape."""
        state = torch.cat([torch.zeros_like(smoke).expand(2, -1, -1), smoke]).unsqueeze(0)
        states: Tensor = solve(self.uncontrolled_field, state, times, self.solver).ys
        return states


def fluid_control(
    settings: FluidControlConfig, data: SmokeData, solver: Solver, gradient: Gradient
) -> FluidControl:
    """Build the controlled fluid of the scene.

    Raises:
        ConfigError: `modes` exceeds the largest wave number that the 2/3 rule keeps.
    """
    largest = data.scene.size // 3
    if settings.modes > largest:
        raise ConfigError(
            f"model.modes={settings.modes} must be at most {largest}, a third of "
            f"dataset.size={data.scene.size}: products of shorter waves are aliased on the grid"
        )
    return FluidControl(settings, data.scene, solver, gradient)
