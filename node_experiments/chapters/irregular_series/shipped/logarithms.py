"""Columns of a table that range over orders of magnitude, as their logarithms."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

__all__ = ["raw_name", "with_logarithms"]


def with_logarithms(frame: pd.DataFrame, names: Collection[str]) -> pd.DataFrame:
    """The columns with these names as natural logarithms, called `log <name>`.

    A value that is not positive has none, and counts as not observed.
    """
    found = frame.columns.intersection(list(names))
    logs = np.log(frame[found].where(frame[found] > 0))
    return frame.assign(**logs).rename(columns={name: f"log {name}" for name in found})


def raw_name(name: str, names: Collection[str]) -> str:
    """The column of which `with_logarithms` makes the one of this name.

    >>> raw_name("log lactate", ["lactate"]), raw_name("log book", ["lactate"])
    ('lactate', 'log book')
    """
    raw = name.removeprefix("log ")
    return raw if raw in names else name
