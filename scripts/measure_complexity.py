"""Memory and time of feature blocks against depth: O(L), O(L~) and O(1) of Table 1, measured.

    python scripts/measure_complexity.py --out outputs/reference/table1/complexity.json

Residual and reversible networks of 1 to 24 blocks, and an ODE block whose tolerance is lowered,
by three gradient methods, on the state that the MNIST networks have behind their stem. Measures
what autograd keeps between the passes (saved-tensor hooks, the same on every device), evaluations,
and the processor time of forward and backward pass on one thread (median), which does not count
other work on the machine. The report fits the exponents.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from measured_on import machine
from torch import Tensor, nn

from node_experiments.chapters.image_classification.networks import ConvVectorField
from node_experiments.chapters.image_classification.ode_block import ODEBlock
from node_experiments.chapters.image_classification.residual_blocks import ResidualBlock
from node_experiments.chapters.image_classification.revnet import (
    ReversibleBlock,
    ReversibleSequence,
)
from node_experiments.files import write_atomically
from node_experiments.ode import Adjoint, Backprop, Discrete, Solver
from node_experiments.training.memory import SavedBytes

DEPTHS = (1, 2, 3, 4, 6, 9, 12, 18, 24)
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


def measure(
    state: Tensor,
    repetitions: int,
    depths: Sequence[int] = DEPTHS,
    tolerances: Sequence[float] = TOLERANCES,
) -> dict[str, dict[str, list[Any]]]:
    """Measurements of each network by name; a list holds one number for each depth.

    Args:
        state: Input of the blocks, `(batch, channels, height, width)`.
    """
    channels = state.shape[1]
    networks: dict[str, dict[str, list[Any]]] = {
        "resnet": {"blocks": list(depths)},
        "revnet": {"blocks": list(depths)},
    }
    for depth in depths:
        residual = nn.Sequential(*(ResidualBlock(channels) for _ in range(depth)))
        add(networks["resnet"], residual, state, repetitions)
        steps = [ReversibleBlock.residual(channels) for _ in range(depth)]
        add(networks["revnet"], ReversibleSequence(steps), state, repetitions)
    field = ConvVectorField(channels)
    for gradient in (Backprop(), Discrete(), Adjoint()):
        name = type(gradient).__name__.lower()
        networks[name] = {"tolerance": list(tolerances)}
        for tolerance in tolerances:
            block = ODEBlock(field, Solver("dopri5", rtol=tolerance, atol=tolerance), gradient)
            add(networks[name], block, state, repetitions)
    return networks


def add(found: dict[str, list[Any]], block: nn.Module, state: Tensor, repetitions: int) -> None:
    """Append what one block needs."""
    state = state.detach().requires_grad_()
    with SavedBytes(block) as counter:
        result = block(state)
    result.sum().backward()
    found.setdefault("saved_bytes", []).append(counter.total)
    if isinstance(block, ODEBlock):
        found.setdefault("evaluations", []).append(block.stats.forward.evaluations)
        found.setdefault("backward_evaluations", []).append(block.stats.backward.evaluations)
    seconds = []
    for _ in range(repetitions):
        started = time.process_time()
        block(state).sum().backward()
        seconds.append(time.process_time() - started)
    found.setdefault("seconds", []).append(statistics.median(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=32, help="images")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("complexity.json"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    state = torch.randn(asked.batch, 64, 6, 6)
    content = {
        "state": list(state.shape),
        "machine": machine(asked.repetitions),
        "networks": measure(state, asked.repetitions),
    }
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    text = (json.dumps(content, indent=1) + "\n").encode()
    write_atomically(asked.out, lambda file: file.write(text))
    print(asked.out)


if __name__ == "__main__":
    main()
