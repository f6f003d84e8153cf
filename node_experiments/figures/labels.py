"""Labels beside the points of a scatter plot that cover neither points nor each other."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from .style import SMALLEST

__all__ = ["label_points"]

# Offsets in points, and the alignment of the text to them.
PLACES = [
    (x, y, "left" if x > 0 else "right" if x < 0 else "center", "center")
    for radius in (6, 16, 28, 42, 58)
    for x, y in ((radius, 0), (-radius, 0), (0, radius + 3), (0, -radius - 3),
                 (radius, radius), (-radius, radius), (radius, -radius), (-radius, -radius))
]  # fmt: skip

MARK = 2.5  # radius of a point, in points
# A background, so that lines behind a name do not strike it through.
BACKGROUND = {
    "boxstyle": "square,pad=0.05",
    "facecolor": "white",
    "edgecolor": "none",
    "alpha": 0.8,
}


def label_points(
    axis: Axes, points: Sequence[tuple[float, float]], names: Sequence[str], colors: Sequence[str]
) -> None:
    """Write each name at the first free place beside its point.

    Limits and scales of the axis must be set before; a name that does not touch its point is
    joined to it by a line.
    """
    figure = axis.get_figure(root=True)
    assert figure is not None
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()  # the layout is only known after it
    renderer = canvas.get_renderer()
    radius = MARK * figure.dpi / 72
    taken = [
        Bbox.from_bounds(x - radius, y - radius, 2 * radius, 2 * radius)
        for x, y in axis.transData.transform(list(points))
    ]
    marks = list(taken)
    for mark, point, name, color in zip(marks, points, names, colors, strict=True):
        # Points that coincide are left out: a line to one of them always runs over the other.
        others = [box for box in taken if not box.overlaps(mark)]
        # A line over another name is better than a name over another.
        best: tuple[bool, bool] = (True, True)
        chosen: Annotation | None = None
        for x, y, across, along in PLACES:
            line = {"arrowstyle": "-", "lw": 0.6, "color": color} if abs(x) + abs(y) > 12 else None
            text = axis.annotate(
                name, point, (x, y), textcoords="offset points", ha=across, va=along, color=color,
                fontsize=SMALLEST, arrowprops=line, bbox=BACKGROUND,
            )  # fmt: skip
            box = extent(text, renderer)
            covers = not inside(axis, box) or any(map(box.overlaps, taken))
            faults = covers, line is not None and crosses(mark, box, others)
            if chosen is not None and faults >= best:
                text.remove()
                continue
            if chosen is not None:
                chosen.remove()
            best, chosen = faults, text
            if not any(faults):
                break
        assert chosen is not None
        box = extent(chosen, renderer)
        taken.append(box)


def extent(text: Annotation, renderer: RendererAgg) -> Bbox:
    """Bounding box of a name in pixels, without the line that joins it to its point."""
    text.update_positions(renderer)
    return Text.get_window_extent(text, renderer)


def crosses(mark: Bbox, box: Bbox, others: Sequence[Bbox]) -> bool:
    """Whether the line from a point to its name runs over other points or names."""
    x, y = (mark.x0 + mark.x1) / 2, (mark.y0 + mark.y1) / 2
    # To the nearest point of the name.
    end_x, end_y = min(max(x, box.x0), box.x1), min(max(y, box.y0), box.y1)
    return any(
        other.contains(x + part / 10 * (end_x - x), y + part / 10 * (end_y - y))
        for part in range(1, 11)
        for other in others
    )


def inside(axis: Axes, box: Bbox) -> bool:
    """Whether a text stays inside its panel."""
    frame = axis.bbox
    return bool(
        frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
    )
