"""Who does the work: ours, torchdiffeq, torchode; `peer_diffrax` has diffrax."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from node_experiments.ode import Gradient, Solver, SolveStats, solve

from .problems import Work

__all__ = [
    "Contender",
    "Counts",
    "Ours",
    "TorchDiffEq",
    "TorchOde",
    "contender",
]


class Counts(NamedTuple):
    """Evaluations of the vector field; None where a package does not tell."""

    forward: int | None
    backward: int | None


@dataclass
class Contender:
    """One way to do a row's work.

    Attributes:
        name: With the package first, if it is not ours.
        work: What it does; moved to a device with all that it holds.
        step: Forward and backward pass, all that is timed; returns the solution.
        gradient: Of the parameters by the last step, in double precision, for the comparison.
        counts: Evaluations of the last step.
        note: Where it does other than the row says: another method or precision.
    """

    name: str
    work: Work
    step: Callable[[], Tensor]
    gradient: Callable[[], Tensor]
    counts: Callable[[], Counts]
    note: str = ""

    @property
    def package(self) -> str:
        first = self.name.split()[0].rstrip(",")
        return first if first in ("torchdiffeq", "torchode", "diffrax") else "ours"


class Ours:
    """ODESolve by this package."""

    def __init__(self, solver: Solver, gradient: Gradient) -> None:
        self.solver, self.way = solver, gradient
        self.stats: list[SolveStats] = []

    def begin(self) -> None:
        self.stats = []

    def __call__(self, field: nn.Module, y0: Tensor, t: Tensor, *args: Tensor) -> Tensor:
        solution = solve(field, y0, t, self.solver, self.way, args=args)
        self.stats.append(solution.stats)
        return solution.ys

    def forward_is_over(self) -> None:
        """Statistics count both directions apart by themselves."""

    def counts(self) -> Counts:
        total = SolveStats.total(self.stats)
        return Counts(total.forward.evaluations, total.backward.evaluations)


class TorchDiffEq:
    """ODESolve by torchdiffeq.

    Args:
        name: `odeint` or `odeint_adjoint`.
        options: Those of the call.
    """

    def __init__(self, name: str, **options: Any) -> None:
        import torchdiffeq

        self.odeint, self.options = getattr(torchdiffeq, name), options
        self.calls = self.calls_forward = 0

    def begin(self) -> None:
        self.calls = 0

    def __call__(self, field: nn.Module, y0: Tensor, t: Tensor, *args: Tensor) -> Tensor:
        return self.odeint(Counting(self, field, args), y0, t, **self.options)

    def forward_is_over(self) -> None:
        self.calls_forward = self.calls

    def counts(self) -> Counts:
        return Counts(self.calls_forward, self.calls - self.calls_forward)


class TorchOde(TorchDiffEq):
    """ODESolve by torchode, which steps every sample of a batch independently.

    Args:
        tolerance: Relative and absolute.
    """

    def __init__(self, tolerance: float) -> None:
        import torchode

        self.torchode, self.tolerance = torchode, tolerance
        self.calls = self.calls_forward = 0

    def __call__(self, field: nn.Module, y0: Tensor, t: Tensor, *args: Tensor) -> Tensor:
        torchode, tolerance = self.torchode, self.tolerance
        term = torchode.ODETerm(Counting(self, field, args))
        controller = torchode.IntegralController(atol=tolerance, rtol=tolerance, term=term)
        adjoint = torchode.AutoDiffAdjoint(torchode.Dopri5(term=term), controller)
        times = t.expand(len(y0), -1)
        return adjoint.solve(torchode.InitialValueProblem(y0=y0, t_eval=times)).ys.transpose(0, 1)


class Counting(nn.Module):
    """A field that tells how often it was called."""

    def __init__(self, counter: TorchDiffEq, field: nn.Module, args: tuple[Tensor, ...]) -> None:
        super().__init__()
        self.field, self._counter, self._args = field, counter, args

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        self._counter.calls += 1
        return self.field(t, y, *self._args)


def contender(
    name: str,
    work: Work,
    solver: Ours | TorchDiffEq,
    note: str = "",
    bf16: bool = False,
    backward: bool = True,
) -> Contender:
    """A solver at work.

    Args:
        backward: Whether the gradient is part of a step.
    """

    def step() -> Tensor:
        work.zero_grad()
        solver.begin()
        device = work.times.device.type
        casts = torch.autocast(device, torch.bfloat16) if bf16 else nullcontext()
        with casts, torch.set_grad_enabled(backward):
            output, loss = work(solver)
        solver.forward_is_over()
        if backward:
            loss.backward()
        return output.detach()

    return Contender(name, work, step, work.gradient, solver.counts, note)
