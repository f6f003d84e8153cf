"""Visits of patients with primary biliary cirrhosis (Murtaugh et al. 1994)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
import torch

from ....data.table_file import TableFile
from ..csv_series import table_data
from ..forecast_data import ForecastData
from ..table_cells import numbers_of
from ..user_table import table_format
from . import PBCSeqConfig
from .carried_forward import carried_errors
from .logarithms import with_logarithms
from .package_files import own_or_shipped

__all__ = ["pbcseq_data"]

SKEWED = ("bili", "chol", "alk.phos", "ast", "platelet", "protime")


def pbcseq_data(
    settings: PBCSeqConfig,
    seed: int = 0,
    device: torch.device | None = None,
    learned: dict[str, Any] | None = None,
) -> ForecastData:
    """The visits of all patients, as `csv_series.csv_data` reads them.

    Laboratory values that range over orders of magnitude are logarithms.

    Raises:
        DataError: As there.
    """
    table, fingerprint = own_or_shipped(settings, "pbcseq.csv.gz")
    form, columns = table_format(settings), settings.value_columns or []
    frame = pd.DataFrame({name: numbers_of(table, name, form) for name in columns})
    frame = with_logarithms(frame, SKEWED)
    rows = table.rows.drop(columns=columns).join(frame)
    table = TableFile(table.source, rows, table.decimal, table.lines)
    settings = replace(settings, value_columns=list(frame.columns))
    data = table_data(table, fingerprint, settings, seed, device, learned)
    data.measures = partial(carried_errors, groups={"all": range(data.dim)})
    return data
