"""Builders of the flows of the chapter: their vector fields and trace computations."""

from __future__ import annotations

from typing import Any

from torch import nn

from ...ode import Gradient, Solver
from .chapter import (
    ContinuousFlowConfig,
    FFJORDConfig,
    HamiltonianCNFConfig,
    PlanarCNFConfig,
    PlanarNFConfig,
)
from .concat_squash import ConcatSquashMLP
from .continuous_flow import ContinuousFlow
from .divergence import Divergence
from .energies import EnergyData
from .hamiltonian import HamiltonianField
from .planar_cnf import PlanarField
from .planar_nf import PlanarNF
from .point_sets import PointData

__all__ = ["ffjord", "hamiltonian_cnf", "planar_cnf", "planar_nf"]


def planar_cnf(
    settings: PlanarCNFConfig, data: Any, solver: Solver, gradient: Gradient
) -> ContinuousFlow:
    """Planar units with a hypernetwork over time (Chen et al. 2018, section 4.1)."""
    field = PlanarField(data.dim, settings.units, settings.hyper_hidden, settings.variant)
    return continuous_flow(settings, field, data.dim, solver, gradient)


def ffjord(
    settings: FFJORDConfig, data: Any, solver: Solver, gradient: Gradient
) -> ContinuousFlow:
    """A concatsquash MLP (Grathwohl et al. 2019)."""
    field = ConcatSquashMLP([data.dim, *[settings.hidden] * settings.layers, data.dim])
    divergence = Divergence(settings.trace)
    return continuous_flow(settings, field, data.dim, solver, gradient, divergence)


def hamiltonian_cnf(
    settings: HamiltonianCNFConfig, data: Any, solver: Solver, gradient: Gradient
) -> ContinuousFlow:
    """Two halves of the state that drive each other (Chen et al. 2018, appendix A.2)."""
    field = HamiltonianField(data.dim, settings.hidden, settings.layers)
    return continuous_flow(settings, field, data.dim, solver, gradient)


def continuous_flow(
    settings: ContinuousFlowConfig,
    field: nn.Module,
    dim: int,
    solver: Solver,
    gradient: Gradient,
    divergence: Divergence | None = None,
) -> ContinuousFlow:
    """Build the flow of a vector field from its settings."""
    return ContinuousFlow(
        field, dim, solver, gradient, divergence, settings.horizon, settings.base_std
    )


def planar_nf(
    settings: PlanarNFConfig, data: EnergyData | PointData, solver: Solver, gradient: Gradient
) -> PlanarNF:
    """Planar layers, in the direction that the task needs in closed form.

    Density matching draws samples, and maximum likelihood needs the density of points.
    """
    closed_form = "sample" if isinstance(data, EnergyData) else "density"
    return PlanarNF(data.dim, settings.units, closed_form, settings.base_std)
