"""Detection of tensors that the vector field reads and that changed before the backward pass.

Autograd saves what a function computed; a gradient method that evaluates the function again
relies on it being the same function. Tensors that are changed in place are recognised by their
version counters (see `problem.Constants`), and an evaluation shows whether they are read. Any
other change is recognised by the derivatives (see `gradients.backward_pass`): a loop variable in
a closure, an attribute, training mode, replaced weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, is_tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

if TYPE_CHECKING:
    from .problem import Problem

__all__ = ["reject_if_read"]

MAX_TIMES = 50  # at which a vector field is evaluated to find out what it reads


class StoragesRead(TorchDispatchMode):
    """Records the storages that operations read."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        for x in tree_leaves((args, kwargs)):
            if is_tensor(x):
                self.found |= storages_of(x)
        return func(*args, **(kwargs or {}))


def storages_of(tensor: Tensor) -> set[int]:
    """Identities of a tensor's storages: one, or those of the parts of a sparse tensor."""
    if tensor.layout is torch.strided:
        return {tensor.untyped_storage()._cdata}
    if tensor.layout is torch.sparse_coo:
        return storages_of(tensor._indices()) | storages_of(tensor._values())
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        parts = (tensor.crow_indices(), tensor.col_indices(), tensor.values())
    elif tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        parts = (tensor.ccol_indices(), tensor.row_indices(), tensor.values())
    else:  # a layout whose storage cannot be told
        return {id(tensor)}
    return set().union(*map(storages_of, parts))


def reject_if_read(problem: Problem, changed: Sequence[Tensor]) -> None:
    """Evaluate the vector field and reject it if it reads tensors that were changed in place.

    A method holds its whole model and may read only part of it: a decoder's counters may change.
    Tensors that turn out not to be read are not checked again.

    Raises:
        RuntimeError: It reads one of them.
    """
    assert problem.unobserved is not None
    known = problem.unobserved.constants
    changed = [x for x in changed if x not in known]
    if not changed:
        return
    times = problem.times
    ends = [*times, *problem.solver.jump_t]
    candidates = sorted({*ends, *((a + b) / 2 for a, b in pairwise(sorted(ends)))})
    with torch.no_grad(), StoragesRead() as read:
        for t in candidates[:: max(1, len(candidates) // MAX_TIMES)]:
            problem.func(problem.time(t), problem.y0.detach(), *problem.args)
    for x in changed:
        if not storages_of(x).isdisjoint(read.found):
            raise RuntimeError(
                f"a tensor of shape {tuple(x.shape)} that the vector field reads was changed in "
                "place between the solve and its backward pass, whose gradient would be wrong; "
                "change it after backward(), give the vector field a clone, or use "
                "gradient='backprop'"
            )
        known[x] = True
