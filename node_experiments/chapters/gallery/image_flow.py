"""Flow matching on images: a small U-Net is the vector field from noise to digits of a class.

Lipman et al. 2023 (arXiv:2210.02747), as `normalizing_flows/flow_matching.py` does on points.
Training solves no ODE; sampling does, with any solver and any number of evaluations.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config.checks import ConfigError
from ...nn.ode_module import ODEModule
from ...ode import Gradient, Solver
from ...training.random_state import seeded
from .settings import ImageFlowConfig

__all__ = ["ImageFlow", "ImageFlowMatching", "SmallUNet", "image_flow", "image_flow_matching"]

FREQUENCIES = 16  # number of the Fourier features' frequencies


class Block(nn.Module):
    """y + conv(silu(norm(conv(silu(norm(y))) + shift(condition)))), with time and class."""

    def __init__(self, channels: int, conditions: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.GroupNorm(8, channels) for _ in range(2))
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.shift = nn.Linear(conditions, channels)

    def forward(self, y: Tensor, condition: Tensor) -> Tensor:
        """Map a state `(batch, channel, height, width)` with a condition `(batch, conditions)`."""
        inner = self.conv1(F.silu(self.norm1(y))) + self.shift(condition)[..., None, None]
        return y + self.conv2(F.silu(self.norm2(inner)))


class SmallUNet(nn.Module):
    """A U-Net with scales of 14 x 14 and 7 x 7 positions, after 2 x 2 pixels become channels.

    Args:
        pixels: Channels of an image.
        channels: Channels at the finer scale; twice as many at the coarser one.
        classes: Number of classes of the images.
    """

    def __init__(self, pixels: int, channels: int, classes: int) -> None:
        super().__init__()
        conditions = 4 * channels
        self.of_time = nn.Linear(2 * FREQUENCIES, conditions)
        self.of_class = nn.Embedding(classes, conditions)
        self.enter = nn.Conv2d(4 * pixels, channels, 3, padding=1)
        self.fine1, self.fine2 = (Block(channels, conditions) for _ in range(2))
        self.down = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
        self.coarse1, self.coarse2 = (Block(2 * channels, conditions) for _ in range(2))
        self.up = nn.Conv2d(2 * channels, 4 * channels, 1)
        self.leave = nn.Conv2d(channels, 4 * pixels, 3, padding=1)

    def forward(self, t: Tensor, y: Tensor, labels: Tensor) -> Tensor:
        """Velocity of images `(batch, pixels, height, width)` at a 0-d time or one per image."""
        turns = t.expand(len(y)).unsqueeze(1)
        rates = math.pi * torch.logspace(-1, 1.5, FREQUENCIES, device=y.device, dtype=y.dtype)
        waves = torch.cat([(rates * turns).sin(), (rates * turns).cos()], 1)
        condition = F.silu(self.of_time(waves) + self.of_class(labels))
        fine = self.fine1(self.enter(F.pixel_unshuffle(y, 2)), condition)
        coarse = self.coarse2(self.coarse1(self.down(fine), condition), condition)
        fine = self.fine2(fine + F.pixel_shuffle(self.up(coarse), 2), condition)
        return F.pixel_shuffle(self.leave(F.silu(fine)), 2)


class ImageFlow(ODEModule):
    """Images as the final state of a flow from Gaussian noise; pixels are from -1 to 1 inside.

    Args:
        image_shape: Channels, height and width.
    """

    reason_not_regularizable = "which is trained by flow matching and solves no ODE in training"

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        channels: int,
        classes: int,
        solver: Solver,
        gradient: Gradient,
    ) -> None:
        super().__init__(SmallUNet(image_shape[0], channels, classes), solver, gradient)
        self.image_shape, self.classes = image_shape, classes

    def sample(self, noise: Tensor, labels: Tensor, times: Tensor) -> Tensor:
        """Images in [0, 1] at `times` between 0 (noise) and 1, `(time, batch, ...)`."""
        states: Tensor = self.solve(noise, times, labels)
        return ((states + 1) / 2).clamp(0, 1)


class ImageFlowMatching:
    """Mean squared error of the velocity along straight paths from noise to images."""

    metric = "loss"
    higher_is_better = False
    unit = "images"

    def loss(
        self, model: Any, batch: tuple[Tensor, Tensor], step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of images in [0, 1] and their labels, at times stratified over the path."""
        images, labels = batch
        data = 2 * images - 1
        noise = torch.randn_like(data)
        strata = torch.randperm(len(data), device=data.device).to(data)
        t = (strata + torch.rand_like(strata)) / len(data)
        path = torch.lerp(noise, data, t[:, None, None, None])
        velocity = model.vector_field(t, path, labels)
        return (velocity - (data - noise)).square().mean(), {}

    def evaluate(self, model: Any, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
        """The loss on held-out images, with the same noise at every evaluation."""
        total, count = 0.0, 0
        with seeded(0, next(model.parameters()).device):
            for batch in batches:
                size = len(batch[0])
                total += size * float(self.loss(model, batch, 0)[0])
                count += size
        return {"loss": total / count}


def image_flow(
    settings: ImageFlowConfig, data: Any, solver: Solver, gradient: Gradient
) -> ImageFlow:
    """Build a flow to the images of the data.

    Raises:
        ConfigError: The images cannot be halved twice.
    """
    if any(size % 4 for size in data.image_shape[1:]):
        raise ConfigError(
            f"model.name=image_flow halves images twice, and those of this dataset have "
            f"{data.image_shape[1]} x {data.image_shape[2]} pixels; take images whose sides are "
            "multiples of 4"
        )
    return ImageFlow(data.image_shape, settings.channels, data.classes, solver, gradient)


def image_flow_matching(settings: Any, data: Any) -> ImageFlowMatching:
    """The task of flow matching on images."""
    return ImageFlowMatching()
