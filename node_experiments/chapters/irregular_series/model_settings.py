"""Settings of the models of irregular series (Rubanova et al. 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ...config.checks import require

__all__ = ["SeriesModelConfig"]


@dataclass
class SeriesModelConfig:
    """The models of irregular series; one class, so that one schedule can size all of them.

    - `irregular_rnn_dt`: a gated recurrent network that reads the time since the last observation
    - `rnn_impute`: the same, missing features imputed between last value and mean
    - `rnn_decay`: the state decays exponentially between observations
    - `gru_d`: imputation and decay (Che et al. 2018)
    - `ode_rnn`: the state follows an ODE between observations
    - `rnn_vae`: one RNN encodes a series as z0, another decodes it
    - `irregular_latent_ode`: a latent ODE whose encoder reads the observations backwards in time
    - `latent_ode_poisson`: that also models when each feature is observed, as a Poisson process
    """

    GROUP: ClassVar[str] = "model"

    name: str = "ode_rnn"  # one of the names above
    latent: int = 10  # official_code, of sinusoids: dimension of z, or of an RNN's state
    encoder_size: int = 20  # official_code, of sinusoids: dimension of an encoder's state
    unit_hidden: int = 100  # official_code, of sinusoids: hidden units of the gates
    hidden: int = 100  # official_code, of sinusoids: units of a hidden layer of the dynamics
    layers: int = 2  # official_code, of sinusoids: hidden layers of the latent ODE's dynamics
    encoder_layers: int = 2  # official_code, of sinusoids: of an encoder's or ODE-RNN's dynamics
    head_hidden: int = 100  # official_code: hidden units of the heads for values and for z0
    noise_std: float | None = 0.01  # official_code: of an observation; null: learned per feature
    encoder: str = "ode_rnn"  # paper: ode_rnn | rnn, of both latent ODEs; rnn reads the gaps
    euler_steps: int | None = 50  # official_code: Euler steps over the span; null: the solver
    batching: str = "independent"  # choice: independent | union: a solve between any two times
    variant: str = "fixed"  # choice: fixed | official_bug, of ode_rnn and rnn_vae
    samples: int = 3  # official_code: draws of z0 per series in a training step
    objective: str = "official_code"  # of latent variables: official_code | elbo, which reads:
    kl_weight: float = 1.0  # choice: of the KL at last, after a linear rise over kl_wait epochs
    horizon_epochs: int = 0  # choice: in which what is reconstructed grows to the whole span
    kl_wait: int = 10  # official_code: epochs without the KL
    kl_rate: float = 0.99  # official_code: then its weight is 1 - kl_rate^epochs
    classifier_layers: int = 2  # official_code: hidden layers of the head for classes; 0: linear
    classifier_hidden: int = 300  # official_code: their units
    reconstruction_weight: float = 1.0  # official_code: of the likelihood when classifying
    classification_weight: float = 100.0  # official_code, of physionet2012: of the cross-entropy
    knots: int | None = None  # choice: see LatentTrajectory: 0 for the union of times
    augment: int = 0  # dimensions of the ODE of ode_rnn or z that start at zero, and are not read

    def __post_init__(self) -> None:
        require(0 <= self.augment <= 1000, self, "augment", "from 0 to 1000")
        for name in ("latent", "encoder_size", "unit_hidden", "hidden", "layers",
                     "encoder_layers", "head_hidden", "samples", "classifier_hidden"):  # fmt: skip
            require(getattr(self, name) >= 1, self, name, "at least 1")
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
            f"fixed: official_bug is one of ode_rnn and rnn_vae with batching=independent, "
            f"and this is {self.name}",
        )
        objectives = ("official_code", "elbo")
        require(self.objective in objectives, self, "objective", " or ".join(objectives))
        require(0 <= self.kl_weight < math.inf, self, "kl_weight", "a number >= 0")
        require(self.horizon_epochs >= 0, self, "horizon_epochs", "at least 0")
        require(self.kl_wait >= 0, self, "kl_wait", "at least 0")
        require(0 < self.kl_rate <= 1, self, "kl_rate", "above 0, at most 1")
        require(self.classifier_layers >= 0, self, "classifier_layers", "at least 0")
        for name in ("reconstruction_weight", "classification_weight"):
            require(0 <= getattr(self, name) < math.inf, self, name, "a number >= 0")
        require(self.knots is None or self.knots >= 0, self, "knots", "at least 0, or null")
