"""The work of every row: a loss that is a function of a way to solve ODEs.

A `Work` holds parameters and data. It is given an ODESolve and returns the solution that is
compared between packages, and the loss whose gradient is. So all packages do the same.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from node_experiments.chapters.image_classification.chapter import ImagesConfig
from node_experiments.chapters.image_classification.datasets import image_data
from node_experiments.chapters.image_classification.networks import ConvVectorField
from node_experiments.chapters.image_classification.residual_blocks import (
    classifier_head,
    conv_stem,
)
from node_experiments.chapters.irregular_series.gap_dynamics import GapField
from node_experiments.chapters.latent_ode.model import LatentVectorField
from node_experiments.chapters.normalizing_flows.planar_cnf import PlanarField
from node_experiments.nn.cpu.feature_major import units_first
from node_experiments.nn.mlp import mlp

__all__ = [
    "CNF",
    "ODERNN",
    "Flow",
    "Latent",
    "Mnist",
    "ODESolve",
    "Oscillators",
    "SmallCNF",
    "Work",
]

ODESolve = Callable[..., Tensor]
"""Maps a field, a state, times `(time,)` and arguments of the field to `(time, *state)`."""


class Work(nn.Module):
    """A training step without the update of the parameters."""

    def forward(self, solve: ODESolve) -> tuple[Tensor, Tensor]:
        """What the solver computed, and the loss, 0-d."""
        raise NotImplementedError

    def output_of(self, ys: Tensor) -> Tensor:
        """What is compared, of the states at all times."""
        return ys

    def gradient(self) -> Tensor:
        """Of the parameters, as one vector in double precision."""
        return torch.cat([g.reshape(-1).double() for g in self.gradients().values()])

    def gradients(self) -> dict[str, Tensor]:
        named = self.named_parameters()
        return {name: p.grad for name, p in named if p.grad is not None}

    def precise(self) -> Work:
        """The same in double precision."""
        return copy.deepcopy(self).double()


class Mnist(Work):
    """The ODE-Net of the paper's Table 1 on real digits.

    Args:
        images: Of a batch.
        concatenates: Compute the convolutions as the official example does, on the state with
            the time as one more channel; else ours, the same function.
    """

    def __init__(self, images: int = 128, concatenates: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head = conv_stem(1, 64), classifier_head(64, 10)
        field = ConvVectorField(64)
        if concatenates:
            field.conv1 = ConcatConv2d(field.conv1)
            field.conv2 = ConcatConv2d(field.conv2)
        self.field = field
        pixels, labels = digits(images)
        self.register_buffer("pixels", pixels)
        self.register_buffer("labels", labels)
        self.register_buffer("times", torch.tensor([0.0, 1.0]))

    def forward(self, solve: ODESolve) -> tuple[Tensor, Tensor]:
        state = self.stem(self.pixels).to(self.times.dtype)
        end = solve(self.field, state, self.times)[-1]
        return end, F.cross_entropy(self.head(end), self.labels)

    def gradients(self) -> dict[str, Tensor]:
        gradients = {}
        for name, gradient in super().gradients().items():
            if name.endswith("joint_weight"):
                start = name.removesuffix("joint_weight")
                gradients[f"{start}time_weight"] = gradient[:, :1]
                gradients[f"{start}weight"] = gradient[:, 1:]
            else:
                gradients[name] = gradient
        return {name: gradients[name] for name in sorted(gradients)}


@functools.cache
def digits(images: int) -> tuple[Tensor, Tensor]:
    """A batch of the training set with its labels."""
    data = image_data(ImagesConfig(name="mnist", batch_size=images, augment=False))
    return next(iter(data.train))


class ConcatConv2d(nn.Module):
    """The layer of the official example: a convolution of the concatenated time and state."""

    def __init__(self, ours: nn.Module) -> None:
        super().__init__()
        joint = torch.cat([ours.time_weight, ours.weight], 1)
        self.joint_weight = nn.Parameter(joint.detach().clone())
        self.bias = nn.Parameter(ours.bias.detach().clone())

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        joint = torch.cat([torch.ones_like(y[:, :1]) * t, y], 1)
        return F.conv2d(joint, self.joint_weight, self.bias, padding=1)


class Latent(Work):
    """The latent ODE of the paper's spirals, between a batch of z0 and a loss at many times.

    Args:
        batch: Trajectories.
        size: Numbers of a state.
        hidden: Units of the two hidden layers.
        outputs: Times from 0 to `end`.
        rows_first: Compute the vector field by `torch.nn.Linear`; else ours, the same function,
            on a state whose rows lie side by side in memory.
    """

    def __init__(
        self,
        batch: int = 1000,
        size: int = 4,
        hidden: int = 20,
        outputs: int = 100,
        end: float = 2.0,
        rows_first: bool = False,
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rows_first = rows_first
        self.field = LatentVectorField(size, hidden, 2, "elu")
        if rows_first:
            self.field.net = nn.Sequential(*self.field.net)
        self.register_buffer("y0", torch.randn(batch, size))
        self.register_buffer("times", torch.linspace(0, end, outputs))
        self.register_buffer("weights", torch.randn(outputs - 1, batch, size))

    @property
    def start(self) -> Tensor:
        return self.y0

    def forward(self, solve: ODESolve) -> tuple[Tensor, Tensor]:
        # As behind a recognition network, the initial state needs a gradient.
        y0 = self.y0.clone().requires_grad_()
        ys = solve(self.field, y0 if self.rows_first else units_first(y0), self.times)
        return ys, (ys[1:] * self.weights).sum() / len(self.y0)


class CNF(Work):
    """Likelihood of points in the plane under a continuous flow, with the exact trace.

    Args:
        differentiates: Find the trace by automatic differentiation, one row of the Jacobian at
            a time, as the example of torchdiffeq does; else in closed form, the same function.
    """

    def __init__(self, points: int = 512, units: int = 64, differentiates: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        planar = PlanarField(2, units, 32, "official_code")
        self.field = DifferentiatedTrace(planar) if differentiates else ClosedTrace(planar)
        angle = 2 * math.pi * torch.rand(points)
        radius = torch.where(torch.rand(points) < 0.5, 1.0, 2.0)
        circles = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
        self.register_buffer("points", circles + 0.05 * torch.randn(points, 2))
        self.register_buffer("times", torch.tensor([1.0, 0.0]))

    @property
    def start(self) -> Tensor:
        return torch.cat([self.points, torch.zeros_like(self.points[:, :1])], 1)

    def output_of(self, ys: Tensor) -> Tensor:
        return ys[-1]

    def forward(self, solve: ODESolve) -> tuple[Tensor, Tensor]:
        end = solve(self.field, self.start, self.times)[-1]
        z, change = end[:, :2], end[:, 2]
        log_density = -0.5 * z.square().sum(1) - math.log(2 * math.pi) - change
        return end, -log_density.mean()


class Flow(Work):
    """An MLP with two hidden layers of tanh over the unit interval, as in flow matching.

    Args:
        steps: Of the same size, with an output after each.
    """

    def __init__(self, batch: int, units: int, steps: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.field = TimeFree(mlp([2, units, units, 2], "tanh"))
        self.register_buffer("start", torch.randn(batch, 2))
        self.register_buffer("times", torch.linspace(0, 1, steps + 1))
        self.register_buffer("weights", torch.randn(steps, batch, 2))

    def forward(self, solve: ODESolve) -> tuple[Tensor, Tensor]:
        ys = solve(self.field, self.start.clone().requires_grad_(), self.times)
        return ys, (ys[1:] * self.weights).sum() / len(self.start)


class TimeFree(nn.Module):
    """An autonomous vector field."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.net(y)


