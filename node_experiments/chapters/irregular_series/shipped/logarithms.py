"""Logarithms of table columns that range over orders of magnitude."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

__all__ = ["raw_name", "with_logarithms"]


def with_logarithms(frame: pd.DataFrame, names: Collection[str]) -> pd.DataFrame:
    """Replace the columns with these names by their natural logarithms, called `log <name>`.

    Values that are not positive become missing.
    """
    found = frame.columns.intersection(list(names))
    logs = np.log(frame[found].where(frame[found] > 0))
    return frame.assign(**logs).rename(columns={name: f"log {name}" for name in found})


def raw_name(name: str, names: Collection[str]) -> str:
    """Name of the original column of one that `with_logarithms` may have renamed.

    >>> raw_name("log lactate", ["lactate"]), raw_name("log book", ["lactate"])
    ('lactate', 'log book')
    """
    raw = name.removeprefix("log ")
    return raw if raw in names else name
