"""Stays in intensive care: the MIMIC-IV demo in the CLIF format (ODbL 1.0, see `files/`)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from ....data.table_file import TableFile
from ....errors import DataError
from ..csv_series import table_data
from ..forecast_data import ForecastData
from ..simple_forecasts import simple_errors
from ..user_tables.table_cells import is_missing_name, numbers_of
from ..user_tables.table_columns import TRAINED_WITH_IT, find_columns, require_column
from ..user_tables.table_format import TableFormat
from ..user_tables.user_table import table_format
from . import VITAL_SIGNS, MimicDemoConfig
from .logarithms import raw_name, with_logarithms
from .package_files import own_or_shipped

__all__ = ["PLAUSIBLE", "SKEWED", "first_hours", "mimic_demo_data"]

# Physiologically possible ranges in the units of the file; readings outside are typing errors.
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

# Laboratory values that range over orders of magnitude: a model reads their logarithms.
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
    """The first hours of all stays, processed as by `csv_series.csv_data`.

    Raises:
        DataError: As there.
    """
    table, fingerprint = own_or_shipped(settings, "mimic_demo_icu.csv.gz")
    table = first_hours(table, settings, learned["names"]["features"] if learned else ())
    data = table_data(table, fingerprint, settings, seed, device, learned)
    vital = {name: [data.features.index(name)] for name in VITAL_SIGNS if name in data.features}
    others = [i for i, name in enumerate(data.features) if name not in VITAL_SIGNS]
    groups = vital | {"other": others, "all": list(range(data.dim))}
    data.measures = partial(simple_errors, groups=groups, training_mean=data.mean)
    return data


def first_hours(
    table: TableFile, settings: MimicDemoConfig, learned: Sequence[str] = ()
) -> TableFile:
    """Means of the plausible readings in each time bin of the first hours after admission.

    `SKEWED` laboratory values are averaged as logarithms. Static columns and the group of a stay
    are kept.

    Args:
        learned: Features of the model that reads the table. They may be empty in all rows.

    Raises:
        DataError: A cell is not a number, a feature of the model is missing, or a static column
            or the group changes within a stay.
    """
    form = table_format(settings)
    if learned and form.group_column not in table.rows.columns:  # only needed for training
        form = replace(form, group_column=None)
    expected = [raw_name(name, SKEWED) for name in learned]
    for name in expected:
        require_column(table, name, TRAINED_WITH_IT)
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
        log.info("%s: %d implausible readings are left out", table.source, wrong)
    frame = with_logarithms(frame, SKEWED)
    features = list(frame.columns)
    frame[form.series_column] = table.rows[form.series_column]
    frame[settings.time_column] = (hour / settings.bin_hours).round() * settings.bin_hours
    kept = frame[(hour >= 0) & (frame[settings.time_column] <= settings.hours)]
    keys = [form.series_column, form.time_column]
    means = kept.groupby(keys, sort=True)[features].mean().dropna(how="all").reset_index()
    group = () if form.group_column is None else (form.group_column,)
    for name in (*form.static_columns, *group):
        means[name] = means[keys[0]].map(words_of_stays(table, name, form))
    binned = means.astype({keys[1]: np.float64})
    return TableFile(f"{table.source} in bins", binned, table.decimal)


def words_of_stays(table: TableFile, name: str, form: TableFormat) -> pd.Series:
    """The one known cell of each stay in a column, as text.

    Raises:
        DataError: A stay has several.
    """
    text = table.text(name)
    stays = text.mask(is_missing_name(text, form)).groupby(table.rows[form.series_column])
    if (changes := stays.nunique() > 1).any():
        stay = changes.index[changes][0]
        raise DataError(
            f"{table.source}: {name!r} changes within stay {str(stay)!r}, and must be the same in "
            "all rows of a stay"
        )
    return stays.first()
