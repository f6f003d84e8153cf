"""Every gradient method on three problems, beside torchdiffeq and diffrax on the same work.

    python scripts/benchmark_gradients.py --repetitions 10 --out outputs/reference/gradients

Measures the processor time of forward and backward pass on one thread (median of interleaved
repetitions; unlike the clock on the wall it does not count other work on the machine),
evaluations, bytes kept between the passes (saved-tensor hooks), most bytes alive at once (counted
tensor by tensor), and the relative error of the parameter gradient against a tight float64 solve
(tolerance 1e-9; 1e-5 for the rough ODE-Net, whose errors are far above that). Needs the extra
`bench`; libraries that are not installed are left out. Prints tables, writes JSON and a picture.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from measured_on import machine
from torch import Tensor, nn
from training_speed.problems import OneHiddenLayer

from node_experiments.chapters.image_classification.ode_block import TimeConv2d
from node_experiments.figures.labels import label_points
from node_experiments.figures.style import COLORS, log_scale, new_figure, style
from node_experiments.ode import (
    Adjoint,
    Backprop,
    Checkpoint,
    Discrete,
    Gradient,
    Interpolated,
    Reversible,
    Solver,
    solve,
)
from node_experiments.training.live_bytes import LiveBytes

WAYS: dict[str, tuple[str, Gradient]] = {
    "backprop": ("dopri5", Backprop()),
    "discrete": ("dopri5", Discrete()),
    "discrete, graphs kept": ("dopri5", Discrete(retain_graphs=True)),
    "checkpoint, 2 states": ("dopri5", Checkpoint(2)),
    "adjoint": ("dopri5", Adjoint()),
    "adjoint, full norm": ("dopri5", Adjoint(seminorm=False)),
    "interpolated": ("dopri5", Interpolated()),
    "reversible": ("reversible_bosh3", Reversible()),
}


class ODENet(nn.Module):
    """The vector field of the official MNIST example, with time as a bias field."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(32, 64) for _ in range(3))
        self.convs = nn.ModuleList(TimeConv2d(64, 64) for _ in range(2))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        for norm, conv in zip(self.norms, self.convs, strict=False):
            y = conv(t, F.relu(norm(y)))
        return self.norms[2](y)


