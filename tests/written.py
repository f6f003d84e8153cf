"""Reports of run directories, as text."""

from node_experiments.reports.render import FORMATS
from node_experiments.runs import load_runs


def markdown(report, folder):
    """What a report says of the runs below a folder."""
    return FORMATS["md"](report(load_runs(folder)))
