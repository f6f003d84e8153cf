"""Settings of the datasets of irregularly sampled series."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ...config.checks import require

__all__ = ["SERIES_DATASETS"]

FORECASTS = ("interpolation", "extrapolation")


@dataclass
class ForecastingConfig:
    """What a model sees of each series, and what it shall say: the same for all datasets."""

    GROUP: ClassVar[str] = "dataset"
    TASKS: ClassVar[tuple[str, ...]] = FORECASTS

    task: str = "interpolation"  # interpolation | extrapolation | classification
    observed_fraction: float = 1.0  # of the points that may be seen, how many a model sees
    observed_points: int | None = None  # or their number
    extrapolate_from: float = 0.5  # share of the time range that is observed when extrapolating
    redraw: bool = True  # draw anew in every epoch what is seen of the training series
    train_size: int | None = None  # series to train on; all when null
    validation_size: int = 0  # series taken from the training part to choose a checkpoint by
    test_size: int | None = None  # series to test on; all when null
    batch_size: int = 50  # training series a batch
    eval_batch_size: int = 1000  # series a batch of an evaluation
    passes: int = 1  # passes over the training series that make one epoch

    def __post_init__(self) -> None:
        require(self.task in self.TASKS, self, "task", " or ".join(self.TASKS))
        require(0 < self.observed_fraction <= 1, self, "observed_fraction", "above 0, at most 1")
        require(0 < self.extrapolate_from < 1, self, "extrapolate_from", "between 0 and 1")
        for name in ("observed_points", "train_size", "test_size"):
            value = getattr(self, name)
            require(value is None or value >= 1, self, name, "at least 1, or null")
        for name in ("batch_size", "eval_batch_size", "passes"):
            require(getattr(self, name) >= 1, self, name, "at least 1")
        require(self.validation_size >= 0, self, "validation_size", "at least 0")
        variant = getattr(self, "variant", "paper")
        require(variant in ("paper", "official_code"), self, "variant", "paper or official_code")
        scaling = getattr(self, "scaling", "none")
        scalings = ("none", "standard", "minmax", "official_code")
        require(scaling in scalings, self, "scaling", ", ".join(scalings))


@dataclass
class PeriodicConfig(ForecastingConfig):
    """Sinusoids of one amplitude and many frequencies."""

    name: str = "periodic"  # periodic
    variant: str = "paper"  # paper: times of their own | official_code: one set of times for all
    trajectories: int = 1000  # trajectories, of which 80 % train
    points: int = 100  # of each trajectory
    span: float = 5.0  # the times are from 0 to this
    noise: float = 0.01  # standard deviation (paper) or width (official_code) of the noise
    scaling: str = "minmax"  # none | standard | minmax | official_code, from the training part

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.trajectories >= 2, self, "trajectories", "at least 2")
        require(self.points >= 2, self, "points", "at least 2")
        require(0 < self.span < math.inf, self, "span", "a number > 0")
        require(0 <= self.noise < math.inf, self, "noise", "a number >= 0")


@dataclass
class HopperConfig(ForecastingConfig):
    """The Hopper of the DeepMind Control Suite, thrown and left alone."""

    name: str = "hopper"  # hopper
    variant: str = "paper"  # statistics of the scaling from: paper: training | official_code: all
    root: str | None = None  # folder of the generated file; a cache folder of the user when null
    trajectories: int = 10_000  # trajectories to generate, of which 80 % train
    window: int = 100  # points of interpolation; extrapolation reads all 200
    scaling: str = "official_code"  # none | standard | minmax | official_code: (x - min) / max

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.trajectories >= 2, self, "trajectories", "at least 2")
        require(2 <= self.window <= 200, self, "window", "from 2 to 200")


@dataclass
class JapaneseVowelsConfig(ForecastingConfig):
    """Utterances of two vowels by nine speakers."""

    TASKS: ClassVar[tuple[str, ...]] = (*FORECASTS, "classification")

    name: str = "japanese_vowels"  # japanese_vowels
    dropped: float = 0.0  # share of the frames that is missing for good
    scaling: str = "standard"  # none | standard | minmax | official_code, from the training part
    split_seed: int = 42  # of the validation utterances

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.dropped < 1, self, "dropped", "from 0 to below 1")
        require(0 <= self.split_seed < 2**32, self, "split_seed", "from 0 to 2^32 - 1")


@dataclass
class PhysioNet2012Config(ForecastingConfig):
    """Records of intensive care, PhysioNet / Computing in Cardiology Challenge 2012."""

    TASKS: ClassVar[tuple[str, ...]] = (*FORECASTS, "classification")

    name: str = "physionet2012"  # physionet2012
    variant: str = "paper"  # paper: 37 parameters | official_code: 41, -1 a value, leaking scaling
    root: str | None = None  # folder with set-a, set-b and Outcomes-a.txt as published
    sets: str = "ab"  # letters of the sets to read; only set a has outcomes in Outcomes-a.txt
    bin_hours: float = 1 / 60  # readings in one bin of time are averaged
    scaling: str = "official_code"  # none | standard | minmax | official_code: (x - min) / max
    split_seed: int = 42  # of training and test patients

    def __post_init__(self) -> None:
        super().__post_init__()
        letters = bool(self.sets) and set(self.sets) <= set("abc")
        require(letters and len(set(self.sets)) == len(self.sets), self, "sets", "of a, b and c")
        require(0 < self.bin_hours <= 48, self, "bin_hours", "above 0, at most 48")
        require(0 <= self.split_seed < 2**32, self, "split_seed", "from 0 to 2^32 - 1")


@dataclass
class HumanActivityConfig(ForecastingConfig):
    """Positions of four tags on moving people, UCI Localization Data for Person Activity."""

    TASKS: ClassVar[tuple[str, ...]] = (*FORECASTS, "classification")

    name: str = "human_activity"  # human_activity
    variant: str = "paper"  # paper: nobody in two parts | official_code: overlapping windows leak
    root: str | None = None  # folder with ConfLongDemo_JSI.txt as published
    split: str = "person"  # person | recording: what is never in two parts
    window: int = 50  # points of a window
    stride: int = 25  # points from the start of one window to the next
    scaling: str = "standard"  # none | standard | minmax | official_code, from the training part
    split_seed: int = 42  # of training and test windows

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.split in ("person", "recording"), self, "split", "person or recording")
        require(self.window >= 2, self, "window", "at least 2")
        require(self.stride >= 1, self, "stride", "at least 1")
        require(0 <= self.split_seed < 2**32, self, "split_seed", "from 0 to 2^32 - 1")


@dataclass
class CSVConfig(ForecastingConfig):
    """A user's own series: a CSV file with a line for every observation."""

    TASKS: ClassVar[tuple[str, ...]] = (*FORECASTS, "classification")

    name: str = "csv"  # csv
    path: str | None = None  # the file; also .csv.gz
    series_column: str = "series"  # name of the column that says which series a line belongs to
    time_column: str = "time"  # name of the column of times, which rise within a series
    value_columns: list[str] | None = None  # names of the columns of values; all others when null
    label_column: str | None = None  # name of the column of labels
    label_per: str = "series"  # series: one label each | time: one each line
    scaling: str = "standard"  # none | standard | minmax | official_code, from the training part
    split_seed: int = 42  # of training and test series

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.label_per in ("series", "time"), self, "label_per", "series or time")
        require(0 <= self.split_seed < 2**32, self, "split_seed", "from 0 to 2^32 - 1")


SERIES_DATASETS: dict[str, type] = {
    "periodic": PeriodicConfig,
    "hopper": HopperConfig,
    "japanese_vowels": JapaneseVowelsConfig,
    "physionet2012": PhysioNet2012Config,
    "human_activity": HumanActivityConfig,
    "csv": CSVConfig,
}
