"""Writes the generated tables of the README: results at a glance, speed, and the gallery.

python scripts/readme_front.py
"""

import json
import re
from collections.abc import Callable

from documents import ROOT

from node_experiments.cli.report import TABLES, resolve
from node_experiments.reports.table import ReportTable
from node_experiments.runs import load_runs

REFERENCE = ROOT / "outputs" / "reference"
RESULTS = "outputs/reference/README.md"
BLOCK = re.compile(r"<!-- front: (\w+) -->\n.*?<!-- /front -->", re.DOTALL)

# Sections of the page of results.
TABLE_1 = "results-table-1-of-the-paper"
FIGURES_1_3 = "figures-1-and-3-of-the-paper-and-a-question-of-its-critics"
TABLE_2 = "irregular-time-series-table-2-of-the-paper"
FIGURE_3 = "node-report figure3 --reference"
FLOWS = "continuous-normalizing-flows-figures-4-and-5-of-the-paper"
REAL = "real-irregular-series-rubanova-chen--duvenaud-2019"

# The picture of each run of the gallery, its command, and what it shows.
GALLERY = {
    "fluid_control/figures/smoke.gif": "a force, found through the solve, shapes smoke",
    "bouncing_ball/figures/training.gif": "gravity, learned through times of bounces",
    "pendulum/figures/swing_up.gif": "learned dynamics, and a plan through them",
    "learn_physics/figures/training.gif": "acceleration and bounce as networks",
    "stiff_kinetics/figures/kinetics.png": "rate constants through an implicit solver",
    "lotka_volterra_hare_lynx/figures/populations.png": "fitted to 14 years, 7 extrapolated",
    "two_moons_flow_matching/figures/flow.gif": "flow matching from noise to data",
    "anode_spheres/flows.png": "what an ODE cannot do without augmentation",
}
COLUMNS = 4

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


def report(name: str, folder: str | None = None) -> ReportTable:
    """A table of `node-report`, of the committed runs."""
    return resolve(TABLES[name])(load_runs(REFERENCE / (folder or name)))


def cells(table: ReportTable) -> dict[str, dict[str, str]]:
    """Texts by row and column; a row's name is its first cell, with the one above for `paper`."""
    columns, found, above = list(table.frame.columns), {}, ""
    for row in table.texts():
        name = f"paper: {above}" if row[0] == "paper" else row[0]
        found[name] = dict(zip(columns, row, strict=True))
        above = row[0]
    return found


def verdicts(table: ReportTable) -> list[str]:
    """The words after the colon of each bold claim of Figure 3."""
    return [re.search(r": ([^:]*?)\.\*\*", note)[1] for note in table.notes]  # type: ignore[index]


