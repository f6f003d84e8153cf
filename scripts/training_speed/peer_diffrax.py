"""The latent ODE in diffrax: compiled, float32, by its recursive checkpoints."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .contenders import Contender, Counts
from .problems import Latent

__all__ = ["diffrax_latent"]


def diffrax_latent(work: Latent, tolerance: float, threads: int) -> Contender:
    """The same work with the parameters and data of ours."""
    if threads == 1:
        # Read when JAX is first imported.
        os.environ["XLA_FLAGS"] = (
            "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        )
    import diffrax
    import jax
    import jax.numpy as jnp

    params = {k: jnp.asarray(p.detach().numpy()) for k, p in work.field.named_parameters()}
    y0, ts = jnp.asarray(work.y0.numpy()), jnp.asarray(work.times.numpy())
    weights = jnp.asarray(work.weights.numpy())

    def field(t: Any, y: Any, p: Any) -> Any:
        for i in (0, 2):
            y = jax.nn.elu(y @ p[f"net.{i}.weight"].T + p[f"net.{i}.bias"])
        return y @ p["net.4.weight"].T + p["net.4.bias"]

    def loss(p: Any, y0: Any) -> Any:
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            diffrax.Dopri5(),
            ts[0],
            ts[-1],
            None,
            y0,
            p,
            saveat=diffrax.SaveAt(ts=ts),
            stepsize_controller=diffrax.PIDController(tolerance, tolerance),
            adjoint=diffrax.RecursiveCheckpointAdjoint(),
        )
        value = (solution.ys[1:] * weights).sum() / len(y0)
        return value, (solution.ys, solution.stats["num_steps"])

    compiled = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    last: dict[str, Any] = {}

    def step() -> Tensor:
        (_, (ys, last["steps"])), (last["gradient"], _) = jax.block_until_ready(
            compiled(params, y0)
        )
        # Without a copy.
        return torch.from_dlpack(ys)

    def gradient() -> Tensor:
        parts = [np.asarray(last["gradient"][name], np.float64).ravel() for name in params]
        return torch.from_numpy(np.concatenate(parts))

    def counts() -> Counts:
        return Counts(6 * int(last["steps"]) + 2, None)

    return Contender("diffrax, compiled", step, gradient, counts)
