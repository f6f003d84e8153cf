"""Unnormalised densities exp(-U) in two dimensions (Rezende & Mohamed 2015, table 1).

U2, U3 and U4 do not grow along z1, so that exp(-U) has no finite integral. Beyond |z1| = 4, the
edge of the published figures, ((|z1| - 4) / 0.4)^2 / 2 is added to all four energies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...data.seeded_batches import SeededBatches
from ...errors import DataError
from .chapter import EnergiesConfig

__all__ = [
    "ENERGIES",
    "EnergyData",
    "confine",
    "energy_data",
    "log_normalizer",
    "matching_data",
]

Energy = Callable[[Tensor], Tensor]
EDGE = 4.0


def u1(z: Tensor) -> Tensor:
    """Two arcs of a ring, left and right."""
    ring = (z.norm(dim=-1) - 2) / 0.4
    wells = [-0.5 * ((z[..., 0] - c) / 0.6).square() for c in (2, -2)]
    return 0.5 * ring.square() - torch.logaddexp(*wells)


def u2(z: Tensor) -> Tensor:
    """A sine wave."""
    return 0.5 * ((z[..., 1] - wave(z)) / 0.4).square()


def u3(z: Tensor) -> Tensor:
    """A sine wave that splits in two around z1 = 1."""
    bump = 3 * (-0.5 * ((z[..., 0] - 1) / 0.6).square()).exp()
    return two_waves(z, bump, 0.35)


def u4(z: Tensor) -> Tensor:
    """A sine wave that splits in two beyond z1 = 1."""
    return two_waves(z, 3 * ((z[..., 0] - 1) / 0.3).sigmoid(), 0.4)


def wave(z: Tensor) -> Tensor:
    """The sine wave w1 of the paper's table, sin(pi z1 / 2)."""
    return (math.pi * z[..., 0] / 2).sin()


def two_waves(z: Tensor, split: Tensor, width: float) -> Tensor:
    """Energy of two waves: one of this width, and one of width 0.35 that is lower by `split`."""
    offset = z[..., 1] - wave(z)
    one, other = offset / width, (offset + split) / 0.35
    return -torch.logaddexp(-0.5 * one.square(), -0.5 * other.square())


ENERGIES: dict[str, Energy] = {"u1": u1, "u2": u2, "u3": u3, "u4": u4}


def confine(energy: Energy) -> Energy:
    """Add walls beyond |z1| = 4 to an energy, so that exp(-U) has a finite integral."""

    def confined_energy(z: Tensor) -> Tensor:
        beyond = (z[..., 0].abs() - EDGE).relu() / 0.4
        return energy(z) + 0.5 * beyond.square()

    return confined_energy


def log_normalizer(energy: Energy, half_width: float = 8.0, points: int = 1601) -> float:
    """Logarithm of the integral of exp(-U) over a square around 0, by the trapezoidal rule.

    Raises:
        DataError: The energy is nowhere finite there, or exp(-U) has no mass.
    """
    axis = torch.linspace(-half_width, half_width, points, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    values = -energy(grid)
    finite = torch.isfinite(values)
    if not finite.any():
        raise DataError(
            f"the target's energy is nowhere finite within {half_width:g} of 0; give one that is "
            "finite where samples should be"
        )
    found = float(torch.logsumexp(values[finite], 0)) + 2 * float((axis[1] - axis[0]).log())
    if not math.isfinite(found):
        raise DataError(
            "the target's energy is -inf somewhere, so that exp(-U) has no integral; bound it "
            "from below"
        )
    return found


@dataclass
class EnergyData:
    """Noise and target density for density matching.

    Attributes:
        log_density: Normalised log-density of the target in nats, at points `(..., dim)`.
        half_width: Half the side of the square in which the target is shown.
    """

    train: SeededBatches[Tensor]
    validation: None
    test: SeededBatches[Tensor]
    log_density: Energy
    half_width: float = EDGE
    dim: int = 2


def energy_data(
    settings: EnergiesConfig, seed: int = 0, device: torch.device | None = None
) -> EnergyData:
    """Noise to transform into samples, and one of `ENERGIES`, confined, as the target."""
    return matching_data(confine(ENERGIES[settings.energy]), settings, seed, device)


def matching_data(
    target: Energy, settings: EnergiesConfig, seed: int = 0, device: torch.device | None = None
) -> EnergyData:
    """Noise to transform into samples, and any target.

    Args:
        target: Energy of points `(..., 2)`, which is used without confinement.

    Raises:
        DataError: The target is nowhere finite, or has no integral.
    """
    constant = log_normalizer(target)

    def noise(size: int) -> Callable[[torch.Generator], Tensor]:
        return lambda generator: torch.randn(size, 2, generator=generator).to(device)

    return EnergyData(
        train=SeededBatches(noise(settings.batch_size), settings.batches, seed),
        validation=None,
        test=SeededBatches(noise(settings.test_size), 1, seed + 1_000_000_007),
        log_density=lambda z: -target(z) - constant,
    )
