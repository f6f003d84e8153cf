"""An Elman network whose backward pass costs two operations a time step (Elman 1990)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ElmanNetwork"]


class ElmanNetwork(nn.RNN):
    """h_t = tanh(W x_t + b + U h_{t-1} + c), computed as `torch.nn.RNN` of one layer does.

    On a CPU and for small states, torch spends most of its backward pass on bookkeeping for each
    step; here a step costs one product and one elementwise operation each way, and the gradients
    of all weights are one product over all steps. Elsewhere torch's own is used. It has no second
    derivatives on a CPU.

    Args:
        inputs: Values of an input.
        hidden: Size of the state.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden)
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
        states, last = Elman.apply(
            inputs.transpose(0, 1).contiguous(),
            self.weight_ih_l0,
            self.bias_ih_l0 + self.bias_hh_l0,
            self.weight_hh_l0,
            state,
        )
        return states.transpose(0, 1), last


class Elman(torch.autograd.Function):
    """All states from inputs `(time, batch, inputs)`, the weights and the first state."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(
        ctx: Any, inputs: Tensor, w: Tensor, bias: Tensor, u: Tensor, first: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The states, and a copy of the last one, so that its gradient needs no zeros around."""
        ctx.set_materialize_grads(False)
        driven = torch.addmm(bias, inputs.flatten(0, 1), w.t())
        states = driven.view(*inputs.shape[:2], len(bias))
        before = first
        for state in states:
            before = state.addmm_(before, u.t()).tanh_()
        ctx.save_for_backward(inputs, w, u, first, states)
        return states, before.clone()

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Back through time.

        Raises:
            RuntimeError: A graph of the backward pass is asked for.
        """
        if torch.is_grad_enabled():
            raise RuntimeError("the Elman network has no second derivatives on a CPU")
        into_states, into_last = gradients
        inputs, w, u, first, states = ctx.saved_tensors
        into_driven = torch.empty_like(states)
        carried = torch.zeros_like(first) if into_last is None else into_last.clone()
        for t in reversed(range(len(states))):
            if into_states is not None:
                carried += into_states[t]
            torch.ops.aten.tanh_backward.grad_input(carried, states[t], grad_input=into_driven[t])
            torch.mm(into_driven[t], u, out=carried)
        flat = into_driven.flatten(0, 1)
        into_u = into_driven[0].t() @ first
        into_u += into_driven[1:].flatten(0, 1).t() @ states[:-1].flatten(0, 1)
        into_inputs = (flat @ w).view_as(inputs) if ctx.needs_input_grad[0] else None
        return into_inputs, flat.t() @ inputs.flatten(0, 1), flat.sum(0), into_u, carried
