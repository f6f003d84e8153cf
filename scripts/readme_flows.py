"""Writes the section of the results on Figures 4 and 5 from the reference runs that it shows.

python scripts/readme_flows.py                        # the section alone
python scripts/readme_flows.py --from outputs/sweeps  # also take runs from these sweeps, and draw
"""

import argparse
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas
from documents import RESULTS, ROOT, linked_from
from machines import machines

from node_experiments.chapters.normalizing_flows import figure4, figure5
from node_experiments.chapters.normalizing_flows.flow_runs import (
    Record,
    group_by_dataset,
    group_by_target,
)
from node_experiments.reports.render import FORMATS
from node_experiments.runs import load_runs

REFERENCE = ROOT / "outputs" / "reference"
BLOCK = re.compile(r"<!-- results: flows -->\n.*?<!-- /results -->", re.DOTALL)
PANELS = "panels.npz"  # of the first seed, which figures show
KEPT = ("config.yaml", "result.json", "metrics.jsonl", PANELS, "run_info.json")

INTRO = """\
A continuous flow carries a density from noise to data: log-density and state come from one solve
(theorem 1).
`planar_cnf` is the paper's model (planar units, a hypernetwork over time, gates) and `planar_nf`
its discrete baseline; `ffjord` and `hamiltonian_cnf` are further models. Each can be fitted to the
energies `u1` to `u4` (density matching) and to eight sets of points (maximum likelihood).

    node-run experiment=two_moons_planar_cnf          # minutes, with figures and a GIF
    node-run experiment=pinwheel_ffjord model.trace=hutchinson
    node-run sweep=figure4 && node-run sweep=figure5  # all cells
    node-report figure4 && node-report figure5        # the tables below"""


def take(sweeps: Path) -> None:
    """Copy what reports read of the runs of the two sweeps, and draw both figures."""
    runs = load_runs(sweeps)
    for target, cells in group_by_target(runs).items():
        for (model, units), seeds in cells.items():
            for run in seeds:
                copy(run, REFERENCE / "figure4" / f"{target}_{model}_{units}")
    for dataset, members in group_by_dataset(runs).items():
        for model, seeds in members.items():
            for run in seeds:
                folder = copy(run, REFERENCE / "figure5" / f"{dataset}_{model}")
                film = Path(run["directory"]) / "figures" / "flow.gif"
                if film.exists():
                    shutil.copyfile(film, folder / "flow.gif")
    draw()


def copy(run: Mapping[str, Any], folder: Path) -> Path:
    """The files of one run, into a folder of this name and, but for seed 0, of its seed."""
    if run["seed"]:
        folder = folder.with_name(f"{folder.name}_seed{run['seed']:g}")
    folder.mkdir(parents=True, exist_ok=True)
    for name in KEPT if not run["seed"] else (each for each in KEPT if each != PANELS):
        shutil.copyfile(Path(run["directory"]) / name, folder / name)
    return folder


def draw() -> None:
    """Both figures, from the files of the reference runs."""
    for name, figure in (
        ("figure4/figure4", figure4.panels),
        ("figure4/curves", figure4.curves),
        ("figure5/figure5", figure5.panels),
    ):
        runs = load_runs(REFERENCE / name.partition("/")[0])
        if len(runs):
            figure(runs, "").savefig(REFERENCE / f"{name}.png")


def section() -> str:
    """The block of the README between its markers; figures without runs are left out."""
    parts = [INTRO]
    runs = pandas.concat([load_runs(REFERENCE / name) for name in ("figure4", "figure5")])
    if len(runs):
        cpus = sorted(set(runs["hardware.cpu"]))
        parts.append(
            "Protocol `quick`: 1,000 steps of Adam for a CNF and 50,000 of RMSprop for an NF, 512 "
            f"samples each; on {' or '.join(cpus)}, one core, float32. The paper names neither "
            "its targets nor batch, rate, base and horizon; what we chose is marked in `configs/`."
        )
    if (REFERENCE / "figure4").is_dir():
        runs = load_runs(REFERENCE / "figure4")
        parts += [
            "### Figure 4: density matching",
            f"{seeds_of(runs['seed'])}; a tenth of the paper's steps for both.",
            FORMATS["md"](figure4.figure4(runs)).rstrip(),
            *of_machines(group_by_target(runs)),
            "![Targets, densities of both kinds of flow, final losses]"
            "(outputs/reference/figure4/figure4.png)",
            "![Losses against training steps](outputs/reference/figure4/curves.png)",
        ]
    if (REFERENCE / "figure5").is_dir():
        runs = load_runs(REFERENCE / "figure5")
        parts += [
            "### Figure 5: maximum likelihood",
            f"{seeds_of(runs['seed'])}; the paper does not say how many steps it took.",
            FORMATS["md"](figure5.figure5(runs)).rstrip(),
            *of_machines(group_by_dataset(runs)),
            "![Densities and samples on the way from noise to data]"
            "(outputs/reference/figure5/figure5.png)",
        ]
        parts += [
            f"![{path.parent.name}: samples and density on their way from noise]"
            f"({path.relative_to(ROOT).as_posix()})"
            for path in sorted((REFERENCE / "figure5").glob("*_cnf/flow.gif"))
        ]
    text = "\n\n".join(parts)
    return f"<!-- results: flows -->\n{text}\n<!-- /results -->"


def of_machines(found: Mapping[str, Mapping[Any, Sequence[Record]]]) -> list[str]:
    """The sentence on machines below a table of these runs, where it mixes some."""
    counted = [run for cells in found.values() for seeds in cells.values() for run in seeds]
    return [*filter(None, [machines(counted)])]


def seeds_of(column: Iterable[float]) -> str:
    """With which seeds runs were made."""
    seeds = sorted({int(seed) for seed in column})
    if len(seeds) == 1:
        return f"Seed {seeds[0]}, one run per cell"
    return f"Seeds {', '.join(map(str, seeds))}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--from", dest="sweeps", type=Path, help="folder of the sweeps")
    asked = parser.parse_args()
    if asked.sweeps is not None:
        take(asked.sweeps)
    text = linked_from(RESULTS, section())
    RESULTS.write_text(BLOCK.sub(lambda match: text, RESULTS.read_text()))


if __name__ == "__main__":
    main()