class LatentODE(nn.Module):
    """The vector field of the latent ODE for spirals."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(4, 20), nn.ELU(), nn.Linear(20, 20), nn.ELU(), nn.Linear(20, 4)
        )

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.net(y)


@dataclass
class Work:
    """One problem: field, initial state `(batch, ...)`, times, weights of the loss, tolerances."""

    name: str
    field: nn.Module
    y0: Tensor
    t: Tensor
    weights: Tensor
    tolerance: float
    reference_tolerance: float

    def loss(self, ys: Tensor) -> Tensor:
        return (ys[1:] * self.weights).sum() / len(self.y0)

    def double(self) -> Work:
        field = copy.deepcopy(self.field).double()
        tensors = (x.double() for x in (self.y0, self.t, self.weights))
        return Work(self.name, field, *tensors, self.tolerance, self.reference_tolerance)


def works(seed: int) -> list[Work]:
    torch.manual_seed(seed)
    cases = [
        ("MNIST ODE-Net", ODENet(), (128, 64, 6, 6), torch.tensor([0.0, 1.0]), 1e-3, 1e-5),
        ("latent ODE", LatentODE(), (1000, 4), torch.linspace(0, 2, 100), 1e-3, 1e-9),
        ("2-d CNF", OneHiddenLayer(), (512, 3), torch.tensor([0.0, 1.0]), 1e-5, 1e-9),
    ]
    result = []
    for name, field, shape, t, tolerance, reference in cases:
        y0 = torch.randn(shape)
        weights = torch.randn(len(t) - 1, *shape)
        result.append(Work(name, field, y0, t, weights, tolerance, reference))
    return result


def gradient_of(work: Work) -> Tensor:
    return torch.cat([p.grad.reshape(-1) for p in work.field.parameters()]).double()


Counts = dict[str, int]
Variant = Callable[[Work], tuple[Tensor, Counts | Callable[[], Counts]]]


def ours(method: str, gradient: Gradient, work: Work) -> tuple[Tensor, Callable[[], Counts]]:
    solver = Solver(method, rtol=work.tolerance, atol=work.tolerance)
    y0 = work.y0.clone().requires_grad_()
    solution = solve(work.field, y0, work.t, solver, gradient)

    def counts() -> Counts:
        stats = solution.stats
        return {"forward": stats.forward.evaluations, "backward": stats.backward.evaluations}

    return work.loss(solution.ys), counts


def torchdiffeq_variant(name: str, work: Work) -> tuple[Tensor, Callable[[], Counts]]:
    import torchdiffeq

    calls = {"n": 0}

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.field = work.field

        def forward(self, t: Tensor, y: Tensor) -> Tensor:
            calls["n"] += 1
            return self.field(t, y)

    y0 = work.y0.clone().requires_grad_()
    tolerance = {"rtol": work.tolerance, "atol": work.tolerance, "method": "dopri5"}
    ys = getattr(torchdiffeq, name)(Counting(), y0, work.t, **tolerance)
    forward = calls["n"]
    return work.loss(ys), lambda: {"forward": forward, "backward": calls["n"] - forward}


def reference_gradient(work: Work) -> Tensor:
    """The gradient of the continuous problem."""
    double = work.double()
    tolerance = work.reference_tolerance
    tight = Solver("dopri5", rtol=tolerance, atol=tolerance)
    y0 = double.y0.requires_grad_()
    double.loss(solve(double.field, y0, double.t, tight, Discrete()).ys).backward()
    return gradient_of(double)


def saved_bytes(make: Callable[[], Any], field: nn.Module) -> int:
    own = {p.untyped_storage().data_ptr() for p in field.parameters()}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor.detach()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = make()
    total = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    del result
    return total


def peak_bytes(make: Callable[[], tuple[Tensor, Any]]) -> int:
    """Most bytes alive at once in a forward and backward pass, beside parameters and inputs."""
    with LiveBytes() as counter:
        make()[0].backward()
    return counter.peak


def measure(work: Work, variants: dict[str, Variant], repetitions: int) -> list[dict[str, Any]]:
    reference = reference_gradient(work)
    rows: dict[str, dict[str, Any]] = {}
    for name, variant in variants.items():
        work.field.zero_grad()
        loss, counts = variant(work)
        loss.backward()
        found = gradient_of(work)
        rows[name] = {
            "way": name,
            **(counts() if callable(counts) else counts),
            "gradient_error": float((found - reference).norm() / reference.norm()),
            "saved_bytes": saved_bytes(partial(variant, work), work.field),
            "peak_bytes": peak_bytes(partial(variant, work)),
            "forward_seconds": [],
            "seconds": [],
        }
        print(f"  {name}: {rows[name]['forward']} + {rows[name]['backward']}", flush=True)
    for _ in range(repetitions):
        for name, variant in variants.items():
            work.field.zero_grad()
            start = time.process_time()
            loss, _ = variant(work)
            middle = time.process_time()
            loss.backward()
            rows[name]["forward_seconds"].append(middle - start)
            rows[name]["seconds"].append(time.process_time() - start)
    for row in rows.values():
        row["forward_seconds"] = statistics.median(row["forward_seconds"])
        row["seconds"] = statistics.median(row["seconds"])
    return list(rows.values())


def diffrax_rows(work: Work, repetitions: int) -> list[dict[str, Any]]:
    """The latent ODE and the CNF in diffrax; compiled, float32, one row each adjoint."""
    # Read when JAX is first imported.
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    import diffrax
    import jax
    import jax.numpy as jnp

    params = {k: jnp.asarray(v.detach().numpy()) for k, v in work.field.named_parameters()}
    y0, ts = jnp.asarray(work.y0.numpy()), jnp.asarray(work.t.numpy())
    weights = jnp.asarray(work.weights.numpy())

    def latent(t: Any, y: Any, p: Any) -> Any:
        for i in (0, 2):
            y = jax.nn.elu(y @ p[f"net.{i}.weight"].T + p[f"net.{i}.bias"])
        return y @ p["net.4.weight"].T + p["net.4.bias"]

    def cnf(t: Any, y: Any, p: Any) -> Any:
        x = jnp.concatenate([y[:, :2], jnp.full_like(y[:, :1], t)], 1)
        h = jnp.tanh(x @ p["hidden.weight"].T + p["hidden.bias"])
        diagonal = (p["out.weight"].T * p["hidden.weight"][:, :2]).sum(1)
        flow = h @ p["out.weight"].T + p["out.bias"]
        return jnp.concatenate([flow, -((1 - h**2) @ diagonal)[:, None]], 1)

    fields = {"latent ODE": latent, "2-d CNF": cnf}
    if work.name not in fields:
        return []
    term = diffrax.ODETerm(fields[work.name])
    reference = reference_gradient(work)
    rows = []
    for name, adjoint in {
        "diffrax recursive checkpoint": diffrax.RecursiveCheckpointAdjoint(),
        "diffrax backsolve": diffrax.BacksolveAdjoint(),
    }.items():

        def loss(p: Any, y0: Any, adjoint: Any = adjoint) -> Any:
            solution = diffrax.diffeqsolve(
                term,
                diffrax.Dopri5(),
                ts[0],
                ts[-1],
                None,
                y0,
                p,
                saveat=diffrax.SaveAt(ts=ts),
                stepsize_controller=diffrax.PIDController(work.tolerance, work.tolerance),
                adjoint=adjoint,
            )
            return (solution.ys[1:] * weights).sum() / len(y0), solution.stats

        step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
        (_, stats), (grads, _) = jax.block_until_ready(step(params, y0))
        flat = [torch.tensor(grads[k].tolist()).reshape(-1) for k in params]
        found = torch.cat(flat).double()
        seconds = []
        for _ in range(repetitions):
            start = time.process_time()
            jax.block_until_ready(step(params, y0))
            seconds.append(time.process_time() - start)
        rows.append(
            {
                "way": name,
                "forward": int(stats["num_steps"]) * 6 + 2,
                "backward": None,
                "gradient_error": float((found - reference).norm() / reference.norm()),
                "saved_bytes": None,
                "peak_bytes": None,
                "forward_seconds": None,
                "seconds": statistics.median(seconds),
            }
        )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    def cell(value: Any, scale: float, digits: int) -> str:
        return "" if value is None else f"{value * scale:.{digits}f}"

    lines = [
        "| gradient | ms | of it forward | evaluations | backward | kept, MB | peak, MB "
        "| gradient error |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        lines.append(
            f"| {row['way']} | {cell(row['seconds'], 1e3, 1)} "
            f"| {cell(row['forward_seconds'], 1e3, 1)} | {row['forward']} "
            f"| {cell(row['backward'], 1, 0)} | {cell(row['saved_bytes'], 1e-6, 2)} "
            f"| {cell(row['peak_bytes'], 1e-6, 2)} | {row['gradient_error']:.1e} |"
        )
    return "\n".join(lines)


def draw(results: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Time against the error of the gradient, a point for each contender."""
    with style():
        figure = new_figure(height=2.9 * len(results))
        axes = figure.subplots(len(results))
        for ax, (name, rows) in zip(axes, results.items(), strict=True):
            times = [1e3 * row["seconds"] for row in rows]
            # An exact gradient has no place on a logarithmic axis but its lower end.
            least = min(row["gradient_error"] for row in rows if row["gradient_error"] > 0)
            errors = [max(row["gradient_error"], least) for row in rows]
            shades = [COLORS["blue"] if row["way"] in WAYS else COLORS["red"] for row in rows]
            ax.scatter(times, errors, c=shades, s=22, zorder=3)
            log_scale(ax, "x", [0.7 * min(times), 1.6 * max(times)])
            ax.set_yscale("log")
            ax.set_xlim(0.7 * min(times), 1.6 * max(times))
            ax.set_ylim(least / 6, 6 * max(errors))
            ax.set(title=name, ylabel="relative error of the gradient")
            label_points(
                ax, list(zip(times, errors, strict=True)), [row["way"] for row in rows], shades
            )
        axes[-1].set_xlabel("CPU time per training step (ms)")
        figure.suptitle(
            "gradient methods: this package (blue) and others (orange); lower left is better"
        )
        figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("outputs/reference/gradients"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    variants: dict[str, Variant] = {
        name: partial(ours, method, gradient) for name, (method, gradient) in WAYS.items()
    }
    try:
        import torchdiffeq  # noqa: F401

        variants["torchdiffeq backprop"] = partial(torchdiffeq_variant, "odeint")
        variants["torchdiffeq adjoint"] = partial(torchdiffeq_variant, "odeint_adjoint")
    except ImportError:
        print("torchdiffeq is not installed and left out")
    results: dict[str, list[dict[str, Any]]] = {}
    for work in works(seed=0):
        print(work.name, flush=True)
        results[work.name] = measure(work, variants, arguments.repetitions)
    for work in works(seed=0):
        # At the end, for JAX starts threads.
        try:
            results[work.name] += diffrax_rows(work, arguments.repetitions)
        except ImportError:
            print("diffrax is not installed and left out")
            break
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "gradients.json").write_text(
        json.dumps({"machine": machine(arguments.repetitions), "results": results}, indent=2)
        + "\n"
    )
    text = "\n\n".join(f"{name}\n\n{table(rows)}" for name, rows in results.items())
    (arguments.out / "gradients.md").write_text(text + "\n")
    draw(results, arguments.out / "gradients.png")
    print(text)


if __name__ == "__main__":
    main()
