"""Names beside the points of a scatter, where they cover neither points nor each other."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

from .style import SMALLEST

__all__ = ["label_points"]

# Offsets in points, and how the text is aligned to them.
PLACES = [
    (x, y, "left" if x > 0 else "right" if x < 0 else "center", "center")
    for radius in (6, 16, 28)
    for x, y in ((radius, 0), (-radius, 0), (0, radius + 3), (0, -radius - 3),
                 (radius, radius), (-radius, radius), (radius, -radius), (-radius, -radius))
]  # fmt: skip


def label_points(
    axis: Axes, points: Sequence[tuple[float, float]], names: Sequence[str], colors: Sequence[str]
) -> None:
    """Write each name at the first of some places beside its point that is free.

    Limits and scales of the axis must be set before; a far name is joined to its point by a line.
    """
    figure = axis.get_figure(root=True)
    assert figure is not None
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()  # the layout is known after it
    renderer = canvas.get_renderer()
    taken = [
        Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in axis.transData.transform(list(points))
    ]
    for point, name, color in zip(points, names, colors, strict=True):
        for x, y, across, along in PLACES:
            line = {"arrowstyle": "-", "lw": 0.5, "color": color} if abs(x) + abs(y) > 20 else None
            text = axis.annotate(
                name, point, (x, y), textcoords="offset points", ha=across, va=along, color=color,
                fontsize=SMALLEST, arrowprops=line,
            )  # fmt: skip
            box = text.get_tightbbox(renderer)
            if box is not None and inside(axis, box) and not any(map(box.overlaps, taken)):
                break
            text.remove()
        else:
            text = axis.annotate(
                name, point, (6, 0), textcoords="offset points", va="center", color=color,
                fontsize=SMALLEST,
            )  # fmt: skip
            box = text.get_tightbbox(renderer)
        if box is not None:
            taken.append(box)


def inside(axis: Axes, box: Bbox) -> bool:
    """Whether a text stays in its panel."""
    frame = axis.bbox
    return bool(
        frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
    )