class SmallCNF(Work):
    """A continuous flow with one hidden layer, as a user writes it; 512 points, exact trace."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.field = OneHiddenLayer()
        self.register_buffer("start", torch.randn(512, 3))
        self.register_buffer("times", torch.tensor([0.0, 1.0]))
        self.register_buffer("weights", torch.randn(1, 512, 3))

    def forward(self, solve: ODESolve) -> tuple[Tensor, Tensor]:
        ys = solve(self.field, self.start.clone().requires_grad_(), self.times)
        return ys, (ys[1:] * self.weights).sum() / len(self.start)


class OneHiddenLayer(nn.Module):
    """d(z, log p)/dt of a state `(batch, 3)`, with the trace in closed form."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(3, 64), nn.Linear(64, 2)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        x = y[:, :2]
        time = torch.ones_like(x[:, :1]) * t
        h = torch.tanh(self.hidden(torch.cat([x, time], 1)))
        diagonal = (self.out.weight.t() * self.hidden.weight[:, :2]).sum(1)
        return torch.cat([self.out(h), -((1 - h.square()) @ diagonal).unsqueeze(1)], 1)


class ClosedTrace(nn.Module):
    """d(z, log p)/dt of a state `(batch, 3)`."""

    def __init__(self, planar: PlanarField) -> None:
        super().__init__()
        self.planar = planar

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        velocity, trace = self.planar.with_divergence(t, y[:, :2])
        return torch.cat([velocity, -trace.unsqueeze(1)], 1)


