"""Settings, dataset and models of pharmacokinetics: a drug with its infusion as control input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ...config.checks import at_least, require
from ..chapter import Chapter, Dataset, Model, Task

__all__ = ["CHAPTER", "PharmacokineticModelConfig", "RemifentanilConfig"]


@dataclass
class RemifentanilConfig:
    """Concentrations of remifentanil in 65 volunteers under an infusion (Minto et al. 1997).

    In cross-validation, the patients of one fold test, and all others train and validate.
    """

    GROUP: ClassVar[str] = "dataset"

    name: str = "remifentanil"  # remifentanil
    path: str | None = None  # a CSV file in the format of the shipped one; the latter when null
    folds: int = 5  # choice: number of folds of the patients
    fold: int = 0  # index of the fold that tests, from 0
    split_seed: int = 42  # choice: seed that draws the folds
    validation_size: int = 8  # choice: training patients to validate on
    batch_size: int = 22  # choice: training patients per batch

    @property
    def learned(self) -> dict[str, Any]:
        """Settings that decide which patients train."""
        return {name: getattr(self, name) for name in ("folds", "fold", "split_seed")}

    def __post_init__(self) -> None:
        at_least(self, 2, "folds")
        require(0 <= self.fold < self.folds, self, "fold", f"from 0 to {self.folds - 1}")
        require(0 <= self.split_seed < 2**32, self, "split_seed", "from 0 to 2^32 - 1")
        at_least(self, 1, "validation_size", "batch_size")


@dataclass
class PharmacokineticModelConfig:
    """Models of concentrations given an infusion and the covariates of a patient.

    - `two_compartments`: linear exchange of two compartments and clearance, whose parameters
      depend on age, weight and sex
    - `neural_kinetics`: a neural ODE of a latent state that reads the infusion and the patient
    - `corrected_compartments`: the sum of both: a network corrects the rates of the compartments
    """

    GROUP: ClassVar[str] = "model"

    name: str = "two_compartments"  # which model of concentrations
    latent: int = 4  # choice: dimension of the latent state of the neural ODE
    hidden: int = 32  # choice: units of the hidden layer of a network

    def __post_init__(self) -> None:
        at_least(self, 1, "latent", "hidden")


HERE = "node_experiments.chapters.pharmacokinetics"


def model(*used_settings: str) -> Model:
    """Declare a model of concentrations and the settings that it reads."""
    return Model(
        PharmacokineticModelConfig,
        f"{HERE}.models:kinetics",
        {"dosing": "concentrations"},
        ("name", *used_settings),
    )


CHAPTER = Chapter(
    name="pharmacokinetics",
    datasets={
        "remifentanil": Dataset(
            RemifentanilConfig, f"{HERE}.dosing:remifentanil_data", "dosing", "remifentanil"
        )
    },
    models={
        "two_compartments": model(),
        "neural_kinetics": model("latent", "hidden"),
        "corrected_compartments": model("hidden"),
    },
    tasks={
        "concentrations": Task(f"{HERE}.task:concentrations", f"{HERE}.figures:patient_figures")
    },
    tables={"remifentanil": f"{HERE}.table:remifentanil_table"},
)
