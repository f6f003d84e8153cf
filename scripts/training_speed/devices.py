"""Time of a training step of the MNIST ODE-Net in one process and in two that share each batch."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["measure_devices"]

# Processes, and images of a batch in each of them.
CASES = {
    "1 x 128": (1, 128),
    "2 x 128": (2, 128),
    "1 x 64": (1, 64),
    "2 x 64": (2, 64),
    "1 x 16": (1, 16),
}
STEPS = 20


def measure_devices(repetitions: int) -> dict[str, Any]:
    """Seconds of a step of every case in the runner itself, and evaluations of a forward solve.

    Runs take turns; the first of two epochs is warm-up. Each process has one thread, and with two
    the mean of the gradients is taken during the backward pass, as DistributedDataParallel does.
    """
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CASES}
    for _ in range(repetitions):
        for name, (processes, images) in CASES.items():
            found[name].append(run(processes, processes * images))
    return {
        name: {
            "processes": CASES[name][0],
            "images_a_process": CASES[name][1],
            "parameters": runs[0]["parameters"],
            "seconds": statistics.median(each["time/step_seconds"] for each in runs),
            "forward": statistics.mean(each["nfe/forward"] for each in runs),
            "forward_of_slowest": statistics.mean(
                each.get("nfe/forward_max", each["nfe/forward"]) for each in runs
            ),
        }
        for name, runs in found.items()
    }


def run(processes: int, batch_size: int) -> dict[str, float]:
    """The metrics of the last epoch of a separate run."""
    with tempfile.TemporaryDirectory() as outputs:
        command = [
            *(sys.executable, "-m", "node_experiments"),
            *("experiment=mnist_odenet", "gradient=backprop", f"outputs={outputs}"),
            *(f"dataset.batch_size={batch_size}", f"dataset.train_size={STEPS * batch_size}"),
            # So that the network, and with it the number of evaluations, stays what it is.
            "optimizer.lr=1e-6",
            *("dataset.validation_size=0", "dataset.test_size=128"),
            *(f"trainer.devices={processes}", "trainer.threads=1"),
            *("trainer.epochs=2", f"trainer.log_every={STEPS}", "trainer.progress=false"),
        ]
        subprocess.run(command, check=True, capture_output=True)
        (path,) = Path(outputs).rglob("result.json")
        result = json.loads(path.read_text())
    print(f"{processes} x {batch_size // processes}: {result['metrics']}", flush=True)
    return {"parameters": result["parameters"], **result["metrics"]}
