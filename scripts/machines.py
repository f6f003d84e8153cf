"""Which of the runs that a table counts ran on another machine than most."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]


def machines(runs: Sequence[Record]) -> str:
    """The sentence below a table of these runs; nothing where all are of one machine."""
    by_cpu: dict[str, list[Record]] = {}
    for run in runs:
        by_cpu.setdefault(processor(run), []).append(run)
    if len(by_cpu) < 2:
        return ""
    most = max(by_cpu, key=lambda cpu: len(by_cpu[cpu]))
    everything = seeds_by_cell(runs)
    said = [
        f"{some(seeds_by_cell(others), everything)} ran on an {cpu}"
        for cpu, others in sorted(by_cpu.items())
        if cpu != most
    ]
    return f"Machines: {'; '.join(said)}; all others ran on an {most}."


def processor(run: Record) -> str:
    """The name of a run's processor, as short as people say it."""
    name = str(run.get("hardware.cpu", "unknown processor"))
    return name.replace("(R)", "").replace(" Processor", "")


def seeds_by_cell(runs: Iterable[Record]) -> dict[str, tuple[int, ...]]:
    """The seeds of each cell; a cell is named by the folders of its runs, without their seed."""
    runs = list(runs)
    found: dict[str, list[int]] = {}
    several = len({Path(run["directory"]).parent for run in runs}) > 1
    for run in runs:
        folder = Path(run["directory"])
        cell = re.sub(r"_seed\d+$", "", folder.name)
        if several and folder.parent.name.endswith(("_extrapolation", "_epochs")):
            cell = f"{folder.parent.name}/{cell}"  # several datasets or budgets have such cells
        found.setdefault(cell, []).append(int(run["seed"]))
    return {cell: tuple(sorted(seeds)) for cell, seeds in found.items()}


def some(part: Mapping[str, Sequence[int]], everything: Mapping[str, Sequence[int]]) -> str:
    """Some of all runs in words, cells with the same seeds together."""
    kinds: dict[str, list[str]] = {}
    for cell, seeds in sorted(part.items()):
        whole = len(seeds) == len(everything[cell]) > 1
        kinds.setdefault("all seeds" if whole else listed(seeds), []).append(cell)
    parts = []
    for seeds, cells in sorted(kinds.items()):
        of_all = len(cells) == len(everything)
        parts.append(f"{seeds} of {'all cells' if of_all else ', '.join(f'`{c}`' for c in cells)}")
    return "; ".join(parts)


def listed(seeds: Sequence[int]) -> str:
    """`seeds 0, 1 and 2`."""
    *first, last = map(str, seeds)
    return f"seeds {', '.join(first)} and {last}" if first else f"seed {last}"
