"""Network modules that contain ODE solves, and their common parts."""

import torch

from .ode_module import ODEModule

__all__ = ["ODEModule"]

# On some processors torch's expm1 and log1p, and with them ELU and softplus, take six times as
# long in a process that has not computed a vectorised power.
_ = torch.full((64,), 1.5) ** torch.full((64,), 1.5)
