"""One training iteration of the official spirals example, beside the same one in torchdiffeq.

    python scripts/benchmark_spirals.py [--repetitions 10] [--threads 1] [--out benchmark.json]

1000 trajectories, 100 regular times, full batch, the networks of the official example: recognition
RNN, latent ODE with two hidden layers of 20, decoder, Adam. The reference is written as the
example is: the recognition network as a loop of small layers, `torchdiffeq.odeint` with its
default method and tolerances. Both are timed in turn in one process; the median counts. The
gradients of a recognition network vanish into subnormal numbers, on which a CPU is slow; the
runner sets them to zero (`prepare_process`), so the reference is timed both ways.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from measured_on import machine
from torch import Tensor, nn
from torch.optim import Optimizer
from torchdiffeq import odeint

from node_experiments.chapters.latent_ode.chapter import LatentODEConfig, SpiralsConfig
from node_experiments.chapters.latent_ode.elbo import LatentODETask
from node_experiments.chapters.latent_ode.model import LatentODE, LatentVectorField
from node_experiments.chapters.latent_ode.spirals import spiral_data
from node_experiments.data.time_series import SeriesBatch
from node_experiments.nn.likelihoods import gaussian_nll, standard_normal_kl
from node_experiments.nn.mlp import mlp
from node_experiments.ode import Backprop, Solver
from node_experiments.training.optimizers import make_optimizer

REFERENCE = "torchdiffeq, 1e-7 and 1e-9"
OFFICIAL = {"rtol": 1e-7, "atol": 1e-9}  # torchdiffeq's defaults, which the example keeps
OURS = {"rtol": 1e-3, "atol": 1e-3}


class Reference(nn.Module):
    """The networks of the official example, as it runs them."""

    def __init__(self) -> None:
        super().__init__()
        self.to_state, self.to_latent = nn.Linear(2 + 25, 25), nn.Linear(25, 8)
        self.field = LatentVectorField(4, 20, 2, "elu")
        self.decoder = mlp([4, 20, 2], "relu")
        self.evaluations = 0

    def loss(self, batch: SeriesBatch) -> Tensor:
        values, times = batch.observed.values, batch.observed.times[0]
        state = values.new_zeros(len(values), 25)
        for i in reversed(range(values.shape[1])):
            state = torch.tanh(self.to_state(torch.cat([values[:, i], state], 1)))
        mean, log_variance = self.to_latent(state).chunk(2, 1)
        z0 = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        self.evaluations = 0
        zs = odeint(self.count, z0, times).permute(1, 0, 2)
        log_std = torch.tensor(0.3).log()
        nll = gaussian_nll(self.decoder(zs), values, batch.observed.mask, log_std)
        return (nll + standard_normal_kl(mean, log_variance)).mean()

    def count(self, t: Tensor, z: Tensor) -> Tensor:
        self.evaluations += 1
        return self.field(t, z)


def iteration(loss: Callable[[], Tensor], optimizer: Optimizer) -> Callable[[], None]:
    def run() -> None:
        value = loss()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()

    return run


def ours(batch: SeriesBatch, **tolerances: float) -> tuple[LatentODE, Callable[[], None]]:
    torch.manual_seed(0)
    model = LatentODE(
        LatentODEConfig(layers=2, activation="elu", noise_std=0.3, reads_gaps=False),
        2,
        1.0,
        Solver("dopri5", **tolerances),
        Backprop(),
    )
    task = LatentODETask()
    optimizer = make_optimizer(model.parameters(), "adam", 0.01)
    return model, iteration(lambda: task.loss(model, batch, 0)[0], optimizer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = spiral_data(
        SpiralsConfig(
            variant="official_code",
            observations=100,
            grid_points=500,
            last_start=400,
            normalize=False,
            noise=0.3,
            time_span=3.74,
            train_size=1000,
            batch_size=1000,
            passes=1,
            validation_size=0,
        )
    )
    batch = data.train.data
    torch.manual_seed(0)
    reference = Reference()
    same_model, same = ours(batch, **OFFICIAL)
    quick_model, quick = ours(batch, **OURS)
    adam = torch.optim.Adam(reference.parameters(), 0.01)
    official = iteration(lambda: reference.loss(batch), adam)
    # Each with whether subnormal numbers are set to zero.
    runs: dict[str, tuple[Callable[[], None], bool]] = {
        REFERENCE: (official, False),
        "the same, subnormal numbers zero": (official, True),
        "ours, 1e-7 and 1e-9": (same, True),
        "ours, 1e-3": (quick, True),
    }
    evaluations: dict[str, Callable[[], int]] = {
        REFERENCE: lambda: reference.evaluations,
        "the same, subnormal numbers zero": lambda: reference.evaluations,
        "ours, 1e-7 and 1e-9": lambda: same_model.trajectory.stats.forward.evaluations,
        "ours, 1e-3": lambda: quick_model.trajectory.stats.forward.evaluations,
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repetition in range(options.repetitions + 2):
        for name, (run, flush) in runs.items():
            torch.set_flush_denormal(flush)
            start = time.perf_counter()
            run()
            if repetition >= 2:
                seconds[name].append(time.perf_counter() - start)
    base = statistics.median(seconds[REFERENCE])
    print("| iteration | ms, median | evaluations | times faster |")
    print("| --- | ---: | ---: | ---: |")
    rows = []
    for name, times in seconds.items():
        median = statistics.median(times)
        rows.append({"name": name, "seconds": times, "evaluations": evaluations[name]()})
        print(f"| {name} | {1000 * median:.1f} | {evaluations[name]()} | {base / median:.2f} |")
    if options.out is not None:
        content = {"machine": machine(options.repetitions), "runs": rows}
        options.out.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
