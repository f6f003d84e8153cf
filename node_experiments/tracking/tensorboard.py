"""Logger to TensorBoard: scalars, hyperparameters, texts, images, and charts of related tags."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from .loggers import TrackedRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TensorBoard"]

# The Time Series page sorts its groups by name: the prefix puts these last.
LAST = {"diagnostics/": "z_diagnostics/", "figures/": "z_figures/"}
WRITTEN_NAME = re.compile(r"(events\.out\.tfevents\.)([0-9]+)(\..*)")  # with seconds since 1970


class TensorBoard:
    """Writes one event file into the run folder; see `Logger`."""

    def __init__(self, run: TrackedRun) -> None:
        # What a process wrote here without reaching a checkpoint is void too.
        purge = 0 if run.valid_until is None else run.valid_until + 1
        put_earlier_files_first(run.folder)
        self._writer = SummaryWriter(str(run.folder), purge_step=purge)
        if run.valid_until is None:
            self._describe(run)

    def _describe(self, run: TrackedRun) -> None:
        # Tags in this event file, instead of the sub-run that add_hparams makes. The experiment
        # summary is left out: TensorBoard would apply that of one run to all runs, whose settings
        # differ; without it, TensorBoard finds the settings that differ from the runs themselves.
        _, start, end = hparams(dict(run.hyperparameters), {})
        events = self._writer._get_file_writer()
        for summary in (start, end):
            events.add_summary(summary)
        for name, text in run.texts.items():
            self._writer.add_text(name, fenced(text), 0)
        self._writer.add_custom_scalars(chart_layout(run.metric, run.solves))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for tag, value in values.items():
            self._writer.add_scalar(grouped(tag), value, step)

    def figure(self, name: str, figure: Figure, step: int) -> None:
        self._writer.add_figure(grouped(name), figure, step, close=False)

    def flush(self) -> None:
        self._writer.flush()

    def close(self, status: str) -> None:
        self._writer.close()


def grouped(tag: str) -> str:
    """The tag under which the Time Series page shows a number or a figure.

    >>> grouped("diagnostics/kl/train"), grouped("loss/train")
    ('z_diagnostics/kl/train', 'loss/train')
    """
    for group, last in LAST.items():
        if tag.startswith(group):
            return f"{last}{tag.removeprefix(group)}"
    return tag


def fenced(text: str) -> str:
    """Text as a Markdown code block, without empty lines."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(["```", *lines, "```"])


def put_earlier_files_first(folder: Path) -> None:
    """Rename event files whose names are in the future because a clock was set back.

    TensorBoard reads the files of a run in the order of the times in their names, and a later file
    may declare earlier points void. Files with other names, such as a user's copy, are left alone.
    """
    following = int(time.time())
    for path in sorted(folder.glob("events.out.tfevents.*"), reverse=True):
        name = WRITTEN_NAME.fullmatch(path.name)
        if name is not None:
            following = min(int(name[2]), following - 1)
            path.rename(path.with_name(f"{name[1]}{following:010d}{name[3]}"))


def chart_layout(metric: str, solves: bool) -> dict[str, dict[str, list[Any]]]:
    """The charts of the custom scalars page: tags of the same unit and scale share a chart."""

    def chart(*tags: str) -> list[Any]:
        return ["Multiline", [f"^{tag}$" for tag in tags]]

    solver = {
        "function evaluations per solve": chart("nfe/forward", "nfe/backward"),
        "steps per solve": chart("solver/accepted", "solver/rejected"),
    }
    return {
        "learning": {
            "loss": chart("loss/train", "loss/validation", "loss/test"),
            metric: chart(f"{metric}/train", f"{metric}/validation", f"{metric}/test"),
        },
        **({"solver": solver} if solves else {}),
        "cost": {
            "saved for the backward pass, MB": chart("memory/saved_mb"),
            "peak memory, MB": chart("memory/peak_mb"),
            "seconds per step": chart("time/step_seconds", "time/data_seconds"),
        },
    }
