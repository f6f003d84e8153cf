"""Writes the block on gradient methods from the benchmark's results.

python scripts/readme_gradients.py
"""

import json
import re
from typing import Any

from documents import ROOT, SOLVERS, linked_from

RESULTS = ROOT / "outputs" / "reference" / "gradients" / "gradients.json"
BLOCK = re.compile(r"<!-- gradients -->\n.*?<!-- /gradients -->", re.DOTALL)


def table() -> str:
    """The block between its markers."""
    report = json.loads(RESULTS.read_text())
    rows: dict[str, dict[str, Any]] = {
        work: {row["way"]: row for row in rows} for work, rows in report["results"].items()
    }

    def ms(way: str, work: str = "MNIST ODE-Net") -> str:
        seconds = rows[work][way]["seconds"]
        return f"{1e3 * seconds:.0f}" if seconds >= 0.1 else f"{1e3 * seconds:.1f}"

    def kept(way: str) -> str:
        return f"{rows['MNIST ODE-Net'][way]['saved_bytes'] / 1e6:.3g}"

    def error(way: str) -> str:
        return f"{rows['MNIST ODE-Net'][way]['gradient_error']:.0e}"

    latent, cnf, machine = "latent ODE", "2-d CNF", report["machine"]
    back = rows[latent]["adjoint"]["backward"], rows[latent]["torchdiffeq adjoint"]["backward"]
    lines = [
        f"- **`discrete`** first: exact for the steps that were taken, {kept('discrete')} MB kept "
        f"where `backprop` keeps {kept('backprop')} (MNIST ODE-Net, batch 128), "
        f"{ms('discrete')} ms against {ms('torchdiffeq backprop')} of torchdiffeq's "
        f"backpropagation and {ms('torchdiffeq adjoint')} of its adjoint; "
        f"`gradient.retain_graphs=true` takes {ms('discrete, graphs kept')} ms and keeps "
        f"{kept('discrete, graphs kept')} MB.",
        f"- **`backprop`** when memory is no matter ({ms('backprop')} ms; latent ODE "
        f"{ms('backprop', latent)} against torchdiffeq's {ms('torchdiffeq backprop', latent)}), "
        "for second derivatives, and for BatchNorm in training mode.",
        "- **`checkpoint`** for thousands of steps: the same gradient from at most "
        f"`gradient.checkpoints=N` states (two here: {kept('checkpoint, 2 states')} MB, "
        f"{ms('checkpoint, 2 states')} ms).",
        "- **`adjoint`** to reproduce the paper, and for memory that does not grow with the steps "
        f"({kept('adjoint')} MB, {ms('adjoint')} ms; between 99 close outputs {back[0]} "
        f"evaluations where torchdiffeq needs {back[1]}): its error is that of the tolerance "
        f"(here {error('adjoint')}, where `discrete` shows the error of the forward steps alone, "
        f"{error('discrete')}), and it warns when "
        "the state could not be solved backwards. **`interpolated`** does not solve the state "
        f"again, from stored interpolants ({kept('interpolated')} MB, {ms('interpolated')} ms).",
        "- **`reversible`** for constant memory and an exact gradient with a reversible method, "
        "also one derived from `dopri5` (here `reversible_bosh3`: "
        f"{kept('reversible')} MB, {ms('reversible')} ms); it warns when a step could not be "
        "undone accurately.",
        "",
        f"Processor time of forward and backward pass on {machine['threads']} thread (load "
        f"average of the machine {machine['load_average']:.1f}), median of "
        f"{machine['repetitions']} interleaved repetitions; every way's evaluations, memory and "
        "gradient error, with torchdiffeq and diffrax on the same work, in "
        "[outputs/reference/gradients](outputs/reference/gradients/gradients.md) "
        "(`python scripts/benchmark_gradients.py`). Compiled diffrax, whose repetitions are not "
        f"interleaved with the others, takes {ms('diffrax recursive checkpoint', latent)} ms for "
        f"the latent ODE and {ms('diffrax recursive checkpoint', cnf)} for the two-dimensional "
        f"CNF (`backprop`: {ms('backprop', cnf)}).",
    ]
    return "\n".join(["<!-- gradients -->", *lines, "<!-- /gradients -->"])


if __name__ == "__main__":
    text = linked_from(SOLVERS, table())
    SOLVERS.write_text(BLOCK.sub(lambda match: text, SOLVERS.read_text()))
