"""Writes the results table of the README from the reference runs that it shows.

python scripts/readme_results.py
"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "outputs" / "reference"
BLOCK = re.compile(r"<!-- results: quick -->\n.*?<!-- /results -->", re.DOTALL)

# Test error in percent as Table 1 of the paper has it, after training of unknown length.
PAPER = {
    "mnist_mlp": "1.60 (LeCun et al. 1998)",
    "mnist_stem_only": "-",
    "mnist_resnet": "0.41",
    "mnist_odenet": "0.42",
}
MODELS = {
    "mnist_mlp": "MLP, 300 hidden units",
    "mnist_stem_only": "stem and head alone",
    "mnist_resnet": "ResNet, 6 blocks",
    "mnist_odenet": "ODE-Net, dopri5, adjoint",
}


def fastest_step(name: str) -> float:
    """Seconds of a training step in the fastest epoch of a run."""
    lines = (REFERENCE / name / "metrics.jsonl").read_text().splitlines()
    return min(json.loads(line)["time/step_seconds"] for line in lines)


def table() -> str:
    """The block of the README between its markers, from the files of the runs."""
    lines = [
        "| `node-run experiment=` | model | test error, % | in the paper, % | parameters | "
        "evaluations a solve, forward + backward | saved for backward, MB | s a step |",
        "| --- | --- | --: | --: | --: | --: | --: | --: |",
    ]
    for name, paper in PAPER.items():
        run = json.loads((REFERENCE / name / "result.json").read_text())
        nfe = run["nfe"]
        evaluations = (
            "-" if nfe["forward"] is None else f"{nfe['forward']:.1f} + {nfe['backward']:.1f}"
        )
        error = 100 * (1 - run["metrics"]["accuracy/test"])
        cells = [
            f"`{name}`",
            MODELS[name],
            f"{error:.2f}",
            paper,
            f"{run['parameters']:,}",
            evaluations,
            f"{run['memory']['saved_bytes'] / 1e6:.1f}",
            f"{fastest_step(name):.3f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    run = json.loads((REFERENCE / "mnist_odenet" / "result.json").read_text())
    epochs, hardware = run["metrics"]["epoch"], run["hardware"]
    minutes = run["seconds"]["total"] / 60
    lines += [
        "",
        f"Protocol `quick`: {epochs} epochs of 55,000 images in batches of 128, one-cycle SGD, "
        f"the same for all four; seed {run['seed']}, one run each, so differences of a tenth of a "
        "percent mean nothing. The error is that of the weights after the last epoch on all "
        "10,000 test images, which chose nothing. The paper's numbers come from a longer training "
        "of unpublished length; the official code trains for 160 epochs (`protocol=paper`, not "
        f"run yet). Run on: {hardware['cpu']}, {hardware['threads']} cores, float32. The cores "
        "were shared with other work: the seconds are those of each run's fastest epoch, and the "
        f'ODE-Net took {minutes:.0f} minutes in all. "Saved" are the bytes that autograd keeps '
        "between the forward and the backward pass of one batch; for the ODE-Net they are those "
        "of the stem and the head.",
    ]
    return "\n".join(["<!-- results: quick -->", *lines, "<!-- /results -->"])


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(BLOCK.sub(lambda match: table(), readme.read_text()))
