"""Construction of the models of irregular series from their settings."""

from __future__ import annotations

import logging

from torch import Tensor, nn

from ...config import ConfigError
from ...nn.augmentation import warn_if_overaugmented
from ...nn.latent_trajectory import LatentTrajectory
from ...nn.mlp import mlp
from ...ode import Gradient, Solver
from .autoregressive import Autoregressive
from .baselines import mean_of
from .forecast_data import ForecastData
from .gap_dynamics import ConstantState, Decay, GapFlow
from .gru_unit import small_weights, tanh_mlp
from .imputation import Imputation
from .latent_ode import Autonomous, IrregularLatentODE, LatentODEPoisson, PoissonDynamics
from .official_bugs import BatchFlippingRNNVAE, MisreadGaps, MisreadODERNN
from .recurrence import Recurrence
from .rnn_vae import RNNVAE
from .settings import SeriesModelConfig
from .vae import SeriesEncoder, SeriesVAE

__all__ = ["autoregressive", "variational"]

log = logging.getLogger(__name__)


def autoregressive(
    settings: SeriesModelConfig, data: ForecastData, solver: Solver, gradient: Gradient
) -> Autoregressive:
    """A model that predicts each point from the observations before it."""
    name, unit = settings.name, data.mean_gap
    is_ode = name == "ode_rnn"
    between: ConstantState | GapFlow = ConstantState()
    if is_ode:
        warn_of_unused_solver(settings, solver)
        between = gap_flow(
            settings,
            data,
            settings.latent,
            settings.encoder_layers,
            solver,
            gradient,
            settings.augment,
        )
    elif name in ("rnn_decay", "gru_d"):
        between = Decay(settings.latent, unit)
    imputation = None
    if name in ("rnn_impute", "gru_d"):
        imputation = Imputation(observed_means(data), unit)
    has_bug = is_ode and settings.variant == "official_bug"
    recurrence = (MisreadGaps if has_bug else Recurrence)(
        data.dim,
        settings.latent,
        settings.unit_hidden,
        between,
        None if is_ode else unit,
        imputation,
        settings.batching,
        data.static,
    )
    return (MisreadODERNN if has_bug else Autoregressive)(
        recurrence,
        data.dim,
        settings.head_hidden,
        settings.noise_std,
        data.span[0],
        unit if type(between) is ConstantState else None,
        class_head(settings, data),
        label_per(data),
    )


def variational(
    settings: SeriesModelConfig, data: ForecastData, solver: Solver, gradient: Gradient
) -> SeriesVAE:
    """A variational autoencoder: an RNN-VAE or a latent ODE."""
    unit, is_rnn_vae = data.mean_gap, settings.name == "rnn_vae"
    extrapolates = data.task == "extrapolation"
    by_ode = not is_rnn_vae and settings.encoder == "ode_rnn"
    between: ConstantState | GapFlow = ConstantState()
    if by_ode:
        between = gap_flow(
            settings, data, settings.encoder_size, settings.encoder_layers, solver, gradient
        )
    poisson = settings.name == "latent_ode_poisson"
    flips = is_rnn_vae and settings.variant == "official_bug" and not extrapolates
    encoder = SeriesEncoder(
        Recurrence(
            data.dim,
            settings.encoder_size,
            settings.unit_hidden,
            between,
            None if by_ode else unit,
            batching=settings.batching,
            static=data.static,
        ),
        2 * settings.latent if poisson else settings.latent,
        settings.head_hidden,
        data.span[0],
        backwards=not (is_rnn_vae and extrapolates) and not flips,
    )
    classifier = class_head(settings, data)
    if is_rnn_vae:
        decoder = tanh_mlp([settings.latent, settings.head_hidden, data.dim])
        return (BatchFlippingRNNVAE if flips else RNNVAE)(
            encoder, decoder, settings.noise_std, data.dim, settings.latent, unit, classifier,
            label_per(data), after=extrapolates and settings.objective == "official_code",
        )  # fmt: skip
    warn_if_overaugmented(settings.augment, settings.latent)
    size = settings.latent + settings.augment
    field: nn.Module = Autonomous(dynamics(settings, size, settings.layers))
    if poisson:
        field = PoissonDynamics(
            settings.latent, data.dim, settings.hidden, settings.layers, settings.augment
        )
    return (LatentODEPoisson if poisson else IrregularLatentODE)(
        encoder,
        LatentTrajectory(field, solver, gradient, settings.knots, settings.augment),
        small_weights(nn.Sequential(nn.Linear(settings.latent, data.dim))),
        settings.noise_std,
        data.dim,
        classifier,
        label_per(data),
    )


def observed_means(data: ForecastData) -> Tensor:
    """Mean of each feature over one pass of the observed training points, shape `(dim,)`."""
    return mean_of((batch.observed for batch in data.train), data.dim).float()


def warn_of_unused_solver(settings: SeriesModelConfig, solver: Solver) -> None:
    """Warn if a solver was chosen but `euler_steps` makes the ODE-RNN use Euler's method."""
    default = Solver("dopri5", rtol=solver.rtol, atol=solver.atol)
    if settings.euler_steps is not None and solver != default:
        log.warning(
            "solver=%s is not used: an ODE-RNN with model.euler_steps=%d uses Euler's method; to "
            "use the solver, set model.euler_steps=null",
            solver.method,
            settings.euler_steps,
        )


def label_per(data: ForecastData) -> str | None:
    """The unit that a label belongs to, `series` or `time`; None if nothing is classified."""
    return data.label_per if data.task == "classification" else None


def class_head(settings: SeriesModelConfig, data: ForecastData) -> nn.Module | None:
    """Network from a state `(..., latent)` to logits; None if nothing is classified."""
    if data.classes is None or label_per(data) is None:
        return None
    hidden = [settings.classifier_hidden] * settings.classifier_layers
    return mlp([settings.latent, *hidden, data.classes], "relu")


def dynamics(settings: SeriesModelConfig, size: int, layers: int) -> nn.Sequential:
    """Network for dh/dt as a function of h, shape `(..., size)`."""
    return tanh_mlp([size, *[settings.hidden] * layers, size])


def gap_flow(
    settings: SeriesModelConfig,
    data: ForecastData,
    size: int,
    layers: int,
    solver: Solver,
    gradient: Gradient,
    augment: int = 0,
) -> GapFlow:
    """ODE flow between observations, by Euler's method if `euler_steps` is set.

    Raises:
        ConfigError: The solver has `step_t` or `jump_t`.
    """
    warn_if_overaugmented(augment, size)
    first, last = data.span
    if settings.euler_steps is not None:
        solver = Solver("euler", num_steps=settings.euler_steps)
    for name in ("step_t", "jump_t"):
        if getattr(solver, name):
            raise ConfigError(
                f"solver.{name}={list(getattr(solver, name))} means nothing to an ODE between "
                "observations, because every gap starts at another time; leave it out, or set "
                "model.euler_steps"
            )
    net = dynamics(settings, size + augment, layers)
    span = (last - first) or 1.0  # 0 if each series has one observation
    return GapFlow(net, solver, gradient, span, augment)
