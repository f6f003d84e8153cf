"""Pictures of the results, in the style of all figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from node_experiments.figures.labels import BACKGROUND, label_points
from node_experiments.figures.style import (
    COLORS,
    SMALLEST,
    legend_below,
    log_scale,
    new_figure,
    style,
)

__all__ = ["draw_accuracy", "draw_rows", "draw_scaling"]

COLOURS = {
    "ours": COLORS["blue"],
    "torchdiffeq": COLORS["orange"],
    "torchode": COLORS["green"],
    "diffrax": COLORS["purple"],
}
NAMES = {"ours": "this package"}
# Of each run to 1 % error: its label, colour and marker.
RUN_LOOKS = {
    "bosh3": ("this package, bosh3", COLOURS["ours"], "o"),
    "dopri5": ("this package, dopri5", COLORS["sky"], "^"),
    "torchdiffeq backprop": ("torchdiffeq backprop", COLOURS["torchdiffeq"], "s"),
    "torchdiffeq adjoint": ("torchdiffeq adjoint", COLORS["red"], "D"),
}
BASELINE = "torchdiffeq backprop"


def draw_rows(report: dict[str, Any], path: Path) -> None:
    """Every contender's time as a multiple of torchdiffeq's, on one axis; a panel for each row.

    Only of training steps: what is of a forward pass alone stands in the table.
    """
    rows = [row for name, row in report["rows"].items() if not name.endswith("_forward")]
    heights = [len(row["results"]) + 1.8 for row in rows]
    with style():
        figure = new_figure(height=0.165 * sum(heights) + 0.9)
        axes = figure.subplots(len(rows), height_ratios=heights, sharex=True, squeeze=False)[:, 0]
        ratios: list[float] = []
        for ax, row in zip(axes, rows, strict=True):
            results = row["results"][::-1]
            # The shortest name is that of torchdiffeq without anything of ours.
            base = min(
                (r for r in results if r["package"] == "torchdiffeq" and "adj" not in r["name"]),
                key=lambda r: len(r["name"]),
                default=results[-1],
            )
            for place, result in enumerate(results):
                ratio = result["seconds"] / base["seconds"]
                ratios.append(ratio)
                package = result["package"]
                ax.plot(
                    ratio, place, "o", color=COLOURS[package], markersize=6,
                    label=NAMES.get(package, package),
                )  # fmt: skip
                ax.annotate(
                    milliseconds(result["seconds"]), (ratio, place), (7, 0), fontsize=SMALLEST,
                    textcoords="offset points", va="center", bbox=BACKGROUND,
                )  # fmt: skip
            ax.set_yticks(range(len(results)), [result["name"] for result in results])
            ax.set_ylim(-0.7, len(results) - 0.3)
            ax.tick_params(labelsize=SMALLEST, labelbottom=True)
            ax.axvline(1, color="0.6", lw=0.8, zorder=1)
            ax.set_title(f"{row['title']} (1 = {base['name']})", loc="left")
        for ax in axes:
            log_scale(ax, "x", ratios)
            ax.set_xlim(min(ratios) / 1.3, max(ratios) * 1.7)
        axes[-1].set_xlabel(
            f"time as a multiple of {BASELINE} (or of what the title says);\nleft is faster, "
            "numbers are medians"
        )
        legend_below(figure, axes)
        figure.savefig(path)


def milliseconds(seconds: float) -> str:
    """A time with three digits."""
    time = 1e3 * seconds
    return f"{time:,.0f} ms" if time >= 100 else f"{time:.3g} ms"


def draw_scaling(report: dict[str, Any], path: Path) -> None:
    """Time against each size, with the fitted slope."""
    found = list(report["scaling"].values())
    ways = list(found[0]["seconds"])
    with style():
        figure = new_figure(height=5.2)
        axes = figure.subplots(2, 3, sharey=True)
        looks = dict(zip(ways, ((COLORS["blue"], "o"), (COLORS["orange"], "s")), strict=True))
        for ax, each in zip(axes.flat, found, strict=False):
            for (way, (colour, marker)), below in zip(looks.items(), (False, True), strict=True):
                times = [1e3 * value for value in each["seconds"][way]]
                ax.plot(each["sizes"], times, color=colour, marker=marker, ms=4, label=way)
                slope = each["slopes"][way]
                ax.text(
                    0.04, 0.84 if below else 0.94, f"to the power {slope:.2f}", color=colour,
                    transform=ax.transAxes, fontsize=SMALLEST,
                )  # fmt: skip
            log_scale(ax, "x", each["sizes"])
            ax.set_xlabel(each["label"])
        times = [each["seconds"][way] for each in found for way in ways]
        log_scale(axes[0, 0], "y", [1e3 * value for row in times for value in row])
        for ax in axes[:, 0]:
            ax.set_ylabel("CPU time per step (ms)")
        empty = list(axes.flat)[len(found) :]
        for ax in empty:
            ax.set_axis_off()
        handles, labels = axes.flat[0].get_legend_handles_labels()
        if empty:
            empty[0].legend(handles, labels, loc="center")
        else:
            legend_below(figure, axes.flat)
        figure.suptitle("CPU time of a training step while one size grows")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)


def draw_accuracy(report: dict[str, Any], path: Path) -> None:
    """Error on the test images against seconds of training."""
    with style():
        figure = new_figure(height=3.8)
        ax = figure.subplots()
        ends, colours = [], []
        every_second, every_error = [], [1.0]
        for name, run in report["runs"].items():
            label, colour, marker = RUN_LOOKS[name]
            seconds = [point["seconds"] for point in run["history"]]
            errors = [100 * point["error"] for point in run["history"]]
            ax.plot(seconds, errors, color=colour, marker=marker, ms=4, lw=1.4, label=label)
            ends.append((seconds[-1], errors[-1]))
            colours.append(colour)
            every_second += seconds
            every_error += errors
        log_scale(ax, "x", every_second)
        log_scale(ax, "y", every_error)
        ax.set_ylim(min(every_error) / 1.6, max(every_error) * 1.1)
        ax.axhline(1, color="0.4", lw=0.8, ls="--")
        ax.set(xlabel="seconds of training steps", ylabel="error on the test images (%)")
        legend_below(figure, [ax], columns=4)
        ax.set_title("training until 1 % of the test images are wrong (dashed)")
        label_points(ax, ends, [f"{second:,.0f} s" for second, _ in ends], colours)
        figure.savefig(path)
