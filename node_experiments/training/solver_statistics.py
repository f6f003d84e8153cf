"""Function evaluations and steps of the solves of a training step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from ..nn.ode_module import solving_modules
from ..ode import SolveStats
from .loop import Batches, Callback, Trainer

__all__ = ["CountedBatches", "SolverStatistics", "solve_statistics"]


class SolverStatistics(Callback):
    """Counts function evaluations and steps, from the statistics that solves return.

    Writes, per batch, as means over the ODEs of the model (for one that is solved several times,
    such as between observations, all solves of a batch are added up):

    - `nfe/forward`: evaluations of the vector field by the forward solve
    - `nfe/backward`: evaluations while computing gradients
    - `solver/accepted`, `solver/rejected`: steps of the forward solve

    With several processes these are means over the processes, and `<tag>_max` their maxima, since
    the slowest process sets the pace.
    """

    def __init__(self) -> None:
        self._epoch: dict[str, float] = {}
        self._window: dict[str, float] = {}
        self._epoch_solves = self._window_solves = 0

    def epoch_start(self, trainer: Trainer) -> None:
        self._epoch, self._epoch_solves = {}, 0

    def after_backward(self, trainer: Trainer) -> None:
        for stats in solve_statistics(trainer.model):
            counts = {
                "nfe/forward": stats.forward.evaluations,
                "nfe/backward": stats.backward.evaluations,
                "solver/accepted": stats.forward.accepted,
                "solver/rejected": stats.forward.rejected,
            }
            for tag, count in counts.items():
                self._epoch[tag] = self._epoch.get(tag, 0) + count
                self._window[tag] = self._window.get(tag, 0) + count
            self._epoch_solves += 1
            self._window_solves += 1

    def log(self, trainer: Trainer) -> None:
        trainer.window |= over_processes(trainer, self._window, self._window_solves)
        self._window, self._window_solves = {}, 0

    def evaluate(self, trainer: Trainer) -> None:
        trainer.metrics |= over_processes(trainer, self._epoch, self._epoch_solves)

    def state_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


def over_processes(trainer: Trainer, sums: dict[str, float], solves: int) -> dict[str, float]:
    """Means per ODE and batch and, with several processes, also their maxima."""
    means = {tag: total / solves for tag, total in sums.items()}
    gathered = trainer.group.gather(means)
    found = {tag: sum(each[tag] for each in gathered) / len(gathered) for tag in means}
    if len(gathered) > 1:
        found |= {f"{tag}_max": max(each[tag] for each in gathered) for tag in means}
    return found


class CountedBatches:
    """Batches of an evaluation that count the function evaluations of the solves of each.

    Attributes:
        evaluations: Function evaluations of all forward solves so far.
        solves: Number of passes of an ODE over a batch.
    """

    def __init__(self, batches: Batches, model: nn.Module) -> None:
        self._batches, self._model = batches, model
        self.evaluations = self.solves = 0

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Any]:
        for batch in self._batches:
            yield batch
            for stats in solve_statistics(self._model):
                self.evaluations += stats.forward.evaluations
                self.solves += 1


def solve_statistics(model: nn.Module) -> list[SolveStats]:
    """Statistics of the last pass of every ODE of a model."""
    return [module.stats for module in solving_modules(model)]
