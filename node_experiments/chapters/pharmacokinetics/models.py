"""Vector fields of a drug under an infusion, and the model that solves them for a batch.

The patients of a batch are sampled at different times. The independent variable `s` therefore
counts rows: from row k to row k + 1 of a patient, it runs from k to k + 1 while time advances by
that patient's gap. The infusion and the gap are a piecewise constant control input of s, which
jumps at integers for all patients: a single solve with `jump_t` reaches all samples of all
patients.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ...nn.ode_module import ODEModule
from ...ode import ControlInput, Gradient, Solver
from .chapter import PharmacokineticModelConfig
from .dosing import COVARIATES, DoseBatch

__all__ = ["CorrectedCompartments", "Kinetics", "NeuralKinetics", "TwoCompartments", "kinetics"]

# Initial volumes in litres and flows in litres per minute.
START = {"volume": 10.0, "clearance": 2.5, "outer volume": 10.0, "exchange": 0.5}
LEAST = 1e-3  # ng/ml, lower bound on concentrations in logarithms


class TwoCompartments(nn.Module):
    """Concentrations of two compartments with clearance from the first.

    V1 dc1/dt = u - CL c1 - Q (c1 - c2) and V2 dc2/dt = Q (c1 - c2), where the logarithms of the
    volumes and flows are linear in the covariates.
    """

    size = 2

    def __init__(self) -> None:
        super().__init__()
        self.typical = nn.Parameter(torch.tensor(list(START.values())).log())
        self.effects = nn.Parameter(torch.zeros(len(COVARIATES), len(START)))

    def patient(self, covariates: Tensor) -> Tensor:
        """Volumes and flows of each patient, shape `(batch, 4)`."""
        return (self.typical + covariates @ self.effects).exp()

    def forward(self, s: Tensor, c: Tensor, path: ControlInput, patient: Tensor) -> Tensor:
        """dc/ds at the state `(batch, 2)`."""
        rate, gap = path(s).unbind(-1)
        return gap.unsqueeze(-1) * self.per_minute(c, rate, patient)

    def per_minute(self, c: Tensor, rate: Tensor, patient: Tensor) -> Tensor:
        """dc/dt in ng/ml per minute, for an infusion in micrograms per minute."""
        volume, clearance, outer, exchange = patient[..., :4].unbind(-1)
        inner, other = c.unbind(-1)
        flow = exchange * (inner - other)
        return torch.stack([(rate - clearance * inner - flow) / volume, flow / outer], -1)

    def log_concentration(self, c: Tensor) -> Tensor:
        """Logarithm of ng/ml in blood, from states `(..., 2)`."""
        return c[..., 0].clamp(min=LEAST).log()


class CorrectedCompartments(TwoCompartments):
    """Two compartments with a network that corrects the relative rates of change.

    dc/dt = mechanism + c * network(log c, u, covariates). The network's output is in 1/min, and 0
    at initialisation.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.net = network(self.size + 1 + len(COVARIATES), hidden, self.size)
        for parameter in self.net[-1].parameters():
            nn.init.zeros_(parameter)

    def patient(self, covariates: Tensor) -> Tensor:
        """Volumes and flows, then the covariates, shape `(batch, 7)`."""
        return torch.cat([super().patient(covariates), covariates], -1)

    def per_minute(self, c: Tensor, rate: Tensor, patient: Tensor) -> Tensor:
        """dc/dt of the mechanism plus the correction."""
        logs = c.clamp(min=LEAST).log() / 3
        seen = torch.cat([logs, scaled(rate), patient[..., 4:]], -1)
        return super().per_minute(c, rate, patient) + c * self.net(seen)


class NeuralKinetics(nn.Module):
    """A latent state that follows a neural ODE, with a linear readout of the log concentration.

    Args:
        latent: Dimension of the state.
        hidden: Units of the hidden layer.
    """

    def __init__(self, latent: int, hidden: int) -> None:
        super().__init__()
        self.size = latent
        self.net = network(latent + 1 + len(COVARIATES), hidden, latent)
        self.read = nn.Linear(latent, 1)

    def patient(self, covariates: Tensor) -> Tensor:
        """The covariates, unchanged."""
        return covariates

    def forward(self, s: Tensor, h: Tensor, path: ControlInput, patient: Tensor) -> Tensor:
        """dh/ds at the state `(batch, latent)`."""
        rate, gap = path(s).unbind(-1)
        return gap.unsqueeze(-1) * self.net(torch.cat([h, scaled(rate), patient], -1))

    def log_concentration(self, h: Tensor) -> Tensor:
        """Logarithm of ng/ml in blood, from states `(..., latent)`."""
        return self.read(h).squeeze(-1)


def network(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """A network with one hidden layer of tanh units."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, outputs))


def scaled(rate: Tensor) -> Tensor:
    """Infusion rate, scaled as input of a network, shape `(batch, 1)`."""
    return (rate / 50).log1p().unsqueeze(-1)


class Kinetics(ODEModule):
    """Concentrations of a batch of patients, with learned observation noise.

    Attributes:
        log_noise_std: Logarithm of the noise standard deviation of a log concentration, 0-d.
    """

    reason_not_regularizable = "whose solve counts rows of a record, not minutes"

    def __init__(self, field: Any, solver: Solver, gradient: Gradient) -> None:
        super().__init__(field, solver, gradient)
        self.log_noise_std = nn.Parameter(torch.tensor(0.5).log())

    def forward(self, batch: DoseBatch) -> Tensor:
        """Logarithm of the concentration at each row, shape `(batch, row)`."""
        field: Any = self.vector_field
        rows = batch.times.shape[1]
        s = torch.arange(rows, dtype=batch.times.dtype, device=batch.device)
        path = ControlInput(s, torch.stack([batch.rates, batch.gaps], -1), "constant")
        start = torch.zeros(len(batch), field.size, dtype=s.dtype, device=s.device)
        self.solves = []
        patient = field.patient(batch.covariates)
        states, _ = self.integrate(start, s, (path, patient), self._stepping(path))
        return field.log_concentration(states).transpose(0, 1)

    def _stepping(self, path: ControlInput) -> Solver:
        """The solver, set to step between the jumps; `num_steps` is then a number per row."""
        solver = self.solver
        if solver.num_steps is not None:
            steps = solver.num_steps * (len(path.knots) - 1)
            return replace(solver, num_steps=steps, perturb=True)
        return replace(solver, jump_t=path.jump_t[:-1])


def kinetics(
    settings: PharmacokineticModelConfig, data: Any, solver: Solver, gradient: Gradient
) -> Kinetics:
    """Build the model that the settings name."""
    field: nn.Module
    if settings.name == "two_compartments":
        field = TwoCompartments()
    elif settings.name == "corrected_compartments":
        field = CorrectedCompartments(settings.hidden)
    else:
        field = NeuralKinetics(settings.latent, settings.hidden)
    return Kinetics(field, solver, gradient)
