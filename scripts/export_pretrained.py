"""Make a run into one that ships with the package, as `checkpoint=pretrained:<name>`.

    node-run experiment=mnist_odenet trainer.epochs=2
    python scripts/export_pretrained.py outputs/mnist_odenet/<run> mnist_odenet

Kept are the weights of the best epoch and what evaluation needs, without the state of the
optimiser, and the files that say how it was trained: configuration, command, commit, metrics.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import torch
import yaml

from node_experiments.runs.checkpoint_names import FOLDER
from node_experiments.training.checkpoints import load_checkpoint

KEPT = ("config", "data", "files", "model", "epoch")


def neutral(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration without the directories of the machine that it ran on."""
    return {**config, "outputs": "outputs", "places": {}}


def export(run: Path, name: str) -> Path:
    """Write the run folder that ships; returns its path."""
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "checkpoints").mkdir(parents=True)
    checkpoint = load_checkpoint(run)
    kept = {key: checkpoint[key] for key in KEPT if key in checkpoint}
    kept["config"] = neutral(kept["config"])
    kept["files"] = [{**file, "path": Path(file["path"]).name} for file in kept.get("files") or []]
    torch.save(kept, folder / "checkpoints" / "best.pt")
    config = yaml.safe_load((run / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(neutral(config), sort_keys=False))
    info = json.loads((run / "run_info.json").read_text())
    info["command"] = [word for word in info["command"] if not word.startswith("outputs=")]
    info["data"] = kept["files"]
    (folder / "run_info.json").write_text(json.dumps(info, indent=2) + "\n")
    for file in ("result.json", "metrics.jsonl"):
        shutil.copy(run / file, folder / file)
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("name", help="what it is to be called")
    arguments = parser.parse_args()
    written = export(arguments.run, arguments.name)
    size = sum(file.stat().st_size for file in written.rglob("*") if file.is_file())
    print(f"{written}: {size / 1e3:.0f} kB")
