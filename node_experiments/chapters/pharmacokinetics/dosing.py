"""Infusions and concentrations of patients, from a table with a row per sample or rate change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...data.shipped_files import shipped_file
from ...data.table_file import TableFile, read_table
from ...data.time_series import SeriesBatches
from ...errors import DataError
from ...files import user_path
from .chapter import RemifentanilConfig

__all__ = ["COVARIATES", "DoseBatch", "DosingData", "read_patients", "remifentanil_data"]

FILES = Path(__file__).parent / "files"
NUMBERS = ("Time", "conc", "Rate", "Age", "Wt")
MAY_LACK = ("conc",)
COVARIATES = ("age", "weight", "sex")
SEXES = {"female": -0.5, "male": 0.5}


@dataclass
class DoseBatch:
    """Batch of patients, padded to the same number of rows with gaps of 0.

    Attributes:
        times: Minutes since the infusion began, shape `(batch, row)`.
        gaps: Minutes to the next row, `(batch, row)`; 0 after the last.
        rates: Micrograms per minute from this row to the next, `(batch, row)`.
        values: Natural logarithm of the concentration in ng/ml, `(batch, row)`; 0 if missing.
        mask: Whether the concentration was measured, `(batch, row)`.
        covariates: The `COVARIATES`: age in decades from 40 years, log(weight / 70 kg), and sex
            (-0.5 female, 0.5 male), shape `(batch, 3)`.
        names: Names of the patients.
    """

    times: Tensor
    gaps: Tensor
    rates: Tensor
    values: Tensor
    mask: Tensor
    covariates: Tensor
    names: list[str]

    def __len__(self) -> int:
        return len(self.times)

    @property
    def device(self) -> torch.device:
        """The device of the tensors."""
        return self.times.device

    def select(self, indices: Tensor) -> DoseBatch:
        """The patients with these indices, in their order."""
        tensors = {name: getattr(self, name)[indices] for name in TENSORS}
        return DoseBatch(**tensors, names=[self.names[i] for i in indices.tolist()])

    def to(self, device: torch.device) -> DoseBatch:
        """The same patients on another device."""
        tensors = {name: getattr(self, name).to(device) for name in TENSORS}
        return DoseBatch(**tensors, names=self.names)


TENSORS = ("times", "gaps", "rates", "values", "mask", "covariates")


@dataclass
class DosingData:
    """The patients of one fold of a cross-validation."""

    train: SeriesBatches[DoseBatch]
    validation: SeriesBatches[DoseBatch]
    test: SeriesBatches[DoseBatch]


def remifentanil_data(
    settings: RemifentanilConfig, seed: int = 0, device: torch.device | None = None
) -> DosingData:
    """The shipped patients, or those in `path`, split into the parts of a cross-validation fold.

    Raises:
        DataError: As in `shipped_file` and `read_patients`, or there are too few patients.
    """
    if settings.path is not None:
        path = user_path(settings.path)
    else:
        path = shipped_file(FILES, "remifentanil.csv.gz")
    patients = read_patients(read_table(path))
    order = np.random.RandomState(settings.split_seed).permutation(len(patients))
    test = order[settings.fold :: settings.folds]
    others = order[~np.isin(order, test)]
    size = settings.validation_size
    if not len(test) or size >= len(others):
        raise DataError(
            f"{path} has {len(patients)} patients, too few for dataset.folds={settings.folds} and "
            f"dataset.validation_size={size}"
        )
    parts = [
        patients.select(torch.from_numpy(part)).to(device or torch.device("cpu"))
        for part in (others[size:], others[:size], test)
    ]
    return DosingData(
        SeriesBatches(parts[0], min(settings.batch_size, len(parts[0])), True, seed=seed),
        SeriesBatches(parts[1], len(parts[1])),
        SeriesBatches(parts[2], len(parts[2])),
    )


def read_patients(table: TableFile) -> DoseBatch:
    """Read patients from a table with the columns ID, Time, conc, Rate, Age, Sex and Wt.

    A row gives the rate of the infusion from its time on, and the concentration at its time if it
    was measured. The rate of a patient's last row is not used, since nothing follows it.

    Raises:
        DataError: A column is missing; a cell is not a number, such as the time of a dose without
            one; a rate is below 0; a concentration or weight is not above 0; or a patient has two
            rows at the same time. The message names the line.
    """
    for name in ("ID", "Sex", *NUMBERS):
        if name not in table.rows.columns:
            raise DataError(
                f"{table.source} has no column {name!r}; found {', '.join(table.rows.columns)}"
            )
    frame = pd.DataFrame({name: _numbers(table, name) for name in NUMBERS})
    frame["ID"], frame["Sex"] = table.rows["ID"], table.rows["Sex"].str.lower()
    for name, bad, allowed in (
        ("Rate", frame["Rate"] < 0, "at least 0"),
        ("conc", frame["conc"] <= 0, "above 0"),
        ("Wt", frame["Wt"] <= 0, "above 0"),
        ("Sex", ~frame["Sex"].isin(SEXES), "Female or Male"),
        ("Time", frame.duplicated(["ID", "Time"]), "different in each row of a patient"),
    ):
        _require(table, name, bad, allowed)
    groups = [rows.sort_values("Time") for _, rows in frame.groupby("ID", sort=False)]
    longest = max(len(rows) for rows in groups)
    shape = (len(groups), longest)
    times, rates, values = (np.zeros(shape) for _ in range(3))
    gaps, mask = np.zeros(shape), np.zeros(shape, dtype=bool)
    for i, rows in enumerate(groups):
        n, time, conc = len(rows), rows["Time"].to_numpy(), rows["conc"].to_numpy()
        times[i, :n], times[i, n:] = time, time[-1]
        gaps[i, : n - 1] = np.diff(time)
        rates[i, : n - 1] = rows["Rate"].to_numpy()[:-1]
        mask[i, :n] = ~np.isnan(conc)
        values[i, :n] = np.log(np.where(mask[i, :n], conc, 1.0))
    first = pd.concat([rows.iloc[:1] for rows in groups])
    covariates = np.stack(
        [(first["Age"] - 40) / 10, np.log(first["Wt"] / 70), first["Sex"].map(SEXES)], 1
    )
    return DoseBatch(
        times=torch.from_numpy(times).float(),
        gaps=torch.from_numpy(gaps).float(),
        rates=torch.from_numpy(rates).float(),
        values=torch.from_numpy(values).float(),
        mask=torch.from_numpy(mask),
        covariates=torch.from_numpy(covariates.astype(np.float32)),
        names=first["ID"].astype(str).tolist(),
    )


def _numbers(table: TableFile, name: str) -> pd.Series:
    cells = table.rows[name].astype(object)
    text = cells.where(cells.notna(), "").map(str).str.strip().replace({"NA": "", ".": ""})
    numbers = pd.to_numeric(text, errors="coerce").astype(float)
    bad = ~np.isfinite(numbers) & ((text != "") | (name not in MAY_LACK))
    _require(table, name, bad, "a number")
    return numbers


def _require(table: TableFile, name: str, bad: pd.Series, allowed: str) -> None:
    if bad.any():
        row = int(bad.to_numpy().argmax())
        found = table.rows[name].iloc[row]
        raise DataError(f"{table.at(row)}: {name!r} must be {allowed}; found {found!r}")
