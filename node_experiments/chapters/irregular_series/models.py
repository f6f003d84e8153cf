"""The models of irregular series by name, put together from their parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...nn.latent_trajectory import LatentTrajectory
from ...ode import (
    Gradient,
    Solver,
)
from ..latent_ode.model import mlp
from .autoregressive import Autoregressive
from .gap_dynamics import (
    Decay,
    GapFlow,
    Hold,
)
from .gru_unit import (
    small_weights,
    tanh_mlp,
)
from .imputation import Imputation
from .latent_ode import (
    Autonomous,
    IrregularLatentODE,
    LatentODEPoisson,
    PoissonDynamics,
)
from .recurrence import Recurrence
from .rnn_vae import RNNVAE
from .vae import (
    SeriesEncoder,
    SeriesVAE,
)

__all__ = ["AUTOREGRESSIVE", "VARIATIONAL", "SeriesModel", "mean_values", "series_model"]

AUTOREGRESSIVE = ("irregular_rnn_dt", "rnn_impute", "rnn_decay", "gru_d", "ode_rnn")
VARIATIONAL = ("rnn_vae", "irregular_latent_ode", "latent_ode_poisson")


@dataclass
class SeriesModel:
    """What makes a model; each reads the settings that it knows.

    Attributes:
        name: One of `AUTOREGRESSIVE` or `VARIATIONAL`.
        dim, classes, label_per, span, mean_gap: As in `data.irregular_series.ForecastData`.
        extrapolates: The targets come after the observations.
        values: Means of the features over the training series, shape `(dim,)`, for imputation.
        latent: Size of z, or of the state of an autoregressive model.
        encoder_size: Size of an encoder's state.
        unit_hidden: Hidden units of the gates.
        hidden, layers: Of the dynamics of the latent ODE, or of the ODE-RNN.
        encoder_layers: Hidden layers of the dynamics of an encoder, of as many units.
        head_hidden: Hidden units of the head for values, and of the one for z0.
        encoder: `ode_rnn`, or `rnn`, which reads the gaps instead.
        euler_steps: Steps of Euler's method over the whole span, where an ODE carries a state from
            observation to observation; it is solved by the solver when None.
        batching: Of the ODE-RNN, see `Recurrence`.
        variant: `fixed`, or `official_bug` of the ODE-RNN and the RNN-VAE.
        classifier_layers, classifier_hidden: Of the head for classes; linear with 0 layers.
        knots: As in `LatentTrajectory`.
    """

    name: str
    dim: int
    classes: int | None
    label_per: str | None
    span: tuple[float, float]
    mean_gap: float
    extrapolates: bool
    values: Tensor | None = None
    latent: int = 10
    encoder_size: int = 20
    unit_hidden: int = 100
    hidden: int = 100
    layers: int = 2
    encoder_layers: int = 2
    head_hidden: int = 100
    noise_std: float = 0.01
    encoder: str = "ode_rnn"
    euler_steps: int | None = 50
    batching: str = "independent"
    variant: str = "fixed"
    classifier_layers: int = 2
    classifier_hidden: int = 300
    knots: int | None = None

    def head_for_classes(self) -> nn.Module | None:
        """Logits from a state `(..., latent)`."""
        if self.classes is None or self.label_per is None:
            return None
        hidden = [self.classifier_hidden] * self.classifier_layers
        return mlp([self.latent, *hidden, self.classes], "relu")

    def dynamics(self, size: int, layers: int) -> nn.Sequential:
        """dh/dt as a function of h, `(..., size)`."""
        return tanh_mlp([size, *[self.hidden] * layers, size])

    def flow(self, size: int, layers: int, solver: Solver, gradient: Gradient) -> GapFlow:
        """An ODE between observations."""
        first, last = self.span
        if self.euler_steps is not None:
            solver = Solver("euler", num_steps=self.euler_steps)
        return GapFlow(self.dynamics(size, layers), solver, gradient, last - first)


def series_model(parts: SeriesModel, solver: Solver, gradient: Gradient) -> nn.Module:
    """The model."""
    if parts.name in AUTOREGRESSIVE:
        return autoregressive(parts, solver, gradient)
    return variational(parts, solver, gradient)


def autoregressive(parts: SeriesModel, solver: Solver, gradient: Gradient) -> Autoregressive:
    """One of `AUTOREGRESSIVE`."""
    name, unit = parts.name, parts.mean_gap
    is_ode = name == "ode_rnn"
    between: Hold | GapFlow = Hold()
    if is_ode:
        between = parts.flow(parts.latent, parts.encoder_layers, solver, gradient)
    elif name in ("rnn_decay", "gru_d"):
        between = Decay(parts.latent, unit)
    imputation = None
    if name in ("rnn_impute", "gru_d"):
        assert parts.values is not None
        imputation = Imputation(parts.values, unit)
    recurrence = Recurrence(
        parts.dim,
        parts.latent,
        parts.unit_hidden,
        between,
        None if is_ode else unit,
        imputation,
        parts.batching,
        is_ode and parts.variant == "official_bug",
    )
    return Autoregressive(
        recurrence,
        parts.dim,
        parts.head_hidden,
        parts.noise_std,
        parts.span[0],
        unit if type(between) is Hold else None,
        parts.head_for_classes(),
        parts.label_per,
    )


def variational(parts: SeriesModel, solver: Solver, gradient: Gradient) -> SeriesVAE:
    """One of `VARIATIONAL`."""
    unit, is_rnn_vae = parts.mean_gap, parts.name == "rnn_vae"
    by_ode = not is_rnn_vae and parts.encoder == "ode_rnn"
    between: Hold | GapFlow = Hold()
    if by_ode:
        between = parts.flow(parts.encoder_size, parts.encoder_layers, solver, gradient)
    poisson = parts.name == "latent_ode_poisson"
    flips = is_rnn_vae and parts.variant == "official_bug" and not parts.extrapolates
    encoder = SeriesEncoder(
        Recurrence(
            parts.dim,
            parts.encoder_size,
            parts.unit_hidden,
            between,
            None if by_ode else unit,
            batching=parts.batching,
        ),
        2 * parts.latent if poisson else parts.latent,
        parts.head_hidden,
        parts.span[0],
        backwards=not (is_rnn_vae and parts.extrapolates) and not flips,
    )
    classifier = parts.head_for_classes()
    if is_rnn_vae:
        decoder = tanh_mlp([parts.latent, parts.head_hidden, parts.dim])
        return RNNVAE(
            encoder, decoder, parts.noise_std, parts.dim, parts.latent, unit, classifier,
            parts.label_per, flips,
        )  # fmt: skip
    field: nn.Module = Autonomous(parts.dynamics(parts.latent, parts.layers))
    if poisson:
        field = PoissonDynamics(parts.latent, parts.dim, parts.hidden, parts.layers)
    return (LatentODEPoisson if poisson else IrregularLatentODE)(
        encoder,
        LatentTrajectory(field, solver, gradient, parts.knots),
        small_weights(nn.Sequential(nn.Linear(parts.latent, parts.dim))),
        parts.noise_std,
        classifier,
        parts.label_per,
    )


def mean_values(batches: Iterable[Any], dim: int) -> Tensor:
    """Mean of each feature over the observations of one pass, shape `(dim,)`; 0 if never seen."""
    total, count = torch.zeros(dim, dtype=torch.float64), torch.zeros(dim, dtype=torch.float64)
    for batch in batches:
        features = batch.observed.observed_features & batch.observed.mask.unsqueeze(-1)
        total += batch.observed.values.masked_fill(~features, 0).double().sum((0, 1)).cpu()
        count += features.double().sum((0, 1)).cpu()
    return (total / count.clamp(min=1)).float()
