"""Test errors by feature, printed and written to the folder of a run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from ..files import write_atomically

__all__ = ["report_errors", "shown_errors"]

ERRORS = "errors.csv"
SHOWN = 12  # features on the terminal
HARDLY = 0.05  # smallest advantage over simple forecasts that is not pointed out

log = logging.getLogger(__name__)


def report_errors(task: Any, model: Any, data: Any, folder: Path) -> None:
    """Print the error table of a task, if its data have one, and write it to `errors.csv`."""
    table = task.error_table(model, data)
    if table is not None:
        write_atomically(folder / ERRORS, table.to_csv)
        log.info(shown_errors(table))


def shown_errors(table: pd.DataFrame) -> str:
    """The table as text, and the features for which the model is no better than simple forecasts.

    >>> table = pd.DataFrame(
    ...     {"model": [3.5621, 0.31], "last_value": [6.9, 0.3], "training_mean": [9.0, 0.5],
    ...      "values": [222, 180]},
    ...     index=pd.Index(["hr", "temp"], name="feature"),
    ... )
    >>> print(shown_errors(table))
    RMSE on test values that the model did not see, in the units of the data:
             model  last_value  training_mean  values
    feature
    hr       3.562         6.9              9     222
    temp      0.31         0.3            0.5     180
    no better than a simple forecast: temp
    """
    number = "{:.4g}".format
    shown = table.head(SHOWN)
    text = "\n".join(line.rstrip() for line in shown.to_string(float_format=number).splitlines())
    lines = ["RMSE on test values that the model did not see, in the units of the data:", text]
    if len(table) > len(shown):
        lines.append(f"... and {len(table) - len(shown)} more features")
    simple = table.drop(columns=["model", "values"]).min(axis=1)
    worse = ~(table["model"] < simple)  # NaN is not better
    hardly = ~worse & (table["model"] > (1 - HARDLY) * simple)
    for chosen, what in ((worse, "no better"), (hardly, f"less than {HARDLY:.0%} better")):
        names = ", ".join(repr(x) if "," in x else x for x in map(str, table.index[chosen]))
        if names:
            lines.append(f"{what} than a simple forecast: {names}")
    return "\n".join(lines)
