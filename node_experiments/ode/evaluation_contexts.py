"""The caller's contexts, entered again for every evaluation, also in the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.nn.utils import parametrize

from .gradients import Gradient, make_gradient

__all__ = ["with_current_contexts"]


def with_current_contexts(
    func: Callable[..., Any], device: torch.device, gradient: Gradient | str
) -> Callable[..., Any]:
    """Wrap `func` so that every evaluation runs in the contexts that are active now."""
    for context in evaluation_contexts(device, gradient):
        func = with_context(context, func)
    return func


def evaluation_contexts(
    device: torch.device, gradient: Gradient | str
) -> list[Callable[[], AbstractContextManager]]:
    """Factories of the active contexts that every evaluation enters, also in the backward pass."""
    contexts: list[Callable[[], AbstractContextManager]] = []
    recorded = make_gradient(gradient).records_steps
    if torch.is_autocast_enabled(device.type):
        from .autocast import current_autocast

        contexts.append(current_autocast(device, recorded))
    if parametrize._cache_enabled and not recorded:
        from .parametrization_cache import cache_disabled

        contexts.append(cache_disabled)
    return contexts


def with_context(
    context: Callable[[], AbstractContextManager], func: Callable[..., Any]
) -> Callable[..., Any]:
    """Wrap `func` so that each evaluation runs in a new context."""

    def call(*args: Any) -> Any:
        with context():
            return func(*args)

    return call
