"""Control inputs: a known path u(t) for each sample that drives the vector field.

The vector field receives the path as one of its arguments and evaluates it at the current time;
the solver ends its steps at the jumps: `solve(field, y0, t, Solver(jump_t=u.jump_t), args=(u,))`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

__all__ = ["ControlInput"]

Interpolation = Literal["linear", "cubic", "constant"]


@dataclass(frozen=True, eq=False)
class ControlInput:
    """A path u(t) through given values at given knots, for each sample of a batch.

    A path is constant before its first knot and after its last one. Gradients flow into values
    and slopes, and into the times of continuous paths; for a path among the `args` of a solve
    they do so with every gradient method. Gradients of times jump at the knots even if u(t) does
    not, so that `jump_t` then holds the knots; for gradients of the `t` of a solve, pass `knots`
    as `jump_t`. Fixed steps that do not end at the knots leave errors of the size of a step in
    these gradients, and in the solution if u(t) jumps. Give steps that do end there, each of which
    sees its own side: `Solver("rk4", step_t=[*grid, *u.knots], perturb=True)`.

    A batch of paths belongs to a fixed batch of samples, so with per-sample step sizes
    (`solver.batching="independent"`), where samples leave the batch, only a shared path works.

    Example:
        A tank that drains at rate 1 and is filled at rate 2 from t = 1 on:

        >>> import torch
        >>> from node_experiments.ode import ControlInput, Solver, solve
        >>> u = ControlInput(torch.tensor([0.0, 1.0]), torch.tensor([[0.0], [2.0]]), "constant")
        >>> solver = Solver("dopri5", jump_t=u.jump_t)
        >>> y = solve(lambda t, y, u: u(t) - y, torch.zeros(1), [0.0, 3.0], solver, args=(u,)).ys
        >>> bool((y[-1] - (2 - 2 * torch.exp(torch.tensor(-2.0)))).abs() < 1e-5)
        True

    Attributes:
        times: Knots, strictly increasing, shape `(knots,)` or `(batch, knots)`. A sample with
            fewer knots than others is padded with infinite times, whose values are ignored.
        values: Values at the knots, shape `(knots, channels)` for one path that all samples
            share, or `(batch, knots, channels)`.
        interpolation: `linear`; `cubic`: Hermite polynomials with the given slopes at the knots;
            or `constant`: each value holds from its knot (included) to the next one (excluded).
        slopes: du/dt at the knots of a cubic path, of the same shape as the values. If None, the
            slope at a knot is that of the line from the knot before, so that u(t) depends on no
            value later than the next one (Morrill et al. 2021, section 3.2).

    Raises:
        ValueError: The shapes do not match, the times do not increase, values are not finite, or
            a gradient is required that does not exist.
    """

    times: Tensor
    values: Tensor
    interpolation: Interpolation = "linear"
    slopes: Tensor | None = None

    def __post_init__(self) -> None:
        self._check_shapes()
        if self.interpolation == "constant" and self.times.requires_grad:
            raise ValueError(
                "a piecewise constant path has no gradient with respect to its times; detach "
                "them, or use interpolation='linear'"
            )
        times = self.times.detach()
        known = times.isfinite()
        # The difference is infinite from a finite time to an infinite one, NaN between two such.
        increases = (times.diff(dim=-1) > 0) | (times[..., 1:] == torch.inf)
        if not bool(increases.all() and known[..., 0].all()):
            raise ValueError("times must increase strictly, with infinite ones at the end only")
        for name, x in (("values", self.values), ("slopes", self.slopes)):
            if x is not None and not bool((x.isfinite() | ~known.unsqueeze(-1)).all()):
                raise ValueError(f"{name} must be finite at every knot of a finite time")

    def _check_shapes(self) -> None:
        given = {"times": self.times, "values": self.values}
        if self.slopes is not None:
            given["slopes"] = self.slopes
        for name, x in given.items():
            if not isinstance(x, Tensor):
                found = type(x).__name__
                raise ValueError(f"{name} must be a tensor; found {found}; see torch.as_tensor")
            if name != "times" and not x.is_floating_point():
                found = f"{x.dtype}; see Tensor.float and torch.view_as_real"
                raise ValueError(f"{name} must be real floating-point numbers; found {found}")
        kind, shape = self.interpolation, self.values.shape
        if kind not in get_args(Interpolation):
            allowed = ", ".join(get_args(Interpolation))
            raise ValueError(f"interpolation={kind!r} is unknown; allowed: {allowed}")
        if len(shape) not in (2, 3) or self.times.shape not in (shape[-2:-1], shape[:-1]):
            raise ValueError(
                "a control input needs values of shape (knots, channels) or (batch, knots, "
                "channels) and times of shape (knots,) or (batch, knots); found values "
                f"{tuple(shape)} and times {tuple(self.times.shape)}"
            )
        least = 1 if kind == "constant" else 2
        if shape[-2] < least:
            raise ValueError(f"a {kind} path needs at least {least} knots; found {shape[-2]}")
        if self.slopes is not None and (kind != "cubic" or self.slopes.shape != shape):
            raise ValueError(
                "slopes are for interpolation='cubic' and have the shape of the values, "
                f"{tuple(shape)}; found {tuple(self.slopes.shape)} with {kind!r}"
            )

    def __call__(self, t: Tensor | float) -> Tensor:
        """u(t), shape `(channels,)` or `(batch, channels)`.

        Args:
            t: One time for all samples, a number or a 0-d tensor, or one for each, shape
                `(batch, 1, ..., 1)`.

        Raises:
            ValueError: The number of times differs from the number of paths.
        """
        # A time of higher precision keeps it: a step may end one rounding error before a knot.
        at = t if isinstance(t, Tensor) else self.values.new_tensor(t)
        at = at.to(self.values.device, torch.promote_types(at.dtype, self.values.dtype))
        at = at.reshape(-1, 1) if at.dim() else at.reshape(1)
        batch = self.values.shape[:-2]
        if at.dim() == 2 and batch and len(at) != batch[0]:
            raise ValueError(
                f"the control input has paths for {batch[0]} samples and was asked for times of "
                f"{len(at)}; use solver.batching='joint'"
            )
        samples = batch or at.shape[:-1]
        knots = self.times.to(at).expand(*samples, -1)
        values = self.values.expand(*samples, -1, -1)
        # The padding of a sample with fewer knots may be NaN, whose gradient is NaN even times 0.
        values = torch.where(knots.isfinite().unsqueeze(-1), values, 0)
        # Counting has a batching rule and needs no contiguous times, unlike searchsorted.
        last = (knots <= at).sum(-1, keepdim=True) - 1
        if self.interpolation == "constant":
            return _pick(values, last.clamp(min=0))
        start = last.clamp(0, knots.shape[-1] - 2)
        t0, t1 = knots.gather(-1, start), knots.gather(-1, start + 1)
        ends = t1.isfinite()
        h = torch.where(ends, t1, t0 + 1) - t0
        w = torch.where(ends, (at - t0) / h, 0)
        # The derivative of `clamp` is 0 at its bounds, which are knots.
        w = torch.where(w < 0, 0, torch.where(w > 1, 1, w)).to(values.dtype)
        h = h.to(values.dtype)
        u0, u1 = _pick(values, start), _pick(values, start + 1)
        u1 = torch.where(ends, u1, u0)
        if self.interpolation == "linear":
            return u0 + w * (u1 - u0)
        if self.slopes is None:
            before = (start - 1).clamp(min=0)
            slope1 = (u1 - u0) / h
            span = (knots.gather(-1, start) - knots.gather(-1, before)).to(values.dtype)
            inner = start > 0
            into = (u0 - _pick(values, before)) / torch.where(inner, span, 1)
            slope0 = torch.where(inner, into, slope1)
        else:
            slopes = self.slopes.expand(*samples, -1, -1)
            slope0 = _pick(slopes, start)
            slope1 = torch.where(ends, _pick(slopes, start + 1), 0)
        # The Hermite polynomial as a straight line plus a term that vanishes at both ends.
        bend = (slope0 * h - (u1 - u0)) * (1 - w) - (slope1 * h - (u1 - u0)) * w
        return u0 + w * (u1 - u0) + w * (1 - w) * bend

    @property
    def knots(self) -> tuple[float, ...]:
        """The finite times of all samples, in increasing order: where u(t) or du/dt may jump."""
        times = self.times.detach()
        return tuple(sorted(set(times[times.isfinite()].tolist())))

    @property
    def jump_t(self) -> tuple[float, ...]:
        """For `solver.jump_t`: where some sample's path jumps, or its gradient of the times."""
        if self.interpolation != "constant":
            return self.knots if self.times.requires_grad else ()
        later = self.times[..., 1:]
        return tuple(sorted(set(later[later.isfinite()].tolist())))

    def to(self, *args: Any, **kwargs: Any) -> ControlInput:
        """The same paths on another device or in another dtype, as `Tensor.to`."""
        slopes = None if self.slopes is None else self.slopes.to(*args, **kwargs)
        moved = self.times.to(*args, **kwargs), self.values.to(*args, **kwargs)
        return ControlInput(*moved, self.interpolation, slopes)


def _pick(values: Tensor, index: Tensor) -> Tensor:
    """Select the values `(..., knots, channels)` at an index `(..., 1)`: `(..., channels)`."""
    index = index.unsqueeze(-1).expand(*index.shape[:-1], 1, values.shape[-1])
    return values.gather(-2, index).squeeze(-2)


def _flatten(u: ControlInput) -> tuple[list[Any], Interpolation]:
    return [u.times, u.values, u.slopes], u.interpolation


def _unflatten(leaves: Iterable[Any], interpolation: Interpolation) -> ControlInput:
    """Rebuild a path that was validated before, without checks that synchronise a device."""
    u = object.__new__(ControlInput)
    times, values, slopes = leaves
    for name, value in zip(
        ("times", "values", "interpolation", "slopes"),
        (times, values, interpolation, slopes),
        strict=True,
    ):
        object.__setattr__(u, name, value)
    return u


# A solve finds the tensors of its arguments through this registry, as torch.func and export do.
pytree.register_pytree_node(
    ControlInput,
    _flatten,
    _unflatten,
    serialized_type_name="node_experiments.ode.ControlInput",
)
