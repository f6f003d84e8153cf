"""Settings of the models of irregularly sampled series."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ...config.checks import require

__all__ = ["IRREGULAR_MODELS", "IrregularModelConfig"]

AUTOREGRESSIVE = ("irregular_rnn_dt", "rnn_impute", "rnn_decay", "gru_d", "ode_rnn")
VARIATIONAL = ("rnn_vae", "irregular_latent_ode", "latent_ode_poisson")


@dataclass
class IrregularModelConfig:
    """All of them, so that one schedule can size them all; each reads what it knows."""

    GROUP: ClassVar[str] = "model"

    name: str = "ode_rnn"  # one of the names above
    latent: int = 10  # size of z, or of the state of an autoregressive model
    encoder_size: int = 20  # size of an encoder's state
    unit_hidden: int = 100  # hidden units of the gates of the recurrent unit
    hidden: int = 100  # units of a hidden layer of the dynamics
    layers: int = 2  # hidden layers of the latent ODE's dynamics
    encoder_layers: int = 2  # hidden layers of an encoder's or the ODE-RNN's dynamics
    head_hidden: int = 100  # hidden units of the heads for values and for z0
    noise_std: float = 0.01  # of an observation, in units of the data
    encoder: str = "ode_rnn"  # of irregular_latent_ode and latent_ode_poisson: ode_rnn | rnn
    euler_steps: int | None = 50  # Euler steps over the span between observations; null: solver
    batching: str = "independent"  # of ODEs between observations: independent | union
    variant: str = "fixed"  # of ode_rnn and rnn_vae: fixed | official_bug
    samples: int = 3  # draws of z0 for each series in a training step
    kl_wait: int = 10  # epochs without the KL
    kl_rate: float = 0.99  # then its weight is 1 - kl_rate^epochs
    classifier_layers: int = 2  # hidden layers of the head for classes; linear with 0
    classifier_hidden: int = 300  # their units
    reconstruction_weight: float = 1.0  # of the likelihood when classifying
    classification_weight: float = 100.0  # of the cross-entropy when classifying
    knots: int | None = None  # see LatentTrajectory: 0 for the union of times; chosen when null

    def __post_init__(self) -> None:
        for name in ("latent", "encoder_size", "unit_hidden", "hidden", "layers",
                     "encoder_layers", "head_hidden", "samples", "classifier_hidden"):  # fmt: skip
            require(getattr(self, name) >= 1, self, name, "at least 1")
        require(0 < self.noise_std < math.inf, self, "noise_std", "a number > 0")
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
            f"fixed: official_bug is one of ode_rnn and rnn_vae with batching=independent, "
            f"and this is {self.name}",
        )
        require(self.kl_wait >= 0, self, "kl_wait", "at least 0")
        require(0 < self.kl_rate <= 1, self, "kl_rate", "above 0, at most 1")
        require(self.classifier_layers >= 0, self, "classifier_layers", "at least 0")
        for name in ("reconstruction_weight", "classification_weight"):
            require(0 <= getattr(self, name) < math.inf, self, name, "a number >= 0")
        require(self.knots is None or self.knots >= 0, self, "knots", "at least 0, or null")


IRREGULAR_MODELS: dict[str, type] = dict.fromkeys(
    (*AUTOREGRESSIVE, *VARIATIONAL), IrregularModelConfig
)
