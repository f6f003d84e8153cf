"""Real series that are shipped with the package, so that they run without a network: settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from ....config.checks import at_least, require
from ..settings import CSVConfig, ForecastingConfig

__all__ = ["LEADS", "MimicDemoConfig", "PBCSeqConfig", "StormBirthsConfig", "StormsConfig"]

LEADS = (12, 24, 36, 48, 72)  # hours, those of the National Hurricane Center's verification


@dataclass
class StormsConfig(ForecastingConfig):
    """Atlantic storms 1975 to 2022 (NOAA, HURDAT2): forecast track and wind.

    A sample is a window of a storm: two days of fixes, from which the next three are forecast.
    Storms up to `last_training_year` train, the next four years validate, the others test.
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
        require(alone, self, "extrapolate_from", f"{of_class}: two days tell of the next three")


@dataclass
class StormBirthsConfig:
    """When the Atlantic storms of a season were born: half of the births tell of the other half.

    A sequence holds each birth of a season with probability 1/2; the others are its twin. The two
    halves of a Poisson process are independent, and the rate of each is half of the season's.
    """

    GROUP: ClassVar[str] = "dataset"

    name: str = "storm_births"  # storm_births
    path: str | None = None  # a CSV file like the shipped one, which is read when null
    last_training_year: int = 2012  # choice: 2013 to 2016 validate, 2017 to 2022 test
    halvings: int = 25  # choice: sequences that each season is made into
    batch_size: int = 190  # choice: training sequences per batch
    passes: int = 10  # choice: passes over the training sequences that make one epoch

    @property
    def learned(self) -> dict[str, Any]:
        """What decides which seasons train."""
        return {"last_training_year": self.last_training_year}

    def __post_init__(self) -> None:
        at_least(self, 1, "halvings", "batch_size", "passes")


@dataclass
class MimicDemoConfig(CSVConfig):
    """The first two days of 132 stays in intensive care (MIMIC-IV demo): forecast vital signs.

    Readings of one bin of time are averaged; those before admission, and those that no body
    gives, such as a temperature of 99 degrees Celsius, are left out.
    """

    TASKS: ClassVar[tuple[str, ...]] = ("interpolation", "extrapolation")
    LEARNED: ClassVar[tuple[str, ...]] = (*CSVConfig.LEARNED, "hours", "bin_hours")

    name: str = "mimic_demo"  # mimic_demo
    path: str | None = None  # a CSV file like the shipped one, which is read when null
    series_column: str = "hospitalization_id"  # name of the column that names the stay of a row
    time_column: str = "hour"  # name of the column of hours since admission
    hours: float = 48.0  # choice: of each stay
    bin_hours: float = 0.5  # choice: readings in one bin of time are averaged
    time_origin: str = "file"  # time 0: series: first observation of each | file: admission
    validation_size: int | None = 20  # choice: stays of the training part

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.hours > 0, self, "hours", "a number > 0")
        require(0 < self.bin_hours <= self.hours, self, "bin_hours", "above 0, at most hours")


@dataclass
class PBCSeqConfig(CSVConfig):
    """Visits of 312 patients with primary biliary cirrhosis: forecast laboratory values."""

    TASKS: ClassVar[tuple[str, ...]] = ("interpolation", "extrapolation")

    name: str = "pbcseq"  # pbcseq
    path: str | None = None  # a CSV file like the shipped one, which is read when null
    series_column: str = "id"  # name of the column that names the patient of a row
    time_column: str = "day"  # name of the column of days since registration
    value_columns: list[str] | None = field(
        default_factory=lambda: [
            "bili", "chol", "albumin", "alk.phos", "ast", "platelet", "protime", "ascites",
            "hepato", "spiders", "edema", "stage",
        ]
    )  # fmt: skip
    time_scale: str | None = "5152"  # choice: time that becomes 1: the last day of all
    extrapolate_from: float = 0.25  # choice: what the first 3.5 years tell of later ones
