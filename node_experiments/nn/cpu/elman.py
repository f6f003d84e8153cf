"""An Elman network whose backward pass costs two operations per time step (Elman 1990)."""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ElmanNetwork"]

CACHED_ROWS = 4096  # number of small states that stay in a processor's cache


class ElmanNetwork(nn.RNN):
    """h_t = tanh(W x_t + b + U h_{t-1} + c), computed as `torch.nn.RNN` of one layer does.

    On a CPU and for small states, torch spends most of its backward pass on bookkeeping for each
    step; here a step costs one matrix product and one elementwise operation each way. torch's
    `tanh` is six times slower there than its logistic function s, so the steps carry
    s_t = (1 + h_t) / 2,

        s_t = s(2 (W x_t + b + c - U 1) + 4 U s_{t-1}),

    from which h_t follows up to rounding. On other devices torch's implementation is used. There
    are no second derivatives on a CPU.

    Args:
        inputs: Dimension of an input.
        hidden: Size of the state.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden)
        self.weight_ih_l0: nn.Parameter
        self.bias_ih_l0: nn.Parameter
        self.bias_hh_l0: nn.Parameter

    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """States after each input, from the state before the first (zeros when None).

        Args:
            inputs: Shape `(batch, time, inputs)`.
            state: Shape `(batch, hidden)`.

        Returns:
            All states, shape `(batch, time, hidden)`, and the last one, `(batch, hidden)`.
        """
        if inputs.device.type != "cpu":
            first = None if state is None else state.unsqueeze(0)
            states, last = super().forward(inputs.transpose(0, 1), first)
            return states.transpose(0, 1), last[0]
        if state is None:
            state = inputs.new_zeros(inputs.shape[0], self.hidden_size)
        # The bias is the weight of an input that is always 1.
        bias = self.bias_ih_l0 + self.bias_hh_l0
        w = torch.cat([self.weight_ih_l0, bias.unsqueeze(1)], 1)
        inputs = F.pad(inputs.transpose(0, 1), (0, 1), value=1.0)
        states, last = Elman.apply(inputs, w, self.weight_hh_l0, state)
        return states.transpose(0, 1), last


class Elman(torch.autograd.Function):
    """All states, from inputs `(time, batch, inputs)` that end in a 1, weights and first state."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(
        ctx: Any, inputs: Tensor, w: Tensor, u: Tensor, first: Tensor
    ) -> tuple[Tensor, Tensor]:
        """All states, and a copy of the last one, whose gradient then needs no padding."""
        ctx.set_materialize_grads(False)
        states = inputs.new_empty(len(inputs) + 1, *first.shape)
        torch.add(0.5, first, alpha=0.5, out=states[0])
        driving, recurrent = 2 * w.t(), 4 * u.t()
        driving[-1] -= 2 * u.sum(1)
        torch.mm(inputs.flatten(0, 1), driving, out=states[1:].flatten(0, 1))
        for before, state in itertools.pairwise(states):
            state.addmm_(before, recurrent).sigmoid_()
        states.mul_(2).sub_(1)
        ctx.save_for_backward(inputs, w, u, states)
        return states[1:], states[-1].clone()

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Backpropagation through time.

        Raises:
            RuntimeError: A graph of the backward pass is requested.
        """
        if torch.is_grad_enabled():
            raise RuntimeError("the Elman network has no second derivatives on a CPU")
        into_states, into_last = gradients
        inputs, w, u, states = ctx.saved_tensors
        carried = torch.zeros_like(states[0]) if into_last is None else into_last.clone()
        into_inputs = inputs.new_empty(inputs.shape) if ctx.needs_input_grad[0] else None
        # One product gives the gradients of all weights; it covers several steps at once, enough
        # to be efficient, and few enough for its operands to be in the cache still.
        into_weights = states.new_zeros(len(u), w.shape[1] + len(u))
        piece = max(1, CACHED_ROWS // max(1, len(carried)))
        into_driven = torch.empty_like(states[:piece])
        for end in range(len(inputs), 0, -piece):
            start = max(0, end - piece)
            for t in reversed(range(start, end)):
                if into_states is not None:
                    carried += into_states[t]
                driven = into_driven[t - start]
                torch.ops.aten.tanh_backward.grad_input(carried, states[t + 1], grad_input=driven)
                torch.mm(driven, u, out=carried)
            flat = into_driven[: end - start].flatten(0, 1)
            read = torch.cat([x[start:end] for x in (inputs, states)], 2)
            into_weights.addmm_(flat.t(), read.flatten(0, 1))
            if into_inputs is not None:
                torch.mm(flat, w, out=into_inputs[start:end].flatten(0, 1))
        into_w, into_u = into_weights.split([w.shape[1], len(u)], 1)
        return into_inputs, into_w, into_u, carried