def glance() -> str:
    """One row for each table and figure of the paper."""
    one, two, hopper = (
        cells(report("table1")),
        cells(report("table2")),
        cells(report("table3", "hopper_interpolation")),
    )
    nets = ["ResNet, 6 blocks", "RK-Net, dopri5, backprop", "ODE-Net, dopri5, adjoint"]

    def triple(column: str, paper: str = "") -> str:
        return ", ".join(one[f"{paper}{net}"][column] for net in nets)

    def across(row: dict[str, str]) -> str:
        return ", ".join(list(row.values())[1:])

    error, memory, third = "test error, %", "memory", report("figure3")
    a, b, c, d = verdicts(third)
    a_powers = " and ".join(re.findall(r"to the power ([\d.]+\d)", third.notes[0]))
    b_power = " and ".join(re.findall(r"(?:dopri5|Adams) ([\d.]+\d) \(", third.notes[1]))
    c_ratio = " and ".join(re.findall(r"(?:dopri5|Adams) ([\d.]+\d) \(", third.notes[2]))
    d_growth = " to ".join(re.findall(r"([\d.]+) (?:per solve )?in epoch", third.notes[3])[:2])
    lower = re.search(r"lower loss in (\d+ of \d+) cells", " ".join(report("figure4").notes))
    moons = {row[1]: row[5] for row in report("figure5").texts() if row[0] == "two_moons"}
    events = json.loads((REFERENCE / "poisson" / "result.json").read_text())["metrics"]
    nats = {key: -events[f"held_out_nll{key}/test"] for key in ("", "_true", "_constant")}
    gained = (nats[""] - nats["_constant"]) / (nats["_true"] - nats["_constant"])
    outcomes = re.findall(r"this (holds in part|holds|does not hold)", report("table2").notes[0])
    gap = max(abs(float(one[n][error]) - float(one[f"paper: {n}"][error])) for n in nets)
    (seeds,) = {one[net]["runs"] for net in nets}
    block = one["ResNet, 1 block"][error]
    rubanova = ("latent ODE, ODE encoder", "ODE-RNN")
    latent, rnn = "latent ODE", "RNN with time gaps, in steps of the mean gap"
    assert lower
    rows = [
        (
            "Table 1",
            "test error in %: ResNet, RK-Net, ODE-Net",
            triple(error, "paper: "),
            triple(error),
            f"within {gap:.2f} points, {seeds}; one residual block has {block}",
            "node-run sweep=table1",
            TABLE_1,
        ),
        (
            "",
            "memory in depth: ResNet, RK-Net, ODE-Net",
            triple(memory, "paper: "),
            triple(memory),
            "holds",
            "node-report table1 --reference",
            TABLE_1,
        ),
        (
            "Figure 1",
            "residual network beside ODE network",
            "drawing",
            "drawn from a run",
            "",
            "node-run experiment=figure1",
            FIGURES_1_3,
        ),
        (
            "Figure 3a",
            "tolerance controls the error",
            "yes",
            f"error as tolerance to the power {a_powers}",
            a,
            FIGURE_3,
            FIGURES_1_3,
        ),
        (
            "Figure 3b",
            "time is proportional to NFE",
            "yes",
            f"NFE to the power {b_power}",
            b,
            FIGURE_3,
            FIGURES_1_3,
        ),
        ("Figure 3c", "backward NFE over forward NFE", "0.5", c_ratio, c, FIGURE_3, FIGURES_1_3),
        ("Figure 3d", "NFE grow with training", "yes", d_growth, d, FIGURE_3, FIGURES_1_3),
        (
            "Table 2",
            "latent ODE, RMSE at 30, 50, 100 points",
            across(two["paper: latent ODE"]),
            across(two[latent]),
            f"{outcomes[0]} against RNNs from target to target, {outcomes[1]} in mean steps",
            "node-run sweep=table2",
            TABLE_2,
        ),
        (
            "",
            "RNN with time gaps, RMSE",
            across(two["paper: RNN"]),
            across(two[rnn]),
            "in steps of the mean gap; the paper does not say how it forecast",
            "node-report table2 --reference",
            TABLE_2,
        ),
        (
            "Figure 4",
            "CNF has a lower loss than NF",
            "generally",
            f"in {lower[1]} cells",
            "holds in part",
            "node-run sweep=figure4",
            FLOWS,
        ),
        (
            "Figure 5",
            "two moons, log-likelihood: CNF, NF",
            "NF struggles",
            f"{moons['CNF']}, {moons['NF']}",
            "no difference seen",
            "node-run sweep=figure5",
            FLOWS,
        ),
        (
            "Figures 6, 8, 9, 10",
            "latent trajectories, extrapolation",
            "pictures",
            "pictures",
            "",
            "node-run experiment=spirals_latent_ode",
            TABLE_2,
        ),
        (
            "Figure 7",
            "Poisson process: nats inferred, true, constant rate",
            "picture",
            ", ".join(f"{nats[key]:.2f}" for key in nats),
            f"{gained:.0%} of what there is to gain",
            "node-run experiment=poisson_latent_ode",
            TABLE_2,
        ),
        (
            "Rubanova et al., Table 3",
            "Hopper, MSE x 100, 10 % seen: latent ODE, ODE-RNN",
            ", ".join(hopper[f"published: {name}"]["10%"] for name in rubanova),
            ", ".join(hopper[name]["10%"] for name in rubanova),
            "order not decided: one seed",
            "node-run sweep=hopper_interpolation",
            REAL,
        ),
    ]
    lines = [
        "| of the paper | what | paper | ours | verdict | command |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for item, what, paper, ours, verdict, command, anchor in rows:
        link = f"[{item}]({RESULTS}#{anchor})" if item else ""
        lines.append(f"| {link} | {what} | {paper} | {ours} | {verdict} | `{command}` |")
    return "\n".join(lines)


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
            "exact gradient. "
            f"Compiled diffrax wins on a small CNF ({compiled:.2g} ms "
            f"against {small['backprop']:.2g}).",
        ]
    )


def gallery() -> str:
    """A grid of the pictures that are there, each with its command."""
    there = [path for path in GALLERY if (REFERENCE / "gallery" / path).is_file()]
    lines = ["|" + " |" * COLUMNS, "|" + " --- |" * COLUMNS]
    for start in range(0, len(there), COLUMNS):
        row = there[start : start + COLUMNS]
        texts = [
            f'<img src="outputs/reference/gallery/{path}" width="190" alt="{GALLERY[path]}"><br>'
            f"{GALLERY[path]}<br>`experiment={path.partition('/')[0]}`"
            for path in row
        ] + [""] * (COLUMNS - len(row))
        lines.append(f"| {' | '.join(texts)} |")
    return "\n".join(lines)


SECTIONS: dict[str, Callable[[], str]] = {"glance": glance, "speed": speed, "gallery": gallery}


def section(name: str) -> str:
    """The block of the README between its markers."""
    return f"<!-- front: {name} -->\n{SECTIONS[name]()}\n<!-- /front -->"


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(BLOCK.sub(lambda match: section(match[1]), readme.read_text()))
