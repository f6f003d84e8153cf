"""Run folders as a training leaves them, and reports of them as text."""

import json

import yaml

from node_experiments.reports.render import FORMATS
from node_experiments.runs import load_runs


def write_run(folder, config, metrics, best_by=None, epoch=1, **result):
    """A completed training, or what `result` says that it was.

    Args:
        config: Settings by group.
        metrics: Test metrics of the last epoch, by name.
        best_by: The tag by which that epoch was also the best on validation data.
        epoch: The last epoch.
    """
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    tags = {f"{name}/test": value for name, value in metrics.items()}
    tags |= {"epoch": epoch, "nfe/forward": 40.0}
    best = {"by": best_by, **tags} if best_by else None
    content = {"status": "completed", "mode": "train", "protocol": "quick", "metrics": tags}
    (folder / "result.json").write_text(json.dumps({**content, "best": best, **result}))


def markdown(report, folder):
    """What a report says of the runs below a folder."""
    return FORMATS["md"](report(load_runs(folder)))
