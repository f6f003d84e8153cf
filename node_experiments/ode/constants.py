"""What a vector field reads and nobody may change between a solve and its way back."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

__all__ = ["Constants"]


class Constants:
    """Tensors without gradient, with the number of changes in place that each has seen.

    Autograd watches over the tensors that it saves. Those that need no gradient it does not
    know, and evaluations on the way back would read what they were changed to.
    """

    def __init__(self, tensors: Iterable[Tensor] = ()):
        self._versions = [(x, x._version) for x in tensors if not x.is_inference()]

    def settle(self) -> None:
        """The solve has ended: what the vector field itself changed, a counter say, is its own."""
        self._versions = [(x, version) for x, version in self._versions if x._version == version]

    def refuse_changes(self) -> None:
        """Compare with what the solve saw.

        Raises:
            RuntimeError: A tensor was changed in place.
        """
        for x, version in self._versions:
            if x._version != version:
                raise RuntimeError(
                    f"a tensor of shape {tuple(x.shape)} that the vector field holds or was given "
                    "in args was changed in place between the solve and its way back, whose "
                    "gradient would be wrong; change it after backward(), give the vector field a "
                    "clone, or take gradient='backprop'"
                )
