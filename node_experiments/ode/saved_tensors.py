"""Evaluations whose graph is used at once, inside a caller's hooks for saved tensors."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

__all__ = ["own_saved_tensors"]


def own_saved_tensors() -> AbstractContextManager[object]:
    """Context whose graphs keep their tensors, whatever hooks the caller has set.

    Hooks such as those of `torch.utils.checkpoint` compute everything again for each backward
    pass. That of an evaluation inside the solve follows at once, and may be one of many.
    """
    if torch._C._autograd._top_saved_tensors_default_hooks(True) is None:
        return nullcontext()
    # An output that is saved as it is would keep its own graph alive forever.
    return torch.autograd.graph.saved_tensors_hooks(Tensor.detach, lambda x: x)
