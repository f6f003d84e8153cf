"""Registry of datasets, models, tasks and tables of irregular series (Rubanova et al. 2019)."""

from __future__ import annotations

from ..chapter import Chapter, Dataset, Model, Predictor, Task
from .settings import (
    CSVConfig,
    ForecastingConfig,
    HopperConfig,
    HumanActivityConfig,
    JapaneseVowelsConfig,
    PeriodicConfig,
    PhysioNet2012Config,
    SeriesModelConfig,
)
from .shipped import MimicDemoConfig, PBCSeqConfig, StormBirthsConfig, StormsConfig

__all__ = ["CHAPTER"]


HERE = "node_experiments.chapters.irregular_series"
SHIPPED = f"{HERE}.shipped"
PREDICTION_SETTINGS = ("times", "after_last", "rows", "samples", "points")

# The settings that each model reads.
COMMON_SETTINGS = (
    "name", "latent", "unit_hidden", "head_hidden", "noise_std", "classifier_layers",
    "classifier_hidden", "reconstruction_weight", "classification_weight",
)  # fmt: skip
FLOW_SETTINGS = ("hidden", "encoder_layers", "euler_steps", "batching")
AUTOREGRESSIVE_SETTINGS = (*COMMON_SETTINGS, "teacher_forcing")
LATENT_VARIABLE_SETTINGS = (
    "encoder_size", "samples", "objective", "kl_weight", "horizon_epochs", "kl_wait", "kl_rate",
)  # fmt: skip
LATENT_ODE_SETTINGS = (
    *COMMON_SETTINGS, *FLOW_SETTINGS, *LATENT_VARIABLE_SETTINGS, "layers", "encoder", "knots",
    "augment",
)  # fmt: skip


def dataset(
    settings: type[ForecastingConfig],
    build: str,
    recipe: str,
    figures: str | None = None,
    files: str | None = None,
) -> Dataset:
    """A dataset of irregular series; `build` and `files` are given as `module:function`."""
    of_user = None if files is None else f"{HERE}.{files}"
    return Dataset(settings, f"{HERE}.{build}", "irregular_series", recipe, figures, files=of_user)


def model(kind: str, used_settings: tuple[str, ...]) -> Model:
    """A model of irregular series, `autoregressive` or `variational`."""
    tasks = {"irregular_series": f"{kind}_series"}
    return Model(SeriesModelConfig, f"{HERE}.models:{kind}", tasks, used_settings)


CHAPTER = Chapter(
    name="irregular_series",
    datasets={
        "periodic": dataset(PeriodicConfig, "periodic:periodic_data", "periodic"),
        "hopper": dataset(
            HopperConfig, "hopper:hopper_data", "hopper", f"{HERE}.hopper_figures:hopper_figures"
        ),
        "japanese_vowels": dataset(
            JapaneseVowelsConfig, "japanese_vowels:japanese_vowels_data", "japanese_vowels"
        ),
        "physionet2012": dataset(
            PhysioNet2012Config,
            "physionet2012:physionet_data",
            "physionet2012",
            files="physionet2012:physionet_files",
        ),
        "human_activity": dataset(
            HumanActivityConfig,
            "human_activity:human_activity_data",
            "human_activity",
            files="human_activity:human_activity_files",
        ),
        "csv": Dataset(
            CSVConfig,
            f"{HERE}.csv_series:csv_data",
            "irregular_series",
            "irregular_series",
            files=f"{HERE}.user_tables.user_table:user_files",
            check=f"{HERE}.user_tables.training_table:check_table",
            learned=f"{HERE}.csv_series:restored_data",
            samples={
                name: f"node_experiments/chapters/irregular_series/sample_files/{name}.csv"
                for name in ("patients", "new_patients", "new_patients_later")
            },
        ),
        "storms": dataset(
            StormsConfig,
            "shipped.storms:storms_data",
            "storms",
            f"{SHIPPED}.storm_map:storm_figures",
        ),
        "storm_births": Dataset(
            StormBirthsConfig,
            f"{SHIPPED}.storm_births:storm_births_data",
            "events",
            "storm_births",
        ),
        "mimic_demo": dataset(
            MimicDemoConfig,
            "shipped.mimic_demo:mimic_demo_data",
            "mimic_demo",
            f"{SHIPPED}.patient_figures:vital_sign_figures",
        ),
        "pbcseq": dataset(
            PBCSeqConfig,
            "shipped.pbcseq:pbcseq_data",
            "pbcseq",
            f"{SHIPPED}.patient_figures:laboratory_figures",
        ),
    },
    models={
        "irregular_rnn_dt": model("autoregressive", AUTOREGRESSIVE_SETTINGS),
        "rnn_impute": model("autoregressive", AUTOREGRESSIVE_SETTINGS),
        "rnn_decay": model("autoregressive", AUTOREGRESSIVE_SETTINGS),
        "gru_d": model("autoregressive", AUTOREGRESSIVE_SETTINGS),
        "ode_rnn": model(
            "autoregressive", (*AUTOREGRESSIVE_SETTINGS, *FLOW_SETTINGS, "variant", "augment")
        ),
        "rnn_vae": model("variational", (*COMMON_SETTINGS, *LATENT_VARIABLE_SETTINGS, "variant")),
        "irregular_latent_ode": model("variational", LATENT_ODE_SETTINGS),
        "latent_ode_poisson": model("variational", LATENT_ODE_SETTINGS),
    },
    tasks={
        "autoregressive_series": Task(
            f"{HERE}.tasks:autoregressive_series",
            f"{HERE}.figures:irregular_series_figures",
            predictor=Predictor(f"{HERE}.predict:predict_series", PREDICTION_SETTINGS),
        ),
        "variational_series": Task(
            f"{HERE}.variational_tasks:variational_series",
            f"{HERE}.figures:irregular_series_figures",
            predictor=Predictor(
                f"{HERE}.predict:predict_series", (*PREDICTION_SETTINGS, "latent")
            ),
        ),
    },
    tables={
        name: f"{HERE}.tables:IRREGULAR_TABLES:{name}"
        for name in (
            "table3",
            "table3_extrapolation",
            "periodic_interpolation",
            "periodic_extrapolation",
            "japanese_vowels",
        )
    }
    | {
        name: f"{HERE}.physionet_tables:PHYSIONET_TABLES:{name}"
        for name in ("table4", "table5", "auc")
    }
    | {
        name: f"{SHIPPED}.tables:REAL_TABLES:{name}"
        for name in ("storms", "storm_births", "mimic_demo", "pbcseq")
    },
)
