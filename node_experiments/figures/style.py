"""One look for all figures: colour-blind safe, readable at the width of a README."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["COLORS", "new_figure", "style"]

# Okabe & Ito 2008.
COLORS = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "red": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "black": "#000000",
}

STYLE_FILE = Path(__file__).with_name("node_experiments.mplstyle")


def style() -> AbstractContextManager[None]:
    """Draw in the project's style, and leave the user's settings as they were."""
    return matplotlib.style.context(STYLE_FILE)


def new_figure(width: float = 9.0, height: float = 3.4) -> Figure:
    """An empty figure of this size in inches, with no window and no global state."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure
