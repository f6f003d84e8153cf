"""Time until a model trained from scratch has 1 % error on the test images of MNIST.

The same architecture in all runs, the error after every 100 steps, and the seconds of training
steps alone: evaluations are not counted, for they are the same work for all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import SGD, lr_scheduler

from node_experiments.chapters.image_classification.chapter import ImagesConfig
from node_experiments.chapters.image_classification.datasets import image_data
from node_experiments.ode import Backprop, Solver

from .contenders import Ours, TorchDiffEq
from .problems import Mnist

__all__ = ["RUNS", "measure_accuracy"]

GOAL = 0.01
EVERY = 100
TOLERANCE = 1e-3
OURS_EPOCHS = 2
OFFICIAL_EPOCHS = 160


@dataclass(frozen=True)
class Schedule:
    """How a run optimises.

    Attributes:
        epochs: After which it ends in any case.
        make: Optimiser and scheduler, which steps after every batch, for so many steps an epoch.
        augment: Crop images at random, padded by 4 pixels.
    """

    epochs: int
    make: Callable[[nn.Module, int], tuple[SGD, lr_scheduler.LRScheduler]]
    augment: bool


def one_cycle(model: nn.Module, steps: int) -> tuple[SGD, lr_scheduler.LRScheduler]:
    """Ours: up to 0.1 and down again in two epochs."""
    optimizer = SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    return optimizer, lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=OURS_EPOCHS * steps)


def official(model: nn.Module, steps: int) -> tuple[SGD, lr_scheduler.LRScheduler]:
    """The example of torchdiffeq: 0.1, a tenth of it after 60, 100 and 140 epochs."""
    optimizer = SGD(model.parameters(), 0.1, momentum=0.9)
    drops = [epoch * steps for epoch in (60, 100, 140)]
    return optimizer, lr_scheduler.MultiStepLR(optimizer, drops, 0.1)


def runs() -> dict[str, Callable[[], tuple[Mnist, Ours | TorchDiffEq, Schedule]]]:
    """What is trained, with which solver and schedule, by the name of the run."""
    dopri5 = {"method": "dopri5", "rtol": TOLERANCE, "atol": TOLERANCE}
    cycle = Schedule(OURS_EPOCHS, one_cycle, augment=False)
    drops = Schedule(OFFICIAL_EPOCHS, official, augment=True)

    def ours(method: str) -> Ours:
        return Ours(Solver(method, rtol=TOLERANCE, atol=TOLERANCE), Backprop())

    def peer(kind: str) -> tuple[Mnist, TorchDiffEq, Schedule]:
        return Mnist(concatenates=True), TorchDiffEq(kind, **dopri5), drops

    return {
        "bosh3": lambda: (Mnist(), ours("bosh3"), cycle),
        "dopri5": lambda: (Mnist(), ours("dopri5"), drops),
        "torchdiffeq backprop": lambda: peer("odeint"),
        "torchdiffeq adjoint": lambda: peer("odeint_adjoint"),
    }


RUNS = tuple(runs())


def measure_accuracy(names: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of each run its steps, seconds and the error on the way."""
    for name in names:
        yield name, train(name, *runs()[name]())


def train(name: str, net: Mnist, solver: Ours | TorchDiffEq, schedule: Schedule) -> dict[str, Any]:
    """Train until the goal or the end of the schedule."""
    torch.manual_seed(0)
    data = image_data(ImagesConfig(name="mnist", batch_size=128, augment=schedule.augment))
    optimizer, scheduler = schedule.make(net, len(data.train))
    seconds, steps = 0.0, 0
    history: list[dict[str, float]] = []
    for _ in range(schedule.epochs):
        for images, labels in data.train:
            start = time.perf_counter()
            optimizer.zero_grad()
            solver.begin()
            F.cross_entropy(classify(net, solver, images), labels).backward()
            optimizer.step()
            scheduler.step()
            seconds += time.perf_counter() - start
            steps += 1
            if steps % EVERY == 0 or steps == schedule.epochs * len(data.train):
                wrong = error(net, solver, data.test)
                history.append({"steps": steps, "seconds": seconds, "error": wrong})
                print(f"{name}: {steps} steps, {seconds:.0f} s, {100 * wrong:.2f} %", flush=True)
                if wrong <= GOAL:
                    return {"reached": True, "history": history}
    return {"reached": False, "history": history}


def classify(net: Mnist, solver: Ours | TorchDiffEq, images: torch.Tensor) -> torch.Tensor:
    return net.head(solver(net.field, net.stem(images), net.times)[-1])


def error(net: Mnist, solver: Ours | TorchDiffEq, batches: Any) -> float:
    """Share of the test images that are taken for another digit."""
    wrong = total = 0
    with torch.no_grad():
        for images, labels in batches:
            wrong += int((classify(net, solver, images).argmax(1) != labels).sum())
            total += len(labels)
    return wrong / total
