"""Writes the README's sections on section 3 of the paper from the reference runs.

python scripts/readme_results.py                        # the sections alone
python scripts/readme_results.py --take figure3 RUN     # first keep a run of mode=figure3
python scripts/readme_results.py --take solver_transfer SWEEP  # or all runs of an -m mode=eval
python scripts/readme_results.py --take figure1 RUN     # or a run of experiment=figure1
"""

import argparse
import re
import shutil
from pathlib import Path

from node_experiments.reports import figure3
from node_experiments.reports.runs import find_runs
from node_experiments.reports.solver_transfer import solver_transfer
from node_experiments.reports.table1 import table1

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "outputs" / "reference"
BLOCK = re.compile(
    r"<!-- results: (table1|figure1|figure3|solver_transfer) -->\n.*?<!-- /results -->", re.DOTALL
)
CAPTIONS = {
    "figure1": "Trajectories of a residual network and of an ODE network, with their evaluations",
    "figure3": "Error, time, backward evaluations and evaluations while training",
}
KEPT = ("config.yaml", "result.json", "run_info.json", "metrics.jsonl", "figure3.json")


def take(name: str, folder: Path) -> None:
    """Copy what reports read of the runs below a folder, and the figure that belongs to them."""
    target = REFERENCE / name
    runs = [run for run in find_runs(folder) if run.status == "completed"]
    for number, run in enumerate(runs):
        place = target if name.startswith("figure") else target / f"{number:02d}"
        place.mkdir(parents=True, exist_ok=True)
        # Of many evaluations, no more than the table reads.
        for kept in KEPT if name.startswith("figure") else KEPT[:2]:
            if (run.folder / kept).is_file():
                shutil.copyfile(run.folder / kept, place / kept)
    if name == "figure1":
        shutil.copyfile(runs[0].folder / "figures" / "figure1.png", target / "figure1.png")
    if name == "figure3":
        figure3.panels(find_runs(target), "").savefig(target / "figure3.png")


def section(name: str, reference: Path = REFERENCE) -> str:
    """The block of the README between its markers; empty where nothing was run yet."""
    runs = reference / name
    text = ""
    if name == "table1":
        text = table1(runs)
    elif runs.is_dir() and name == "solver_transfer":
        text = solver_transfer(runs)
    elif runs.is_dir():
        text = f"![{CAPTIONS[name]}](outputs/reference/{name}/{name}.png)\n"
        if name == "figure3":
            text = f"{figure3.figure3(runs)}\n{text}"
    return f"<!-- results: {name} -->\n{text}<!-- /results -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--take", nargs=2, metavar=("NAME", "FOLDER"), help="runs to keep")
    asked = parser.parse_args()
    if asked.take is not None:
        take(asked.take[0], Path(asked.take[1]))
    readme = ROOT / "README.md"
    readme.write_text(BLOCK.sub(lambda match: section(match[1]), readme.read_text()))


if __name__ == "__main__":
    main()
