"""Continuous normalizing flows by name: which vector field, and how its trace is computed."""

from __future__ import annotations

from ...ode import (
    Gradient,
    Solver,
)
from .concat_squash import ConcatSquashMLP
from .continuous_flow import ContinuousFlow
from .divergence import Divergence
from .hamiltonian import HamiltonianField
from .planar_cnf import PlanarField

__all__ = ["ffjord", "hamiltonian_cnf", "planar_cnf"]


def planar_cnf(
    dim: int,
    solver: Solver,
    gradient: Gradient,
    units: int = 64,
    hyper_hidden: int = 32,
    variant: str = "paper",
    horizon: float = 1.0,
    base_std: float = 1.0,
) -> ContinuousFlow:
    """Planar units with a hypernetwork over time (Chen et al. 2018, section 4.1)."""
    field = PlanarField(dim, units, hyper_hidden, variant)
    return ContinuousFlow(field, dim, solver, gradient, horizon=horizon, base_std=base_std)


def ffjord(
    dim: int,
    solver: Solver,
    gradient: Gradient,
    hidden: int = 64,
    layers: int = 3,
    trace: str = "exact",
    horizon: float = 1.0,
    base_std: float = 1.0,
) -> ContinuousFlow:
    """A concatsquash MLP (Grathwohl et al. 2019)."""
    field = ConcatSquashMLP([dim, *[hidden] * layers, dim])
    return ContinuousFlow(field, dim, solver, gradient, Divergence(trace), horizon, base_std)


def hamiltonian_cnf(
    dim: int,
    solver: Solver,
    gradient: Gradient,
    hidden: int = 64,
    layers: int = 2,
    horizon: float = 1.0,
    base_std: float = 1.0,
) -> ContinuousFlow:
    """Two halves that drive each other (Chen et al. 2018, appendix A.2)."""
    field = HamiltonianField(dim, hidden, layers)
    return ContinuousFlow(field, dim, solver, gradient, horizon=horizon, base_std=base_std)
