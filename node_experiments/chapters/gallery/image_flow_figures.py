"""Digits from noise: one network sampled by many solvers, and an animation of the flow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...figures.style import new_figure, style
from ...files import write_json
from ...nn.swap_solver import temporary_solver
from ...ode import Discrete, Solver
from ...tracking.animation import Film
from ...training.loop import Callback, Trainer

__all__ = ["image_flow_callbacks", "image_flow_figures", "samples_by_solver"]

FRAMES = 13
ROWS = 4  # digits of each class in the animation
EULER_STEPS = (4, 8, 16, 32, 100)
ADAPTIVE = {"bosh3": 1e-2, "dopri5": 1e-3, "dopri8": 1e-4}
REFERENCE = Solver("dopri5", rtol=1e-5, atol=1e-5)


def solvers() -> list[Solver]:
    """The solvers to compare: Euler with more and more steps, then adaptive ones."""
    euler = [Solver("euler", num_steps=steps) for steps in EULER_STEPS]
    return euler + [Solver(name, rtol=tol, atol=tol) for name, tol in ADAPTIVE.items()]


def solver_label(solver: Solver) -> str:
    """Label of a solver: its method with its steps or its tolerance."""
    if solver.num_steps is not None:
        return f"{solver.method}, {solver.num_steps} steps"
    return f"{solver.method}, tolerance {solver.rtol:g}"


def draw_noise(model: Any, count: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """The same noise at every call, `count` images of each class, and their labels."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(model.classes).repeat(count)
    noise = torch.randn(len(labels), *model.image_shape, generator=generator)
    return noise.to(like), labels.to(like.device)


def samples_by_solver(model: Any, like: Tensor) -> tuple[list[dict[str, Any]], Tensor]:
    """Sample one image of each class with each solver, with its error against a tight solve.

    Returns:
        Rows with `solver`, `nfe` and `error` (root mean square difference of pixels in [0, 1]),
        and images `(solver + 1, class, ...)`; the tight solve is the last of both.
    """
    noise, labels = draw_noise(model, 1, like)
    times = torch.tensor([0.0, 1.0]).to(like)
    rows, images = [], []
    model.eval()
    with torch.no_grad():
        for solver in [*solvers(), REFERENCE]:
            with temporary_solver(model, solver, Discrete()):
                images.append(model.sample(noise, labels, times)[-1])
                rows.append(
                    {"solver": solver_label(solver), "nfe": model.stats.forward.evaluations}
                )
    for row, found in zip(rows, images, strict=True):
        row["error"] = float((found - images[-1]).square().mean().sqrt())
    return rows, torch.stack(images).cpu()


def image_flow_figures(trainer: Trainer) -> dict[str, Figure]:
    """A row of digits for each solver."""
    rows, images = samples_by_solver(trainer.model, next(iter(trainer.data.test))[0])
    with style():
        figure = new_figure(width=6.6, height=0.5 * len(rows))
        axes = figure.subplots(len(rows), 1)
        for axis, row, digits in zip(axes, rows, images, strict=True):
            axis.imshow(side_by_side(digits).numpy(), cmap="gray_r", vmin=0, vmax=1)
            error = "taken as exact" if row is rows[-1] else f"error {row['error']:.3f}"
            label = f"{row['solver']}\n{row['nfe']} evaluations, {error}"
            axis.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
            for spine in axis.spines.values():
                spine.set_visible(False)
    return {"samples": figure}


def side_by_side(digits: Tensor) -> Tensor:
    """Images `(image, channel, height, width)` side by side, their channels averaged."""
    return torch.cat(list(digits.mean(1)), 1)


def sample_frames(trainer: Trainer) -> Iterator[Figure]:
    """Frames of four digits of each class, from noise to images."""
    model: Any = trainer.model
    noise, labels = draw_noise(model, ROWS, next(iter(trainer.data.test))[0])
    times = torch.linspace(0, 1, FRAMES).to(noise)
    model.eval()
    with torch.no_grad():
        states = model.sample(noise, labels, times).cpu()
    for t, images in zip(times.tolist(), states, strict=True):
        with style():
            figure = new_figure(width=6.0, height=2.75)
            axis = figure.subplots()
            rows = [side_by_side(row) for row in images.split(model.classes)]
            axis.imshow(torch.cat(rows).numpy(), cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
            axis.spines[:].set_visible(False)
            axis.set_title(f"t = {t:.2f}", fontsize=11)
        yield figure


class SampleErrors(Callback):
    """Measurement after the last epoch, which writes `sample_errors.json`.

    Args:
        path: The file to write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def epoch_end(self, trainer: Trainer) -> None:
        if trainer.is_last:
            like = next(iter(trainer.data.test))[0]
            write_json(self._path, samples_by_solver(trainer.model, like)[0])


def image_flow_callbacks(folder: Path) -> list[Callback]:
    """Callbacks for the animation, and for the errors of samples."""
    animation = Film(folder / "figures" / "samples.gif", sample_frames)
    return [animation, SampleErrors(folder / "sample_errors.json")]
