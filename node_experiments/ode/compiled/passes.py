"""What a compiled graph computes faster than it was written, and equally."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.fx import GraphModule

__all__ = ["decompositions", "improve"]


def decompositions(like: Tensor) -> dict[Any, Callable[..., Any]]:
    """What operations are made of, for inputs of the dtype and on the device of `like`."""
    from torch._inductor.decomposition import select_decomp_table

    return dict(select_decomp_table())


def improve(graph: GraphModule, inputs: Sequence[Any]) -> None:
    """Rewrite a graph in place."""
