"""Norms that turn a vector of local errors into one number."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .methods.base import Stepper

__all__ = [
    "ErrorRatio",
    "Norm",
    "one_number",
    "read",
    "relative_distance",
    "rms_norm",
    "scaled",
]

Norm = Callable[[Tensor], Tensor]


def rms_norm(x: Tensor, dim: int | None = None) -> Tensor:
    """Root mean square of all entries or along an axis, in at least float32.

    The norm of Hairer, Norsett & Wanner I, eq. II.4.11.
    """
    dtype = torch.float32 if x.dtype in (torch.bfloat16, torch.float16) else None
    size = x.numel() if dim is None else x.shape[dim]
    return torch.linalg.vector_norm(x, dim=dim, dtype=dtype) / size**0.5


def relative_distance(found: Tensor, known: Tensor, other: Tensor) -> Tensor:
    """Distance of two vectors relative to the larger of the second and of another one, 0-d.

    The vectors are divided by their largest entry first, since squares of numbers below 1e-22 and
    above 1e19 leave the range of float32.
    """
    largest = torch.maximum(known.abs().max(), other.abs().max())
    norm = torch.linalg.vector_norm
    size = torch.maximum(norm(known / largest), norm(other / largest))
    apart = norm((found - known) / largest) / size
    return torch.where((found == known).all(), torch.zeros_like(apart), apart)


def scaled(
    error: Tensor, y0: Tensor, y1: Tensor, rtol: float | Tensor, atol: float | Tensor
) -> Tensor:
    """Local error of each component in multiples of its tolerance, of the shape of the state.

    Args:
        error: Estimated local error.
        y0, y1: State at both ends of the step.
        rtol, atol: One number, or tensors that broadcast to the state.
    """
    scale = torch.maximum(y0.detach().abs(), y1.detach().abs()).mul_(rtol).add_(atol)
    return error / scale


def largest(size: Tensor) -> float:
    """A norm as a number; the largest of the samples that `torch.func.vmap` maps over.

    They share their steps, which then meet the tolerance in each of them.
    """
    while torch._C._functorch.is_functorch_wrapped_tensor(size):
        size = torch._C._functorch.get_unwrapped(size)
    return float(size.detach().max())


def read(sizes: Sequence[Tensor]) -> list[float]:
    """Norms as numbers, with one synchronisation; see `largest`."""
    if torch._C._are_functorch_transforms_active():
        return list(map(largest, sizes))
    numbers: list[float] = torch.stack(list(sizes)).tolist()
    return numbers


class ErrorRatio:
    """The local error of a step in multiples of its tolerance; steps up to 1 are accepted.

    Args:
        stepper: Takes the steps and estimates their errors.
        like: An example state.
        rtol, atol: One number, or one for each component of the state.

    Attributes:
        largest: The largest ratio so far.
    """

    def __init__(
        self,
        stepper: Stepper,
        like: Tensor,
        rtol: float | Tensor,
        atol: float | Tensor,
        norm: Norm = rms_norm,
    ):
        self._stepper = stepper
        self._orders = stepper.order_selection() if stepper.chooses_order else None
        self._rtol, self._atol = (
            x.view_as(like) if isinstance(x, Tensor) else x for x in (rtol, atol)
        )
        self._norm = norm
        if norm is rms_norm and like.dtype in (torch.float32, torch.float64):
            # With the root of n moved into the tolerance, the norm is a plain torch function.
            root = like.numel() ** 0.5
            self._rtol, self._atol = self._rtol * root, self._atol * root
            self._norm = torch.linalg.vector_norm
        self.largest = 0.0
        self._read = largest if torch._C._are_functorch_transforms_active() else float

    def __call__(self, h: float, y0: Tensor, y1: Tensor) -> float:
        """Ratio of the last step, of size `h` from `y0` to `y1`; needs one synchronisation."""
        if y1.requires_grad:
            y0, y1 = y0.detach(), y1.detach()
        scale = torch.maximum(y0.abs(), y1.abs()).mul_(self._rtol).add_(self._atol)
        size = self._norm(self._stepper.error / scale)
        ratio = self._read(size) if self._orders is None else self._orders.read(size, h)
        if ratio > self.largest:
            self.largest = ratio
        return ratio


def one_number(size: Tensor | float) -> Tensor:
    """The value of a user's norm as a 0-d tensor.

    Raises:
        ValueError: It is not one real number.
    """
    if not isinstance(size, Tensor):
        size = torch.tensor(size, dtype=torch.float64, device="cpu")
    if size.numel() != 1 or size.is_complex():
        raise ValueError(
            "norm must return one real number; found "
            f"shape {tuple(size.shape)}, {size.dtype}; take its maximum, for example"
        )
    return size.reshape(())
