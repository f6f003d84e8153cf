"""Modules laid out as in torchdiffeq's `_impl`, for code that imports from there."""

from .adjoint import odeint_adjoint
from .odeint import odeint, odeint_dense, odeint_event

__all__ = ["odeint", "odeint_adjoint", "odeint_dense", "odeint_event"]
