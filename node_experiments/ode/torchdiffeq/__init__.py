"""Drop-in replacements for torchdiffeq's functions: only the import has to be changed.

from node_experiments.ode.torchdiffeq import odeint, odeint_adjoint, odeint_event
"""

from ._impl import odeint, odeint_adjoint, odeint_dense, odeint_event

__all__ = ["odeint", "odeint_adjoint", "odeint_dense", "odeint_event"]

__version__ = "0.2.5"  # of the interface
