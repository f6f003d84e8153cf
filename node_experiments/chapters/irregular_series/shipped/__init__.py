"""Settings of the real datasets that ship with the package and need no download."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from ....config.checks import at_least, require
from ..settings import CSVConfig, ForecastingConfig

__all__ = [
    "LEADS",
    "VITAL_SIGNS",
    "MimicDemoConfig",
    "PBCSeqConfig",
    "StormBirthsConfig",
    "StormsConfig",
]

LEADS = (12, 24, 36, 48, 72)  # lead times in hours that the National Hurricane Center verifies
# Columns of the vital signs in the MIMIC-IV demo, and their labels with units.
VITAL_SIGNS = {
    "heart_rate": "heart rate (per min)",
    "sbp": "systolic pressure (mmHg)",
    "dbp": "diastolic pressure (mmHg)",
    "respiratory_rate": "respiratory rate (per min)",
    "spo2": "oxygen saturation (%)",
    "temp_c": "temperature (°C)",
}


@dataclass
class StormsConfig(ForecastingConfig):
    """Atlantic storms of 1975 to 2022 (NOAA, HURDAT2): forecast track and wind.

    A sample is a window of a storm: two days of fixes, from which the next three days are
    forecast. Storms up to `last_training_year` train, those of the next four years validate, and
    the others test.
    """

    TASKS: ClassVar[tuple[str, ...]] = ("extrapolation",)
    LEARNED: ClassVar[tuple[str, ...]] = ("scaling", "last_training_year")

    name: str = "storms"  # storms
    path: str | None = None  # a CSV file like the shipped one, which is read when null
    last_training_year: int = 2012  # choice: 2013 to 2016 validate, 2017 to 2022 test
    every: float = 12.0  # choice: hours between two forecasts of a storm
    scaling: str = "standard"  # choice: none | standard | minmax | official_code
    task: str = "extrapolation"  # extrapolation
    batch_size: int = 100  # choice: training windows per batch

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.every > 0, self, "every", "a number of hours > 0")
        whole = self.observed_fraction == 1 and self.observed_points is None
        require(whole, self, "observed_fraction", "1: a forecast starts at the last fix")
        of_class = type(self).extrapolate_from
        alone = self.extrapolate_from == of_class
        require(alone, self, "extrapolate_from", f"{of_class}: two days predict the next three")


@dataclass
class StormBirthsConfig:
    """Births of Atlantic storms: the rate of half of a season's births from the other half.

    A sequence holds each birth of a season with probability 1/2; the other births are held out.
    These halves of a Poisson process are independent, each with half of the season's rate.
    """

    GROUP: ClassVar[str] = "dataset"

    name: str = "storm_births"  # storm_births
    path: str | None = None  # a CSV file like the shipped one, which is read when null
    last_training_year: int = 2012  # choice: 2013 to 2016 validate, 2017 to 2022 test
    halvings: int = 25  # choice: sequences made from each season
    batch_size: int = 190  # choice: training sequences per batch
    passes: int = 10  # choice: passes over the training sequences that make one epoch

    @property
    def learned(self) -> dict[str, Any]:
        """Settings that decide which seasons train."""
        return {"last_training_year": self.last_training_year}

    def __post_init__(self) -> None:
        at_least(self, 1, "halvings", "batch_size", "passes")


@dataclass
class MimicDemoConfig(CSVConfig):
    """The first two days of 132 stays in intensive care (MIMIC-IV demo): forecast vital signs.

    Readings in one time bin are averaged. Readings before admission and physiologically
    implausible ones, such as a temperature of 99 degrees Celsius, are left out.
    """

    TASKS: ClassVar[tuple[str, ...]] = ("interpolation", "extrapolation")
    LEARNED: ClassVar[tuple[str, ...]] = (*CSVConfig.LEARNED, "hours", "bin_hours")

    name: str = "mimic_demo"  # mimic_demo
    path: str | None = None  # a CSV file like the shipped one, which is read when null
    series_column: str = "hospitalization_id"  # name of the column that names the stay of a row
    time_column: str = "hour"  # name of the column of hours since admission
    hours: float = 48.0  # choice: length of each stay that is read
    bin_hours: float = 0.5  # choice: readings in one time bin are averaged
    time_origin: str = "file"  # time 0: series: first observation of each | file: admission
    validation_size: int | None = 20  # choice: training stays to validate on

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.hours > 0, self, "hours", "a number > 0")
        require(0 < self.bin_hours <= self.hours, self, "bin_hours", "above 0, at most hours")
        for name in ("label_column", "variable_column", "value_column"):
            allowed = "null: stays are forecast from a table with one column for each feature"
            require(getattr(self, name) is None, self, name, allowed)


@dataclass
class PBCSeqConfig(CSVConfig):
    """Visits of 312 patients with primary biliary cirrhosis: forecast laboratory values."""

    TASKS: ClassVar[tuple[str, ...]] = ("interpolation", "extrapolation")

    name: str = "pbcseq"  # pbcseq
    path: str | None = None  # a CSV file like the shipped one, which is read when null
    series_column: str = "id"  # name of the column that names the patient of a row
    time_column: str = "day"  # name of the column of days since registration
    value_columns: list[str] | None = field(  # choice: laboratory values and signs to forecast
        default_factory=lambda: [
            "bili", "chol", "albumin", "alk.phos", "ast", "platelet", "protime", "ascites",
            "hepato", "spiders", "edema", "stage",
        ]
    )  # fmt: skip
    time_scale: str | None = "5152"  # choice: time that becomes 1: the last day of all patients
    extrapolate_from: float = 0.25  # choice: fraction of the time range observed: 3.5 years