class DifferentiatedTrace(ClosedTrace):
    """The same, with two products with the Jacobian."""

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        with torch.enable_grad():
            z = y[:, :2]
            z = z if z.requires_grad else z.detach().requires_grad_()
            velocity = self.planar(t, z)
            trace = torch.zeros_like(z[:, 0])
            for i in range(2):
                total = velocity[:, i].sum()
                trace = trace + torch.autograd.grad(total, z, create_graph=True)[0][:, i]
        return torch.cat([velocity, -trace.unsqueeze(1)], 1)


class Oscillators(Work):
    """Van der Pol's oscillators with a learned force; their stiffness is from 0.1 to 10."""

    def __init__(self, batch: int = 64, outputs: int = 10) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.field = Oscillator()
        stiffness = 0.1 * torch.logspace(0, 2, batch)
        self.register_buffer("start", torch.cat([torch.randn(batch, 2), stiffness[:, None]], 1))
        self.register_buffer("times", torch.linspace(0, 5, outputs))
        self.register_buffer("weights", torch.randn(outputs - 1, batch, 3))

    def forward(self, solve: ODESolve) -> tuple[Tensor, Tensor]:
        ys = solve(self.field, self.start.clone().requires_grad_(), self.times)
        return ys, (ys[1:] * self.weights).sum() / len(self.start)


class Oscillator(nn.Module):
    """dy/dt of a state `(batch, 3)`, whose last number is the stiffness."""

    def __init__(self) -> None:
        super().__init__()
        self.force = mlp([2, 64, 2], "tanh")

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        x, v, stiffness = y.unbind(1)
        force = 0.1 * self.force(y[:, :2])
        motion = torch.stack([v, stiffness * (1 - x * x) * v - x], 1) + force
        return torch.cat([motion, torch.zeros_like(motion[:, :1])], 1)


class ODERNN(Work):
    """An ODE-RNN that predicts the next value of series with individual times.

    Args:
        union: Solve from each time that any series has to the next, as users of one batch of
            times do; else over each series' own gap, rescaled to [0, 1], in one solve for all.
    """

    def __init__(
        self,
        series: int = 100,
        observations: int = 20,
        grid: int = 100,
        size: int = 20,
        union: bool = False,
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.union = union
        self.net = mlp([size, 40, size], "tanh")
        self.field = GapField(self.net)
        self.cell, self.readout = nn.GRUCell(2, size), nn.Linear(size, 2)
        # As in Rubanova et al. 2019: points of a grid, other ones for every series.
        chosen = torch.rand(series, grid).argsort(1)[:, :observations].sort(1).values
        phase = torch.rand(series, 1) * 2 * math.pi
        times = chosen / grid * 5.0
        values = torch.stack([(times + phase).sin(), (times + phase).cos()], -1)
        self.register_buffer("times", times)
        self.register_buffer("values", values)
        self.register_buffer("unit", torch.tensor([0.0, 1.0]))

    def forward(self, solve: ODESolve) -> tuple[Tensor, Tensor]:
        predicted = self.over_union(solve) if self.union else self.over_gaps(solve)
        error = predicted - self.values[:, 1:]
        return predicted, error.square().mean()

    def over_gaps(self, solve: ODESolve) -> Tensor:
        """Predictions before each observation but the first, `(series, observation, 2)`."""
        state = self.cell(self.values[:, 0])
        gaps = torch.diff(self.times, dim=1)
        predictions = []
        for i in range(gaps.shape[1]):
            state = solve(self.field, state, self.unit, gaps[:, i : i + 1])[-1]
            predictions.append(self.readout(state))
            state = self.cell(self.values[:, i + 1], state)
        return torch.stack(predictions, 1)

    def over_union(self, solve: ODESolve) -> Tensor:
        """The same predictions, from one solve between any two neighbouring times."""
        union, place = self.times.unique(return_inverse=True)
        series, observations = self.times.shape
        state = self.values.new_zeros(series, self.cell.hidden_size)
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        one = torch.ones_like(self.times[:, :1])
        for j in range(len(union)):
            if j:
                state = solve(self.field, state, union[j - 1 : j + 1], one)[-1]
            row, column = (place == j).nonzero(as_tuple=True)
            found.append((row, column, self.readout(state[row])))
            state = state.index_copy(0, row, self.cell(self.values[row, column], state[row]))
        predicted = self.values.new_empty(series, observations, 2)
        rows, columns, values = (torch.cat(parts) for parts in zip(*found, strict=True))
        return predicted.index_put((rows, columns), values)[:, 1:]
