"""Writes the generated tables of the README: results at a glance, speed, and the gallery.

python scripts/readme_front.py
"""

import json
import re
from collections.abc import Callable

from documents import ROOT
from glance import glance
from performance.milliseconds import TRAINING, conditions, fastest_methods, table

REFERENCE = ROOT / "outputs" / "reference"
BLOCK = re.compile(r"<!-- front: (\w+) -->\n.*?<!-- /front -->", re.DOTALL)

# The picture of each run of the gallery, its command, and what it shows.
GALLERY = {
    "fluid_control/figures/smoke.gif": "smoke shaped by a force, found through the solve",
    "bouncing_ball/figures/training.gif": "gravity, learned from the times of bounces",
    "pendulum/figures/swing_up.gif": "learned dynamics, and a swing-up planned with them",
    "learn_physics/figures/training.gif": "acceleration and bounce, learned as networks",
    "stiff_kinetics/figures/kinetics.png": "rate constants, learned through an implicit solver",
    "lotka_volterra_hare_lynx/figures/populations.png": "14 years fitted, 7 extrapolated",
    "two_moons_flow_matching/figures/flow.gif": "flow matching from noise to data",
    "mnist_flow_matching/figures/samples.gif": "digits from noise, by flow matching",
    "anode_spheres/flows.png": "what an ODE cannot do without augmentation",
    "anode_mnist/courses.png": "an ODE on pixels, plain and augmented",
    "two_moons_flow_matching/figures/solver_errors.png": "the cost of a log-likelihood, by solver",
    "flow_matching/densities.png": "flow matching on eight sets of points",
}
# Where the folder is not the experiment.
COMMANDS = {"flow_matching": "two_moons_flow_matching dataset=pinwheel"}
COLUMNS, WIDTH = 3, 250

# The rows of the table of speed.
SPEED = ("mnist", "latent", "rk4", "ode_rnn", "cnf", "small_cnf")


def speed() -> str:
    """Milliseconds of forward and backward pass, of ours and of every peer that can do it."""
    report = json.loads((REFERENCE / "training_speed" / "training_speed.json").read_text())
    lines = [next(line for line in TRAINING if line.row == row) for row in SPEED]
    how = f"{conditions(report)}. {fastest_methods(report, lines)}."
    return "\n".join([*table(report, lines, "ms per training step"), "", how])


def gallery() -> str:
    """A grid of the pictures that are there: a line of them, then a line of what they show."""
    there = [path for path in GALLERY if (REFERENCE / "gallery" / path).is_file()]
    lines = []
    for start in range(0, len(there), COLUMNS):
        row = there[start : start + COLUMNS]
        rest = [""] * (COLUMNS - len(row))
        pictures = [
            f'<img src="outputs/reference/gallery/{path}" width="{WIDTH}" alt="{GALLERY[path]}">'
            for path in row
        ]
        folders = [path.partition("/")[0] for path in row]
        words = [
            f"{GALLERY[path]}<br>`{COMMANDS.get(folder, folder)}`"
            for path, folder in zip(row, folders, strict=True)
        ]
        lines += [f"| {' | '.join(cells + rest)} |" for cells in (pictures, words)]
    return "\n".join([lines[0], "|" + " --- |" * COLUMNS, *lines[1:]])


SECTIONS: dict[str, Callable[[], str]] = {"glance": glance, "speed": speed, "gallery": gallery}


def section(name: str) -> str:
    """The block of the README between its markers."""
    return f"<!-- front: {name} -->\n{SECTIONS[name]()}\n<!-- /front -->"


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(BLOCK.sub(lambda match: section(match[1]), readme.read_text()))
