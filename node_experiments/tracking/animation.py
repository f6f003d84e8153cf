"""GIFs of a model during training, and of a trained model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..files import write_atomically
from ..training.loop import Callback, Trainer
from ..training.random_state import random_state, set_random_state

if TYPE_CHECKING:
    from matplotlib.figure import Figure


__all__ = ["Animation", "Film"]

COLORS = 64  # of a GIF
SAMPLED = 8  # frames from which its palette is made


class Animation(Callback):
    """Draws a frame before training and after every epoch; writes the GIF when training ends.

    Frames are kept as files beside the GIF, named by epoch, so that a resumed training continues
    with those of the epochs in its checkpoint.

    Args:
        path: Where the GIF is written.
        draw: Returns a frame from the trainer; all frames have the same size.
    """

    def __init__(self, path: Path, draw: Callable[[Trainer], Figure]) -> None:
        self._path, self._draw = path, draw
        self._frames = path.with_name(f".{path.stem}_frames")

    def fit_start(self, trainer: Trainer) -> None:
        self._frames.mkdir(parents=True, exist_ok=True)
        for path in self._frames.glob("*.png"):
            if not path.stem.isdecimal() or int(path.stem) > trainer.epoch or not is_whole(path):
                path.unlink()
        if trainer.index == 0:
            self._add(trainer)

    def epoch_end(self, trainer: Trainer) -> None:
        self._add(trainer)

    def fit_end(self, trainer: Trainer) -> None:
        frames = [path.read_bytes() for path in sorted(self._frames.glob("*.png"))]
        if frames:
            write_gif(self._path, frames, seconds=6.0)

    def _add(self, trainer: Trainer) -> None:
        path = self._frames / f"{trainer.epoch:05d}.png"
        before = random_state()
        frame = frame_png(self._draw(trainer))
        set_random_state(before)
        write_atomically(path, lambda file: file.write(frame))


class Film(Callback):
    """Writes a GIF of the trained model when training is done.

    Args:
        path: Where the GIF is written.
        draw: Returns the frames from the trainer, all of the same size; no GIF is written of none.
    """

    def __init__(self, path: Path, draw: Callable[[Trainer], Iterable[Figure]]) -> None:
        self._path, self._draw = path, draw

    def epoch_end(self, trainer: Trainer) -> None:
        if not trainer.is_last:
            return
        frames = [frame_png(figure) for figure in self._draw(trainer)]
        if frames:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_gif(self._path, frames, seconds=4.0)


def is_whole(path: Path) -> bool:
    """Whether a file is a complete picture."""
    try:
        opened(path.read_bytes())
    except (OSError, SyntaxError, ValueError):  # Pillow raises any of them
        return False
    return True


def frame_png(figure: Figure, dpi: int = 100) -> bytes:
    """A figure as PNG bytes, small enough to keep many frames until the last is known."""
    buffer = BytesIO()
    figure.savefig(buffer, dpi=dpi, format="png")
    return buffer.getvalue()


def common_palette(frames: Sequence[bytes], colors: int = COLORS) -> Image.Image:
    """An image whose palette serves all frames, so that a colour stays the same throughout."""
    places = np.unique(np.linspace(0, len(frames) - 1, SAMPLED).round().astype(int))
    sampled = [np.asarray(opened(frames[place])) for place in places]
    # The default splits colours by frequency, and mixes the few pixels of a peak with white.
    return Image.fromarray(np.concatenate(sampled)).quantize(colors, Image.Quantize.MAXCOVERAGE)


def opened(frame: bytes) -> Image.Image:
    """Decode a frame as an RGB image, without transparency."""
    return Image.open(BytesIO(frame)).convert("RGB")


def write_gif(path: Path, frames: Sequence[bytes], seconds: float) -> None:
    """Write a GIF that takes `seconds`, and then pauses for two seconds on its last frame."""
    palette = common_palette(frames)
    first, *others = (
        opened(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames
    )
    pause = max(20, round(1000 * seconds / len(frames)))
    durations = [pause] * len(others) + [2000]
    write_atomically(
        path,
        lambda file: first.save(
            file, "gif", save_all=True, append_images=others, duration=durations, loop=0,
            optimize=True,
        ),
    )  # fmt: skip
