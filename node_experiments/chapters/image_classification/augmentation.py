"""Random augmentation of images, independent for each image, drawn from one generator."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["random_affine", "random_crop"]


def random_crop(
    images: Tensor, generator: torch.Generator, padding: int = 4, mode: str = "zeros"
) -> Tensor:
    """Pad each image, and crop it to its size at a random offset.

    Args:
        images: Shape `(batch, channel, height, width)`.
        padding: Pixels on each side.
        mode: `zeros`, or `reflect` the image without repeating its border.

    Returns:
        The same shape.
    """
    batch, _, height, width = images.shape
    padded = F.pad(images, (padding,) * 4) if mode == "zeros" else reflected(images, padding)
    offsets = torch.randint(0, 2 * padding + 1, (2, batch, 1), generator=generator)
    offsets = offsets.to(images.device)
    rows = offsets[0] + torch.arange(height, device=images.device)
    columns = offsets[1] + torch.arange(width, device=images.device)
    sample = torch.arange(batch, device=images.device)
    # Advanced indices around the channel slice put the channels last.
    cropped = padded[sample[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return cropped.permute(0, 3, 1, 2)


def reflected(images: Tensor, padding: int) -> Tensor:
    """Reflection padding by indexing, which works for every dtype and device."""
    height, width = images.shape[-2:]
    rows, columns = (
        (size - 1) - ((size - 1) - torch.arange(-padding, size + padding).abs()).abs()
        for size in (height, width)
    )
    return images[..., rows.to(images.device)[:, None], columns.to(images.device)]


def random_affine(
    images: Tensor, generator: torch.Generator, rotation: float, scale: float, shear: float
) -> Tensor:
    """Rotate, stretch and shear each image about its centre, with zeros around it.

    Args:
        images: Shape `(batch, channel, height, width)`; interpolated bilinearly.
        rotation: Largest angle, in degrees.
        scale: Largest fraction by which an axis is stretched or shrunk.
        shear: Largest shift of a row, in units of its distance from the centre.

    Returns:
        The same shape, as floats.
    """
    angle, tall, wide, slant = torch.rand(4, len(images), generator=generator) * 2 - 1
    angle, tall, wide = angle * math.radians(rotation), 1 + scale * tall, 1 + scale * wide
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = [cos * wide, shear * slant - sin * tall, zero, sin * wide, cos * tall, zero]
    matrices = torch.stack(rows, dim=1).view(-1, 2, 3).to(images.device)
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, align_corners=False)
