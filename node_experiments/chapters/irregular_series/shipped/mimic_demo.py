"""Stays in intensive care: the MIMIC-IV demo in the CLIF format (ODbL 1.0, see `files/`)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from ....data.table_file import TableFile
from ..csv_series import table_data
from ..forecast_data import ForecastData
from ..table_cells import numbers_of
from ..table_columns import LEARNED, find_columns, require_column
from ..user_table import table_format
from . import MimicDemoConfig
from .carried_forward import carried_errors
from .logarithms import raw_name, with_logarithms
from .package_files import own_or_shipped

__all__ = ["PLAUSIBLE", "SKEWED", "VITAL_SIGNS", "first_hours", "mimic_demo_data"]

VITAL_SIGNS = ("heart_rate", "sbp", "dbp", "respiratory_rate", "spo2", "temp_c")

# What a body can give, in the units of the file; readings outside are slips of the keyboard.
PLAUSIBLE = {
    "heart_rate": (20, 250),
    "sbp": (30, 300),
    "dbp": (10, 200),
    "map": (15, 250),
    "respiratory_rate": (2, 80),
    "spo2": (40, 100),
    "temp_c": (25, 45),
    "weight_kg": (20, 400),
}

# Laboratory values that range over orders of magnitude, of which a model reads the logarithm.
SKEWED = (
    "alkaline_phosphatase", "alt", "ast", "bilirubin_total", "bun", "creatinine", "glucose_serum",
    "inr", "lactate", "pco2_arterial", "phosphate", "platelet_count", "po2_arterial", "pt", "ptt",
    "wbc",
)  # fmt: skip

log = logging.getLogger(__name__)


def mimic_demo_data(
    settings: MimicDemoConfig,
    seed: int = 0,
    device: torch.device | None = None,
    learned: dict[str, Any] | None = None,
) -> ForecastData:
    """The first hours of all stays, as `csv_series.csv_data` reads them.

    Raises:
        DataError: As there.
    """
    table, fingerprint = own_or_shipped(settings, "mimic_demo_icu.csv.gz")
    table = first_hours(table, settings, learned["names"]["features"] if learned else ())
    data = table_data(table, fingerprint, settings, seed, device, learned)
    vital = {name: [data.features.index(name)] for name in VITAL_SIGNS if name in data.features}
    others = [i for i, name in enumerate(data.features) if name not in VITAL_SIGNS]
    groups = vital | {"other": others, "all": list(range(data.dim))}
    data.measures = partial(carried_errors, groups=groups)
    return data


def first_hours(
    table: TableFile, settings: MimicDemoConfig, learned: Sequence[str] = ()
) -> TableFile:
    """Means of the plausible readings in each bin of the first hours, from admission on.

    Of laboratory values that are `SKEWED` they are means of logarithms.

    Args:
        learned: Features of the model that reads the table. They may be empty in all rows.

    Raises:
        DataError: A cell that is no number, or a feature of the model that is missing.
    """
    form = table_format(settings)
    expected = [raw_name(name, SKEWED) for name in learned]
    for name in expected:
        require_column(table, name, LEARNED)
    features = list(dict.fromkeys([*expected, *find_columns(table, form).features]))
    frame = pd.DataFrame({name: numbers_of(table, name, form) for name in features})
    hour = numbers_of(table, settings.time_column, form)
    early = int((hour < 0).sum())
    if early:
        log.warning("%s: %d rows before admission are left out", table.source, early)
    wrong = 0
    for name in frame.columns.intersection(list(PLAUSIBLE)):
        low, high = PLAUSIBLE[name]
        bad = (frame[name] < low) | (frame[name] > high)
        frame[name] = frame[name].mask(bad)
        wrong += int(bad.sum())
    if wrong:
        log.info("%s: %d readings that no body gives are left out", table.source, wrong)
    frame = with_logarithms(frame, SKEWED)
    features = list(frame.columns)
    frame[settings.series_column] = table.rows[settings.series_column]
    frame[settings.time_column] = (hour / settings.bin_hours).round() * settings.bin_hours
    kept = frame[(hour >= 0) & (frame[settings.time_column] <= settings.hours)]
    keys = [settings.series_column, settings.time_column]
    means = kept.groupby(keys, sort=True)[features].mean().dropna(how="all").reset_index()
    return TableFile(f"{table.source} in bins", means.astype({keys[1]: np.float64}))
