"""Writes the generated tables of the README: results at a glance, speed, and the gallery.

python scripts/readme_front.py
"""

import json
import re
from collections.abc import Callable

from documents import ROOT
from glance import glance

REFERENCE = ROOT / "outputs" / "reference"
BLOCK = re.compile(r"<!-- front: (\w+) -->\n.*?<!-- /front -->", re.DOTALL)

# The picture of each run of the gallery, its command, and what it shows.
GALLERY = {
    "fluid_control/figures/smoke.gif": "a force, found through the solve, shapes smoke",
    "bouncing_ball/figures/training.gif": "gravity, learned through times of bounces",
    "pendulum/figures/swing_up.gif": "learned dynamics, and a plan through them",
    "learn_physics/figures/training.gif": "acceleration and bounce as networks",
    "stiff_kinetics/figures/kinetics.png": "rate constants through an implicit solver",
    "lotka_volterra_hare_lynx/figures/populations.png": "fitted to 14 years, 7 extrapolated",
    "two_moons_flow_matching/figures/flow.gif": "flow matching from noise to data",
    "mnist_flow_matching/figures/samples.gif": "digits from noise, by flow matching",
    "anode_spheres/flows.png": "what an ODE cannot do without augmentation",
    "anode_mnist/courses.png": "an ODE on pixels, plain and augmented",
    "two_moons_flow_matching/figures/solver_errors.png": "what a log-likelihood costs by solver",
    "flow_matching/densities.png": "flow matching on eight sets of points",
}
# Where the folder is not the experiment.
COMMANDS = {"flow_matching": "two_moons_flow_matching dataset=pinwheel"}
COLUMNS, WIDTH = 3, 250

# The rows of the table of speed, and who was measured.
SPEED = {
    "mnist": "MNIST ODE-Net, `dopri5`, batch 128",
    "mnist_bf16": "the same in bfloat16; peers in float32",
    "latent": "latent ODE's decoder, 100 outputs",
    "rk4": "the same, 99 fixed steps of `rk38`",
    "cnf": "planar CNF, 512 points",
    "ode_rnn": "ODE-RNN, 100 series",
}
EXACT = ("backprop", "discrete", "discrete, graphs kept", "backprop, bf16, dopri5")
PEERS = {
    "torchdiffeq": ("torchdiffeq backprop", "torchdiffeq backprop, rescaled gaps"),
    "torchdiffeq adjoint": ("torchdiffeq adjoint", "torchdiffeq adjoint, rescaled gaps"),
    "torchode": ("torchode backprop",),
    "diffrax, compiled": ("diffrax, compiled",),
}


def number(milliseconds: float) -> str:
    """Three digits, none after the point from 100 on."""
    return f"{milliseconds:.0f}" if milliseconds >= 100 else f"{milliseconds:.3g}"


def speed() -> str:
    """Milliseconds of forward and backward pass, of ours and of every peer that was measured."""
    data = json.loads((REFERENCE / "training_speed" / "training_speed.json").read_text())
    machine = data["machine"]
    lines = [
        f"| ms per training step | ours | ours, compiled | {' | '.join(PEERS)} |",
        f"| --- |{' ---: |' * (2 + len(PEERS))}",
    ]
    for row, work in SPEED.items():
        ms = {one["name"]: 1e3 * one["seconds"] for one in data["rows"][row]["results"]}
        ours = min(ms[name] for name in EXACT if name in ms)
        found = [ours, ms.get("backprop, compiled")]
        found += [next((ms[n] for n in names if n in ms), None) for names in PEERS.values()]
        texts = ["-" if value is None else number(value) for value in found]
        lines.append(f"| {work} | {' | '.join(texts)} |")
    gradients = json.loads((REFERENCE / "gradients" / "gradients.json").read_text())
    small = {one["way"]: 1e3 * one["seconds"] for one in gradients["results"]["2-d CNF"]}
    compiled = small["diffrax recursive checkpoint"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return "\n".join(
        [
            *lines,
            "",
            f"{machine['processor']}, one thread, medians of {machine['repetitions']}, side "
            f"by side at tolerance 1e-3; {versions}; - was not measured. Ours is the fastest "
            "exact gradient. The column compiled is of steps as they were compiled before whole "
            "solves were, and was not measured again. "
            f"Compiled diffrax wins on a small CNF ({compiled:.2g} ms "
            f"against {small['backprop']:.2g}).",
        ]
    )


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
