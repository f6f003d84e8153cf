"""Visits of patients with primary biliary cirrhosis (Murtaugh et al. 1994)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
import torch

from ....data.table_file import TableFile
from ..csv_series import table_data
from ..forecast_data import ForecastData
from ..simple_forecasts import simple_errors
from ..user_tables.table_cells import numbers_of
from ..user_tables.table_columns import require_column
from ..user_tables.user_table import table_format
from . import PBCSeqConfig
from .logarithms import raw_name, with_logarithms
from .package_files import own_or_shipped

__all__ = ["logarithms_of_visits", "pbcseq_data"]

SKEWED = ("bili", "chol", "alk.phos", "ast", "platelet", "protime")


def pbcseq_data(
    settings: PBCSeqConfig,
    seed: int = 0,
    device: torch.device | None = None,
    learned: dict[str, Any] | None = None,
) -> ForecastData:
    """The visits of all patients, processed as by `csv_series.csv_data`.

    Laboratory values that range over orders of magnitude are replaced by their logarithms.

    Raises:
        DataError: As there.
    """
    table, fingerprint = own_or_shipped(settings, "pbcseq.csv.gz")
    columns = settings.value_columns or []
    table = logarithms_of_visits(table, settings, columns)
    names = [f"log {name}" if name in SKEWED else name for name in columns]
    settings = replace(settings, value_columns=names)
    data = table_data(table, fingerprint, settings, seed, device, learned)
    data.measures = partial(
        simple_errors, groups={"all": range(data.dim)}, training_mean=data.mean
    )
    return data


def logarithms_of_visits(
    table: TableFile, settings: PBCSeqConfig, features: Sequence[str]
) -> TableFile:
    """Replace the columns in `SKEWED` by their logarithms.

    Args:
        features: Features to read, by their names in the table or in the model.

    Raises:
        DataError: A column is missing, or a cell is not a number.
    """
    form, columns = table_format(settings), [raw_name(name, SKEWED) for name in features]
    for name in columns:
        require_column(table, name, f"a table of visits needs {', '.join(columns)}")
    frame = pd.DataFrame({name: numbers_of(table, name, form) for name in columns})
    rows = table.rows.drop(columns=columns).assign(**with_logarithms(frame, SKEWED))
    return replace(table, rows=rows)
