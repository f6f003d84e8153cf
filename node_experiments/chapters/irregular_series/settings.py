"""Settings of the datasets and models of irregular series (Rubanova et al. 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ...config.checks import at_least, check_augment, not_negative, positive, require

__all__ = [
    "FORECASTS",
    "CSVConfig",
    "ForecastingConfig",
    "HopperConfig",
    "HumanActivityConfig",
    "JapaneseVowelsConfig",
    "PeriodicConfig",
    "PhysioNet2012Config",
    "SeriesModelConfig",
]


FORECASTS = ("interpolation", "extrapolation")


@dataclass
class ForecastingConfig:
    """Settings that all datasets share: what a model observes of each series and predicts."""

    GROUP: ClassVar[str] = "dataset"
    TASKS: ClassVar[tuple[str, ...]] = FORECASTS
    # Settings that fix the training series and their units: with others, some would be tested on.
    LEARNED: ClassVar[tuple[str, ...]] = ("scaling",)

    task: str = "interpolation"  # interpolation | extrapolation | classification
    observed_fraction: float = 1.0  # paper: fraction of the visible points that a model sees
    observed_points: int | None = None  # their number, instead of the fraction
    extrapolate_from: float = 0.5  # paper: fraction of the time range observed when extrapolating
    random_cuts: bool = False  # choice: train to extrapolate from random times, of each series
    redraw: bool = True  # draw observed points in every epoch; official_code: also when testing
    train_size: int | None = None  # series to train on; all when null
    validation_size: int | None = 0  # choice: training series to validate on; official_code: 0
    test_size: int | None = None  # series to test on; all when null
    class_weights: str = "none"  # choice: none | balanced: rare classes count more in training
    batch_size: int = 50  # official_code: training series per batch
    eval_batch_size: int = 1000  # choice, official_code all: series per batch in evaluation
    passes: int = 1  # official_code: passes over the training series that make one epoch

    @property
    def learned(self) -> dict[str, Any]:
        """Settings, by name, that a trained model keeps when it reads other data."""
        kept = {name: getattr(self, name) for name in self.LEARNED}
        return {"task": self.task == "classification"} | kept

    def __post_init__(self) -> None:
        require(self.task in self.TASKS, self, "task", " or ".join(self.TASKS))
        require(0 < self.observed_fraction <= 1, self, "observed_fraction", "above 0, at most 1")
        require(0 < self.extrapolate_from < 1, self, "extrapolate_from", "between 0 and 1")
        allowed = "false, unless dataset.task=extrapolation and dataset.redraw=true"
        extrapolates = self.task == "extrapolation" and self.redraw
        require(extrapolates or not self.random_cuts, self, "random_cuts", allowed)
        for name in ("observed_points", "train_size", "test_size"):
            value = getattr(self, name)
            require(value is None or value >= 1, self, name, "at least 1, or null")
        at_least(self, 1, "batch_size", "eval_batch_size", "passes")
        size = self.validation_size
        require(size is None or size >= 0, self, "validation_size", "at least 0")
        weights = ("none", "balanced") if self.task == "classification" else ("none",)
        allowed = f"{' or '.join(weights)} with task={self.task}"
        require(self.class_weights in weights, self, "class_weights", allowed)
        variant = getattr(self, "variant", "paper")
        require(variant in ("paper", "official_code"), self, "variant", "paper or official_code")
        scaling = getattr(self, "scaling", "none")
        scalings = ("none", "standard", "minmax", "official_code")
        require(scaling in scalings, self, "scaling", ", ".join(scalings))


@dataclass
class PeriodicConfig(ForecastingConfig):
    """Sinusoids of one amplitude and many frequencies (section 4.1)."""

    name: str = "periodic"  # periodic
    variant: str = "paper"  # paper: individual times | official_code: one set of times for all
    trajectories: int = 1000  # paper: trajectories, of which 80 % train
    points: int = 100  # paper: points of each trajectory
    span: float = 5.0  # paper: the times are from 0 to this
    noise: float = 0.01  # choice, paper unknown: std of the noise, or with official_code width
    # choice: the published errors are of values between 0 and 1
    scaling: str = "minmax"  # none | standard | minmax | official_code, from the training part
    observed_fraction: float = 0.1  # paper: 0.1, 0.2, 0.3 or 0.5 of the points
    validation_size: int = 100  # choice, paper none: training series to validate on

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 2, "trajectories", "points")
        positive(self, "span")
        not_negative(self, "noise")


@dataclass
class HopperConfig(ForecastingConfig):
    """The Hopper of the DeepMind Control Suite in free fall without control (section 4.1).

    Generated once by the published recipe, which takes half a minute and needs the extra `mujoco`.
    """

    LEARNED: ClassVar[tuple[str, ...]] = ("variant", "trajectories", "scaling")

    name: str = "hopper"  # hopper
    variant: str = "paper"  # scaling from: paper: training series | official_code: all series
    root: str | None = None  # folder of the generated file; a cache folder of the user when null
    trajectories: int = 10_000  # paper: trajectories to generate, of which 80 % train
    window: int = 100  # paper: points to interpolate; extrapolation uses all 200
    # the units of the published errors
    scaling: str = "official_code"  # none | standard | minmax | official_code: (x - min) / max
    observed_fraction: float = 0.1  # paper: 0.1, 0.2, 0.3 or 0.5 of the points
    validation_size: int = 200  # choice, paper none: training series to validate on

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 2, "trajectories")
        require(2 <= self.window <= 200, self, "window", "from 2 to 200")


@dataclass
class JapaneseVowelsConfig(ForecastingConfig):
    """Utterances of two vowels by nine speakers (Kudo, Toyama & Shimbo 1999).

    270 + 370 utterances of 12 channels and 7 to 29 frames each, shipped with the package.
    """

    TASKS: ClassVar[tuple[str, ...]] = (*FORECASTS, "classification")
    LEARNED: ClassVar[tuple[str, ...]] = ("scaling", "split_seed")

    name: str = "japanese_vowels"  # japanese_vowels
    dropped: float = 0.0  # choice: fraction of the frames that are dropped: 0, 0.3, 0.5, 0.7
    scaling: str = "standard"  # choice: none | standard | minmax | official_code
    split_seed: int = 42  # choice: seed that draws the validation utterances
    task: str = "classification"  # interpolation | extrapolation | classification
    validation_size: int = 54  # choice: training utterances to validate on, a fifth
    batch_size: int = 32  # choice: training series per batch

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.dropped < 1, self, "dropped", "from 0 to below 1")
        require(0 <= self.split_seed < 2**32, self, "split_seed", "from 0 to 2^32 - 1")


@dataclass
class PhysioNet2012Config(ForecastingConfig):
    """Intensive care records of the PhysioNet / Computing in Cardiology Challenge 2012.

    Reads set-a, set-b, Outcomes-a.txt and Outcomes-b.txt in `root`, from
    https://physionet.org/content/challenge-2012/1.0.0/ (folders, .tar.gz or .zip). Records without
    any reading are left out. To classify deaths, set dataset.task=classification and
    dataset.observed_fraction=1; every record of the sets then needs an outcome (without
    Outcomes-b.txt, set dataset.sets=a, as in the paper).
    """

    TASKS: ClassVar[tuple[str, ...]] = (*FORECASTS, "classification")
    LEARNED: ClassVar[tuple[str, ...]] = ("variant", "sets", "bin_hours", "scaling", "split_seed")

    name: str = "physionet2012"  # physionet2012
    variant: str = "paper"  # paper: 37 parameters | official_code: 41, -1 a value, scaling leaks
    root: str | None = None  # folder of the files; a cache folder of the user when null
    sets: str = "ab"  # paper: letters of the sets to read; in 2019 only set a had outcomes
    bin_hours: float = 1 / 60  # paper: readings in one bin of time are averaged
    # the units of the published errors
    scaling: str = "official_code"  # none | standard | minmax | official_code: (x - min) / max
    split_seed: int = 42  # official_code: seed that splits training and test patients
    validation_size: int = 400  # choice, paper none: training series to validate on

    def __post_init__(self) -> None:
        super().__post_init__()
        letters = bool(self.sets) and set(self.sets) <= set("abc")
        require(letters and len(set(self.sets)) == len(self.sets), self, "sets", "of a, b and c")
        require(0 < self.bin_hours <= 48, self, "bin_hours", "above 0, at most 48")
        require(0 <= self.split_seed < 2**32, self, "split_seed", "from 0 to 2^32 - 1")


@dataclass
class HumanActivityConfig(ForecastingConfig):
    """Positions of four tags on five moving people, UCI Localization Data for Person Activity.

    Reads ConfLongDemo_JSI.txt in `root`, from
    https://archive.ics.uci.edu/dataset/196/localization+data+for+person+activity
    """

    TASKS: ClassVar[tuple[str, ...]] = (*FORECASTS, "classification")
    LEARNED: ClassVar[tuple[str, ...]] = (
        "variant", "split", "window", "stride", "scaling", "split_seed",
    )  # fmt: skip

    name: str = "human_activity"  # human_activity
    variant: str = "paper"  # paper: no person in two parts | official_code: windows overlap
    root: str | None = None  # folder of the file; a cache folder of the user when null
    split: str = "person"  # choice: person | recording: unit that is kept in one part
    window: int = 50  # official_code: points of a window
    stride: int = 25  # official_code: points from the start of one window to the next
    scaling: str = "standard"  # choice, official_code none: none | standard | minmax
    split_seed: int = 42  # official_code: seed that splits training and test windows
    task: str = "classification"  # interpolation | extrapolation | classification, of every point
    validation_size: int = 500  # choice, paper none: training series to validate on

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.split in ("person", "recording"), self, "split", "person or recording")
        at_least(self, 2, "window")
        at_least(self, 1, "stride")
        require(0 <= self.split_seed < 2**32, self, "split_seed", "from 0 to 2^32 - 1")


@dataclass
class CSVConfig(ForecastingConfig):
    """Your own series: CSV or parquet files with a row for every observation.

    For example:

        series,time,temperature,pressure,state
        a,0.0,21.5,,ok
        a,0.7,21.9,1013,ok

    An empty cell is a value that was not observed. Rows may come in any order; a long table has a
    column `variable` and a column `value` instead of one column for each feature.
    """

    TASKS: ClassVar[tuple[str, ...]] = (*FORECASTS, "classification")
    LEARNED: ClassVar[tuple[str, ...]] = (
        "value_columns", "static_columns", "label_per", "time_origin", "time_scale", "scaling",
        "split_seed", "window", "group_column", "centre_series",
    )  # fmt: skip

    name: str = "csv"  # csv
    path: str | None = None  # .csv (also .gz, .zip), .parquet, several as x/*.csv, sample:patients
    series_column: str | None = "series"  # name of the series column; file: the file's; null: one
    time_column: str = "time"  # name of the time column: numbers, dates or hh:mm
    window: float | None = None  # cut series into windows of this length (hours for dates)
    value_columns: list[str] | None = None  # features; all numeric columns when null
    static_columns: list[str] = field(default_factory=list)  # per series, such as [age,sex]
    label_column: str | None = None  # name of the label column, such as state, to classify
    label_per: str = "series"  # series: one label per series | time: one per row
    group_column: str | None = None  # series of one group, such as a patient, stay in one part
    variable_column: str | None = None  # of a long table; when null, `variable` if it exists
    value_column: str | None = None  # of a long table; when null, `value` if it exists
    missing: list[str] = field(default_factory=list)  # cells without a value, besides NA, -, null
    duplicates: str = "error"  # two rows of a series at one time: error | mean | last
    time_format: str | None = None  # format of dates, such as '%d.%m.%Y %H:%M'; ISO 8601 when null
    time_origin: str = "series"  # time 0: series: first observation of each | file: of the file
    time_scale: str | None = "auto"  # time that becomes 1 (dates: in hours); auto: longest series
    delimiter: str | None = None  # character between cells; detected when null
    decimal: str | None = None  # decimal point or comma; detected when null
    thousands: str | None = None  # thousands separator of numbers, such as ','; none when null
    encoding: str | None = None  # encoding of the text; detected when null
    scaling: str = "standard"  # choice: none | standard | minmax | official_code
    centre_series: bool = False  # choice: forecast differences from the mean of the values seen
    split_seed: int = 42  # choice: seed that splits training (80 %) and test series
    observed_fraction: float = 1.0  # choice: fraction of the visible points that a model sees
    validation_size: int | None = None  # choice: training series to validate on; null: a fifth
    task: str = "extrapolation"  # choice: interpolation | extrapolation | classification

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.label_per in ("series", "time"), self, "label_per", "series or time")
        require(
            self.duplicates in ("error", "mean", "last"), self, "duplicates", "error, mean or last"
        )
        require(self.time_origin in ("series", "file"), self, "time_origin", "series or file")
        try:
            scale = self.fixed_time_scale
        except ValueError:
            scale = math.nan
        positive = scale is None or 0 < scale < math.inf
        require(positive, self, "time_scale", "auto, or a number > 0")
        require(self.decimal in (None, ".", ","), self, "decimal", "'.' or ',', or null")
        signs = (None, ",", ".", "'", " ", "_")
        blank = "a blank (\"dataset.thousands=' '\")"
        require(self.thousands in signs, self, "thousands", f"one of , . ' _ or {blank}, or null")
        different = self.thousands is None or self.thousands != self.decimal
        require(different, self, "thousands", "a sign other than decimal")
        self.delimiter = "\t" if self.delimiter == r"\t" else self.delimiter
        single = self.delimiter is None or len(self.delimiter) == 1
        require(single, self, "delimiter", "one character, or null")
        require(0 <= self.split_seed < 2**32, self, "split_seed", "from 0 to 2^32 - 1")
        # In other tasks the mean would tell a model what it should predict from earlier values.
        forecasts = self.task == "extrapolation"
        require(
            forecasts or not self.centre_series, self, "centre_series",
            "false, unless dataset.task=extrapolation",
        )  # fmt: skip
        if self.window is not None:
            require(0 < self.window < math.inf, self, "window", "a number > 0, or null")
            origin, size = self.time_origin == "series", self.validation_size is None
            require(origin, self, "time_origin", "series with a window")
            require(size, self, "validation_size", "null with a window")
            require(self.group_column is None, self, "group_column", "null with a window")

    @property
    def observed_window(self) -> float | None:
        """Length of the observed part of a window, in hours for dates; None without windows."""
        share = self.extrapolate_from if self.task == "extrapolation" else 1.0
        return None if self.window is None else share * self.window

    @property
    def fixed_time_scale(self) -> float | None:
        """The time that becomes 1; None if that is the length of the longest training series."""
        return None if self.time_scale in (None, "auto") else float(str(self.time_scale))


@dataclass
class SeriesModelConfig:
    """The models of irregular series, which share one class so that one recipe can size them all.

    - `irregular_rnn_dt`: a gated recurrent network that reads the time since the last observation
    - `rnn_impute`: the same, with missing features imputed between the last value and the mean
    - `rnn_decay`: the state decays exponentially between observations
    - `gru_d`: imputation and decay (Che et al. 2018)
    - `ode_rnn`: the state follows an ODE between observations
    - `rnn_vae`: one RNN encodes a series as z0, another decodes it
    - `irregular_latent_ode`: a latent ODE whose encoder reads the observations backwards in time
    - `latent_ode_poisson`: the same, and the observation times of each feature are modelled as a
      Poisson process
    """

    GROUP: ClassVar[str] = "model"

    name: str = "ode_rnn"  # which model of irregular series
    latent: int = 10  # official_code, for sinusoids: dimension of z, or of an RNN's state
    encoder_size: int = 20  # official_code, for sinusoids: dimension of an encoder's state
    unit_hidden: int = 100  # official_code, for sinusoids: hidden units of the gates
    hidden: int = 100  # official_code, for sinusoids: units of a hidden layer of the dynamics
    layers: int = 2  # official_code, for sinusoids: hidden layers of the latent ODE's dynamics
    encoder_layers: int = 2  # official_code, for sinusoids: of an encoder's or ODE-RNN's dynamics
    head_hidden: int = 100  # official_code: hidden units of the heads for values and for z0
    noise_std: float | None = 0.01  # official_code: std of values; null: learned per feature
    encoder: str = "ode_rnn"  # paper: ode_rnn | rnn, encoder of latent ODEs; rnn reads the gaps
    euler_steps: int | None = 50  # official_code: Euler steps over the span; null: the solver's
    batching: str = "independent"  # choice: independent | union: solve from any time to the next
    variant: str = "fixed"  # choice: fixed | official_bug: of the official ode_rnn and rnn_vae
    teacher_forcing: float = 0.5  # choice: chance that a training step reads true values alone
    samples: int = 3  # official_code: draws of z0 per series in a training step
    objective: str = "official_code"  # official_code (reads kl_wait, kl_rate) | elbo
    kl_weight: float = 1.0  # choice: weight of the KL in elbo, after a rise over kl_wait epochs
    horizon_epochs: int = 0  # choice, elbo: epochs in which the target grows to the whole span
    kl_wait: int = 10  # official_code: epochs without the KL
    kl_rate: float = 0.99  # official_code: then the KL's weight is 1 - kl_rate^epochs
    classifier_layers: int = 2  # official_code: hidden layers of the classifier; 0: linear
    classifier_hidden: int = 300  # official_code: units of a hidden layer of the classifier
    reconstruction_weight: float = 1.0  # official_code: of the likelihood in classification
    classification_weight: float = 100.0  # official_code, physionet2012: of the cross-entropy
    knots: int | None = None  # choice: intervals in which z is interpolated; 0: none; null: auto
    augment: int = 0  # extra dimensions of the ODE that start at zero and are not read

    def __post_init__(self) -> None:
        check_augment(self)
        at_least(
            self, 1, "latent", "encoder_size", "unit_hidden", "hidden", "layers", "encoder_layers",
            "head_hidden", "samples", "classifier_hidden",
        )  # fmt: skip
        positive = self.noise_std is None or 0 < self.noise_std < math.inf
        require(positive, self, "noise_std", "a number > 0, or null")
        require(self.encoder in ("ode_rnn", "rnn"), self, "encoder", "ode_rnn or rnn")
        steps = self.euler_steps
        require(steps is None or steps >= 1, self, "euler_steps", "at least 1, or null")
        require(
            self.batching in ("independent", "union"), self, "batching", "independent or union"
        )
        require(
            self.variant in ("fixed", "official_bug"), self, "variant", "fixed or official_bug"
        )
        has_bug = self.name in ("ode_rnn", "rnn_vae") and self.batching == "independent"
        require(
            self.variant == "fixed" or has_bug,
            self,
            "variant",
            f"fixed: official_bug needs ode_rnn or rnn_vae with batching=independent, "
            f"and this is {self.name}",
        )
        objectives = ("official_code", "elbo")
        require(self.objective in objectives, self, "objective", " or ".join(objectives))
        require(0 <= self.teacher_forcing <= 1, self, "teacher_forcing", "from 0 to 1")
        not_negative(self, "kl_weight")
        at_least(self, 0, "horizon_epochs", "kl_wait")
        require(0 < self.kl_rate <= 1, self, "kl_rate", "above 0, at most 1")
        at_least(self, 0, "classifier_layers")
        not_negative(self, "reconstruction_weight", "classification_weight")
        require(self.knots is None or self.knots >= 0, self, "knots", "at least 0, or null")
