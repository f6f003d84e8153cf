"""One look for all figures: colour-blind safe, readable at the width of a README.

>>> figure = new_figure(height=2.0)
>>> [float(inches) for inches in figure.get_size_inches()]
[8.3, 2.0]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from logging import LogRecord, getLogger
from pathlib import Path
from typing import Any, Literal

import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.ticker import LogLocator, NullLocator

__all__ = [
    "COLORS",
    "SMALLEST",
    "TRUTH",
    "WIDTH",
    "legend_below",
    "log_scale",
    "mark_start",
    "new_figure",
    "set_equal_aspect",
    "style",
]

# A README is about 830 pixels wide, so that an inch of a figure of this width is 100 pixels.
WIDTH = 8.3
# Points. At that width capitals of this size are 8 pixels high.
SMALLEST = 8.0

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
TRUTH = "0.7"  # grey of the true solution, which is drawn wide and below all else

FONT = "DejaVu Sans"  # comes with matplotlib
# Fonts on common systems for the scripts in which users name columns and series.
FURTHER_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "WenQuanYi Zen Hei",
    "Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Microsoft YaHei", "Yu Gothic",
    "Malgun Gothic", "Arial Unicode MS", "Noto Sans Devanagari", "Noto Sans Thai",
)  # fmt: skip

STYLE_FILE = Path(__file__).with_name("node_experiments.mplstyle")


def style() -> AbstractContextManager[None]:
    """Draw in the project's style, and leave the user's settings as they were."""
    return matplotlib.style.context([STYLE_FILE, {"font.family": font_families()}])


@cache
def font_families() -> list[str]:
    """The font of all figures, and the fallback fonts for letters that it does not have."""
    installed = {font.name for font in fontManager.ttflist}
    getLogger("matplotlib.font_manager").addFilter(is_not_font_weight_warning)
    return [FONT, *(name for name in FURTHER_FONTS if name in installed)]


def is_not_font_weight_warning(record: LogRecord) -> bool:
    """Whether a log record is not the recurrent warning that a fallback font lacks a weight."""
    message = record.getMessage()
    return "font weight" not in message or not any(name in message for name in FURTHER_FONTS)


def new_figure(width: float = WIDTH, height: float = 3.4) -> Figure:
    """An empty figure of this size in inches, with no window and no global state."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def log_scale(axes: Axes, along: Literal["x", "y"], values: Iterable[float]) -> None:
    """Make an axis logarithmic, with plain numbers, if positive values span more than a factor 4.

    With powers of ten alone, an axis of one decade might have no number at all.
    """
    found = list(values)
    low, high = min(found, default=0.0), max(found, default=0.0)
    if not 0 < 4 * low < high:
        return
    axis: Axis = axes.xaxis if along == "x" else axes.yaxis
    axes.set(**{f"{along}scale": "log"})
    decades = high / low
    few = (1.0, 2.0, 3.0, 5.0, 7.0) if decades < 10 else (1.0, 2.0, 5.0)
    subs = few if decades < 50 else (1.0, 3.0) if decades < 300 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs))
    if decades < 1e5:
        axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def set_equal_aspect(axis: Axes) -> None:
    """Make units along x and y equally long by changing the limits, not the panel."""
    axis.set_aspect("equal", adjustable="datalim")


def mark_start(
    axis: Axes, point: Sequence[float], color: Any, label: str | None = None, size: float = 6
) -> None:
    """Draw an open circle at the start `(x, y)` of a curve in the plane."""
    axis.plot(
        *([value] for value in point), linestyle="", marker="o", markersize=size,
        markerfacecolor="white", markeredgecolor=color, markeredgewidth=1.4, label=label, zorder=5,
    )  # fmt: skip


def legend_below(figure: Figure, axes: Iterable[Axes], columns: int = 5) -> None:
    """Draw one legend below all panels, with each name once."""
    found: dict[str, Artist] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(str(label), handle)
    figure.legend(
        list(found.values()),
        list(found),
        loc="outside lower center",
        ncols=min(columns, len(found)),
    )
