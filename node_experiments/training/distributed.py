"""Data-parallel training: each process takes its part of every batch.

All processes draw the same batch and take every n-th sample of it, so that the mean of their
gradients is the gradient of the whole batch, and n processes compute what one would.
"""

from __future__ import annotations

import os
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_map

from ..errors import UserError

__all__ = ["SINGLE_PROCESS", "Group", "join_group", "leave_group", "torchrun_group"]

T = TypeVar("T")
PLAIN = (int, float, str, type(None))  # the same for all samples of a batch


class Group:
    """The processes that train one model; for a single one, all methods are the identity.

    Attributes:
        rank: Number of this process; the one with 0 writes files.
        size: Number of processes.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module, with gradients averaged over the processes in its backward pass."""
        return module if self.size == 1 else DistributedDataParallel(module)

    def shard(self, batch: Any) -> Any:
        """This process's samples of a batch: every `size`-th of them.

        Args:
            batch: Tensors in containers, whose first axis is that of the samples, or an object
                that picks samples by `select(indices)`.

        Raises:
            UserError: The batch cannot be divided evenly.
        """
        if self.size == 1:
            return batch
        # A tensor's `select` does something else.
        if hasattr(batch, "select") and not isinstance(batch, Tensor):
            self._check_even(len(batch))
            return batch.select(torch.arange(self.rank, len(batch), self.size))
        return tree_map(self._shard_leaf, batch)

    def _shard_leaf(self, leaf: Any) -> Any:
        if isinstance(leaf, Tensor) and leaf.ndim == 0:
            return leaf
        if not isinstance(leaf, Tensor):
            if isinstance(leaf, PLAIN):
                return leaf
            raise UserError(
                f"a {type(leaf).__name__} cannot be divided among processes; leave out "
                "trainer.devices"
            )
        self._check_even(len(leaf))
        return leaf[self.rank :: self.size]

    def _check_even(self, samples: int) -> None:
        if samples % self.size:
            raise UserError(
                f"a batch of {samples} cannot be divided evenly among {self.size} processes; set "
                "dataset.batch_size to a multiple of trainer.devices; if the last batch is "
                "smaller, also dataset.train_size, or for images dataset.drop_last=true"
            )

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether it is set in any process."""
        if self.size == 1:
            return list(flags)
        return [any(column) for column in zip(*self.gather(flags), strict=True)]

    def gather(self, value: T) -> list[T]:
        """The values of all processes, in the order of their ranks."""
        if self.size == 1:
            return [value]
        gathered: list[Any] = [None] * self.size
        dist.all_gather_object(gathered, value)
        return gathered

    def from_first(self, value: T) -> T:
        """The value of process 0, in all processes."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box)
        return box[0]


SINGLE_PROCESS = Group()


def join_group(rendezvous: str, rank: int, size: int) -> Group:
    """Join the process group: gloo between CPUs, nccl between CUDA devices.

    Args:
        rendezvous: `file://...`, or `env://` under torchrun.
    """
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", rank)) % torch.cuda.device_count())
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, init_method=rendezvous, rank=rank, world_size=size)
    return Group(rank, size)


def torchrun_group() -> Group:
    """The processes that torchrun started, joined once; `SINGLE_PROCESS` without torchrun."""
    size = int(os.environ.get("WORLD_SIZE", 1))
    if size == 1:
        return SINGLE_PROCESS
    rank = int(os.environ["RANK"])
    return Group(rank, size) if dist.is_initialized() else join_group("env://", rank, size)


def leave_group(group: Group) -> None:
    """Leave the process group."""
    if group.size > 1:
        dist.destroy_process_group()
