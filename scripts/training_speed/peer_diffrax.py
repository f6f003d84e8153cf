"""Rows in diffrax: compiled, float32, by its recursive checkpoints."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .contenders import Contender, Counts
from .problems import CNF, Flow, Latent, SmallCNF, Work

__all__ = ["diffrax_contender"]

STAGES = {"dopri5": 6, "rk38": 4, "midpoint": 2, "euler": 1}


def diffrax_contender(
    work: Latent | CNF | SmallCNF | Flow,
    method: str,
    threads: int,
    tolerance: float | None = None,
    backward: bool = True,
) -> Contender:
    """The same work with the parameters and data of ours, by diffrax's best settings.

    Args:
        tolerance: Relative and absolute, of adaptive steps; else each ends at an output time.
        backward: Whether the gradient is part of a step.
    """
    if threads == 1:
        # Read when JAX is first imported.
        os.environ["XLA_FLAGS"] = (
            "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        )
    import diffrax
    import jax
    import jax.numpy as jnp

    params = {k: jnp.asarray(p.detach().numpy()) for k, p in work.field.named_parameters()}
    y0, ts = jnp.asarray(work.start.detach().numpy()), jnp.asarray(work.times.numpy())
    field, value = vector_field(work), loss_of(work)
    # Not steps of one size: by rounding an output then lies in the step before or after, and the
    # gradient of `euler` was wrong by a third.
    controller = (
        diffrax.StepTo(ts) if tolerance is None else diffrax.PIDController(tolerance, tolerance)
    )

    def loss(p: Any, y0: Any) -> Any:
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            solver_of(method),
            ts[0],
            ts[-1],
            y0=y0,
            args=p,
            saveat=diffrax.SaveAt(ts=ts) if len(ts) > 2 else diffrax.SaveAt(t0=True, t1=True),
            adjoint=diffrax.RecursiveCheckpointAdjoint(),
            max_steps=4096,
            dt0=None,
            stepsize_controller=controller,
        )
        return value(solution.ys), (solution.ys, solution.stats["num_steps"])

    forward = jax.jit(loss)
    compiled = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    last: dict[str, Any] = {}

    def step() -> Tensor:
        if backward:
            found = jax.block_until_ready(compiled(params, y0))
            (_, (ys, last["steps"])), (last["gradient"], _) = found
        else:
            _, (ys, last["steps"]) = jax.block_until_ready(forward(params, y0))
        # Without a copy.
        return work.output_of(torch.from_dlpack(ys))

    def gradient() -> Tensor:
        parts = [np.asarray(last["gradient"][name], np.float64).ravel() for name in params]
        return torch.from_numpy(np.concatenate(parts))

    def counts() -> Counts:
        steps, adaptive = int(last["steps"]), method == "dopri5"
        return Counts(STAGES[method] * steps + 2 * adaptive, None)

    return Contender("diffrax, compiled", work, step, gradient, counts)


def solver_of(method: str) -> Any:
    """Diffrax's solver; the 3/8 rule, which it has not, by its general explicit steps."""
    import diffrax

    if method != "rk38":
        return {"dopri5": diffrax.Dopri5, "midpoint": diffrax.Midpoint, "euler": diffrax.Euler}[
            method
        ]()

    class ThreeEighths(diffrax.AbstractERK):
        tableau = diffrax.ButcherTableau(
            c=np.array([1 / 3, 2 / 3, 1.0]),
            a_lower=(np.array([1 / 3]), np.array([-1 / 3, 1.0]), np.array([1.0, -1.0, 1.0])),
            b_sol=np.array([1 / 8, 3 / 8, 3 / 8, 1 / 8]),
            b_error=np.zeros(4),
        )
        interpolation_cls = diffrax.ThirdOrderHermitePolynomialInterpolation.from_k

        def order(self, terms: Any) -> int:
            return 4

    return ThreeEighths()


def vector_field(work: Work) -> Callable[[Any, Any, Any], Any]:
    """The vector field of a row, of (t, y, parameters)."""
    import jax
    import jax.numpy as jnp

    def linear(p: Any, name: str, x: Any) -> Any:
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def latent(t: Any, y: Any, p: Any) -> Any:
        for i in (0, 2):
            y = jax.nn.elu(linear(p, f"net.{i}", y))
        return linear(p, "net.4", y)

    def flow(t: Any, y: Any, p: Any) -> Any:
        for i in (0, 2):
            y = jnp.tanh(linear(p, f"net.{i}", y))
        return linear(p, "net.4", y)

    def small(t: Any, y: Any, p: Any) -> Any:
        x = y[:, :2]
        h = jnp.tanh(linear(p, "hidden", jnp.concatenate([x, jnp.full_like(x[:, :1], t)], 1)))
        diagonal = (p["out.weight"].T * p["hidden.weight"][:, :2]).sum(1)
        return jnp.concatenate([linear(p, "out", h), -((1 - h**2) @ diagonal)[:, None]], 1)

    def planar(t: Any, y: Any, p: Any) -> Any:
        x = jnp.reshape(t, (1,))
        for i in (0, 2):
            x = jnp.tanh(linear(p, f"planar.hypernetwork.{i}", x))
        values = linear(p, "planar.hypernetwork.4", x)
        w, u, b, gate = jnp.split(values, np.cumsum(sizes)[:-1])
        w, u = w.reshape(units, 2), u.reshape(units, 2)
        u = u * jax.nn.sigmoid(gate).reshape(units, -1) / units
        h = jnp.tanh(y[:, :2] @ w.T + b)
        trace = (1 - h**2) @ (u * w).sum(1)
        return jnp.concatenate([h @ u, -trace[:, None]], 1)

    if isinstance(work, Latent):
        return latent
    if isinstance(work, SmallCNF):
        return small
    if isinstance(work, Flow):
        return flow
    assert isinstance(work, CNF)
    sizes, units = work.field.planar.sizes, work.field.planar.units
    return planar


def loss_of(work: Work) -> Callable[[Any], Any]:
    """The loss of a row, of the states at all times."""
    import jax.numpy as jnp

    if isinstance(work, CNF):

        def log_likelihood(ys: Any) -> Any:
            z, change = ys[-1][:, :2], ys[-1][:, 2]
            return -(-0.5 * (z**2).sum(1) - math.log(2 * math.pi) - change).mean()

        return log_likelihood
    weights = jnp.asarray(work.weights.numpy())
    batch = weights.shape[1]
    return lambda ys: (ys[1:] * weights).sum() / batch
