"""Contexts of the caller that hold for every evaluation of a vector field, also in gradients."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.nn.utils import parametrize

from .gradients import Gradient, make_gradient

__all__ = ["evaluated_as_now"]


def evaluated_as_now(
    func: Callable[..., Any], device: torch.device, gradient: Gradient | str
) -> Callable[..., Any]:
    """`func`, evaluated in the contexts of this moment."""
    for context in evaluation_contexts(device, gradient):
        func = evaluated_in(context, func)
    return func


def evaluation_contexts(
    device: torch.device, gradient: Gradient | str
) -> list[Callable[[], AbstractContextManager]]:
    """The contexts of this moment that hold for each evaluation, also in the backward pass."""
    contexts: list[Callable[[], AbstractContextManager]] = []
    recorded = make_gradient(gradient).records_steps
    if torch.is_autocast_enabled(device.type):
        from .autocast import autocast_like_now

        contexts.append(autocast_like_now(device, recorded))
    if parametrize._cache_enabled and not recorded:
        from .parametrization_cache import set_aside

        contexts.append(set_aside)
    return contexts


def evaluated_in(
    context: Callable[[], AbstractContextManager], func: Callable[..., Any]
) -> Callable[..., Any]:
    """`func`, each evaluation of which is made in a new context."""

    def call(*args: Any) -> Any:
        with context():
            return func(*args)

    return call
