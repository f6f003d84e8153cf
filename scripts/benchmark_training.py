"""Training steps of neural ODEs beside torchdiffeq, torchode and diffrax on the same work.

    python scripts/benchmark_training.py                     # every row, 10 repetitions
    python scripts/benchmark_training.py --rows latent rk4 --repetitions 3 --out /tmp/speed
    python scripts/benchmark_training.py --mode scaling      # time against sizes
    python scripts/benchmark_training.py --mode profile      # operators of every row
    python scripts/benchmark_training.py --mode devices      # one process and two, a core each
    python scripts/benchmark_training.py --device cuda --out outputs/reference/gpu
    python scripts/benchmark_training.py --mode accuracy     # time until 1 % error on MNIST: hours
    python scripts/benchmark_training.py --mode accuracy --runs bosh3  # into the same file

All contenders of a row compute the same function on the same data with the same parameters, to
the same tolerance unless their name says otherwise; a step is a forward and a backward pass, or a
forward pass alone in the rows that say so. They
take turns, and the medians count. Errors are relative, against a tight solve in double precision.
Needs the extra `bench`; libraries that are not installed are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from measured_on import machine
from training_speed.accuracy import RUNS, measure_accuracy
from training_speed.devices import measure_devices
from training_speed.measure import measure, measure_field
from training_speed.overhead import measure_overhead, measure_start
from training_speed.picture import draw_accuracy, draw_rows, draw_scaling
from training_speed.profiles import measure_profiles, profile_tables
from training_speed.rows import ROWS
from training_speed.scaling import measure_scaling

from node_experiments.training.device import keep_freed_memory

# Of solvers alone.
ALONE = {
    "overhead": ("outside the vector field, a dopri5 step, state 32 x 64", measure_overhead),
    "start": ("a solve of one euler step, state 32 x 64", measure_start),
}
NAMES = (*ROWS, *ALONE)


def table(results: list[dict[str, Any]]) -> str:
    """The results of a row, for the terminal."""

    def cell(value: Any, form: str) -> str:
        return "" if value is None else format(value, form)

    lines = [
        "| | ms | processor ms | evaluations | backward | error | gradient error |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        cells = [
            result["name"],
            cell(1e3 * result["seconds"], ".4g"),
            cell(1e3 * result["processor_seconds"], ".4g"),
            cell(result["forward"], "d"),
            cell(result["backward"], "d"),
            cell(result["output_error"], ".1e"),
            cell(result["gradient_error"], ".1e"),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def benchmark(rows: list[str], repetitions: int, device: str, out: Path) -> None:
    path = out / "training_speed.json"
    # Rows that were measured before are kept, with the commit that they are of.
    kept = json.loads(path.read_text())["rows"] if path.is_file() else {}
    report: dict[str, Any] = {"machine": machine(repetitions), "rows": kept}
    if device != "cpu":
        report["machine"]["device"] = torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    for name in rows:
        if name in ALONE:
            title, measure_alone = ALONE[name]
            results = measure_alone(repetitions, threads)
            report["rows"][name] = {"title": title, "results": results}
        else:
            title = ROWS[name].title
            results = measure(ROWS[name], repetitions, threads, device)
            field = measure_field(ROWS[name].work(), repetitions, device)
            report["rows"][name] = {"title": title, "field_seconds": field, "results": results}
        report["rows"][name]["commit"] = report["machine"]["commit"]
        print(f"{title}\n\n{table(results)}\n", flush=True)
        write(report, path)
    draw_rows(report, out / "training_speed.png")


def train(names: list[str], out: Path) -> None:
    """Each run goes into the file of all when it has ended: they take hours."""
    path = out / "accuracy.json"
    for name, run in measure_accuracy(names):
        # Read again: another process may have added its run.
        report = json.loads(path.read_text()) if path.is_file() else {"runs": {}}
        report["runs"][name] = {"machine": machine(1), **run}
        write(report, path)
        draw_accuracy(report, out / "accuracy.png")


def write(content: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    modes = ("rows", "scaling", "profile", "devices", "accuracy")
    parser.add_argument("--mode", choices=modes, default="rows")
    parser.add_argument("--rows", nargs="+", choices=NAMES, default=list(NAMES), metavar="ROW")
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS), metavar="RUN")
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="of the rows: cpu, cuda, cuda:1")
    parser.add_argument("--out", type=Path, default=Path("outputs/reference/training_speed"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(asked.threads)
    pinned = asked.mode != "devices"  # whose processes have a core each
    if pinned and asked.device == "cpu" and hasattr(os, "sched_setaffinity"):
        # XLA takes every core that it may, whatever number of threads it is told.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-asked.threads :])
    # As the runner does: vanishing gradients are subnormal numbers, on which a CPU is slow, and
    # memory that is freed is needed again by the next step.
    torch.set_flush_denormal(True)
    keep_freed_memory()
    # What an earlier run compiled would hide how long a first step takes.
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp(prefix="compiled-")
    if asked.mode == "rows":
        benchmark(asked.rows, asked.repetitions, asked.device, asked.out)
        return
    if asked.mode == "accuracy":
        train(asked.runs, asked.out)
        return
    report: dict[str, Any] = {"machine": machine(asked.repetitions)}
    if asked.mode == "scaling":
        report["scaling"] = measure_scaling(asked.repetitions)
        draw_scaling(report, asked.out / "scaling.png")
    elif asked.mode == "devices":
        report["devices"] = measure_devices(asked.repetitions)
    else:
        report["profile"] = measure_profiles(asked.threads)
        (asked.out / "profile.md").write_text(profile_tables(report))
    write(report, asked.out / f"{asked.mode}.json")


if __name__ == "__main__":
    main()
