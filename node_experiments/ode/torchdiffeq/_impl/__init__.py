"""The layout of torchdiffeq's own implementation, for code that imports from it."""

from .adjoint import odeint_adjoint
from .odeint import odeint, odeint_dense, odeint_event

__all__ = ["odeint", "odeint_adjoint", "odeint_dense", "odeint_event"]
