"""Every registered model with a regulariser: what its penalty is, or why it can have none."""

import copy
from collections import defaultdict

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor
from torch.utils._pytree import tree_map

from node_experiments.chapters import models
from node_experiments.chapters.irregular_series.gap_dynamics import GapField, GapFlow
from node_experiments.chapters.irregular_series.latent_ode import PoissonDynamics
from node_experiments.chapters.latent_ode.poisson_model import PoissonField
from node_experiments.chapters.normalizing_flows.continuous_flow import DensityField
from node_experiments.cli import application as cli
from node_experiments.config import ConfigError
from node_experiments.nn.ode_module import ODEModule, solving_modules
from node_experiments.nn.regularizers import RegularizedField
from node_experiments.ode import Solver, solve
from node_experiments.ode.compiled import compilation
from node_experiments.runner import build
from node_experiments.runner.compose import configs_folder, typed_config
from node_experiments.training.losses import take_penalties
from tests.grids import always, by_turns

IMAGES = ("dataset.train_size=16", "dataset.batch_size=2", "dataset.validation_size=16")
SERIES = ("dataset.train_size=8", "dataset.batch_size=4", "dataset.validation_size=8")
POINTS = ("dataset.batch_size=16",)
IRREGULAR = ("model.euler_steps=null",)
SOLVING = {
    "odenet": ("mnist_odenet", *IMAGES, "model.channels=4"),
    "depth_pair": ("figure1",),
    "neural_ode": ("ode_demo",),
    "latent_ode": ("spirals_latent_ode", *SERIES),
    "poisson_latent_ode": ("poisson_latent_ode", *SERIES),
    "planar_cnf": ("two_moons_planar_cnf", *POINTS),
    "ffjord": ("pinwheel_ffjord", *POINTS),
    "hamiltonian_cnf": ("two_moons_hamiltonian_cnf", *POINTS),
    "ode_rnn": ("periodic_ode_rnn", *SERIES, *IRREGULAR),
    "irregular_latent_ode": ("periodic_latent_ode", *SERIES, *IRREGULAR),
    "fluid_control": ("fluid_control", "model.compare_gradients=false"),
    "sphere_ode": ("anode_spheres",),
    "image_ode": ("anode_mnist", *IMAGES, "model.pool=4", "model.parameters=20000"),
    "populations": ("lotka_volterra_hare_lynx",),
    "latent_ode_poisson": ("periodic_latent_ode", "model=latent_ode_poisson", *SERIES, *IRREGULAR),
}
# Models that solve an ODE, but not as a regulariser needs it.
UNREGULARIZED = {
    "reaction_rates": ("stiff_kinetics",),
    "two_compartments": ("remifentanil_two_compartments",),
    "neural_kinetics": ("remifentanil_neural_kinetics",),
    "corrected_compartments": ("remifentanil_corrected_compartments",),
    "swing_up": ("pendulum",),
    "bouncing_ball": ("bouncing_ball",),
    "learned_physics": ("learn_physics",),
    "flow_matching": ("two_moons_flow_matching", *POINTS),
    "image_flow": ("mnist_flow_matching", *IMAGES, "model.channels=8"),
}
NOT_SOLVING = {
    "resnet": ("mnist_resnet", *IMAGES),
    "revnet": ("mnist_revnet", *IMAGES),
    "lm_resnet": ("mnist_lm_resnet", *IMAGES),
    "stem_only": ("mnist_stem_only", *IMAGES),
    "mlp": ("mnist_mlp", *IMAGES),
    "rnn": ("spirals_rnn", *SERIES),
    "rnn_dt": ("spirals_rnn_dt", *SERIES),
    "planar_nf": ("two_moons_planar_nf", *POINTS),
    "irregular_rnn_dt": ("periodic_rnn_dt", *SERIES),
    "rnn_impute": ("periodic_rnn_dt", "model=rnn_impute", *SERIES),
    "rnn_decay": ("periodic_rnn_dt", "model=rnn_decay", *SERIES),
    "gru_d": ("periodic_gru_d", *SERIES),
    "rnn_vae": ("periodic_rnn_vae", *SERIES),
}
ALL = (
    "regularizer.kinetic=0.5",
    "regularizer.jacobian=0.3",
    "regularizer.taylor=0.2",
    "regularizer.order=2",
)
TIGHT = ("solver=dopri5", "solver.rtol=1e-4", "solver.atol=1e-5", "gradient=discrete")


def configured(experiment, *overrides):
    cli.register()
    with initialize_config_dir(str(configs_folder()), version_base="1.3"):
        return typed_config(
            compose("config", [f"experiment={experiment}", "protocol=smoke", *overrides])
        )


def trained_once(config):
    """The model after one loss in training mode."""
    torch.manual_seed(0)
    data = build.build_data(config, torch.device("cpu"))
    model = build.build_model(config, data, torch.device("cpu")).train()
    loss, _ = build.build_task(config, data).loss(model, next(iter(data.train)), 0)
    assert loss.isfinite()
    return model


def test_no_model_is_forgotten():
    kinds = (SOLVING, NOT_SOLVING, UNREGULARIZED)
    assert sorted(name for kind in kinds for name in kind) == sorted(models())


@pytest.fixture
def solves(monkeypatch):
    """Of every regularised solve: the module, what was given to it, and the noise."""
    seen, noises = [], []
    integrate, draw_noise = ODEModule.integrate, RegularizedField.draw_noise

    def watched(module, y0, times, args, solver):
        result = integrate(module, y0, times, args, solver)
        seen.append((module, y0, times, args, noises[-1]))
        return result

    def drawn(field, y0):
        noises.append(draw_noise(field, y0))
        return noises[-1]

    monkeypatch.setattr(ODEModule, "integrate", watched)
    monkeypatch.setattr(RegularizedField, "draw_noise", drawn)
    return seen


def moving(field, y):
    """What of a state moves, and how: z and f(t, z), written down for each kind of model."""
    if isinstance(field, DensityField):
        return y[0], field.dynamics
    if isinstance(field, PoissonField):
        return y[..., :-1], field.dynamics
    if isinstance(field, PoissonDynamics):
        return y[..., : 2 * field.latent], lambda t, z: field.net(z)
    if isinstance(field, GapField):
        return y, lambda t, z: field.net(z)
    return y, field


def by_quadrature(module, y0, times, args, noise):
    """Integrals of a solve by Simpson's rule over its trajectory, in float64.

    Returns:
        By name, the integral of each row over the time of the data.
    """
    field = copy.deepcopy(module.vector_field).double()
    y0, args, noise = in_double((y0, args, noise))
    nodes = torch.linspace(float(times[0]), float(times[-1]), 33, dtype=torch.float64)
    with torch.no_grad():
        tight = Solver("dopri5", rtol=1e-5, atol=1e-7)
        ys = solve(field, y0, nodes, tight, args=args).ys

    def integrands(t, y):
        z, dynamics = moving(field, y)
        velocity, second = torch.func.jvp(
            dynamics, (t, z), (torch.ones_like(t), dynamics(t, z).detach())
        )
        _, pull_back = torch.func.vjp(lambda z: dynamics(t, z), z)
        parts = {"kinetic": velocity, "jacobian": pull_back(noise)[0], "taylor": second}
        return {name: part.square().flatten(1).mean(1) for name, part in parts.items()}

    with torch.no_grad():
        values = torch.vmap(integrands)(nodes, ys)
    weights = torch.full((33,), 2.0).double()
    weights[1::2], weights[0], weights[-1] = 4, 1, 1
    step = (nodes[1] - nodes[0]).abs()
    duration = args[0].abs()[:, 0] if isinstance(field, GapField) else 1
    return {
        name: duration * step / 3 * torch.tensordot(weights, part, 1)
        for name, part in values.items()
    }


def in_double(x):
    return tree_map(lambda leaf: leaf.detach().double() if isinstance(leaf, Tensor) else leaf, x)


# One of each kind of vector field; the others are thorough.
KINDS = (
    "odenet",
    "planar_cnf",
    "latent_ode_poisson",
)


@pytest.mark.parametrize(
    "name",
    always(KINDS, SOLVING),
)
def test_the_penalty_is_the_integral_along_every_solve(name, solves):
    """Of all ODEs of the model; and its gradient reaches all weights of what moves."""
    config = configured(*SOLVING[name], *TIGHT, *ALL)
    assert config.model.name == name
    model = trained_once(config)
    modules = solving_modules(model)
    assert {id(module) for module, *_ in solves} == {id(module) for module in modules}
    expected = defaultdict(float)
    for module, y0, times, args, noise in solves:
        for kind, rows in by_quadrature(module, y0, times, args, noise).items():
            series = config.dataset.batch_size if isinstance(module, GapFlow) else len(rows)
            expected[kind] += float(rows.sum() / series)
    found = defaultdict(float)
    paid = 0.0
    for kind, penalty in take_penalties(model):
        found[kind] += penalty.integral.item()
        paid = paid + penalty.weight * penalty.integral
    assert list(found) == ["kinetic", "jacobian", "taylor"]
    # Where a rectifier switches, integrands jump, and no quadrature is of high order; populations
    # rise in less time than lies between two nodes.
    hard = ("odenet", "sphere_ode", "image_ode", "populations")
    tolerance = 2e-2 if name in hard else 2e-3
    for kind, value in expected.items():
        assert value > 0
        assert found[kind] == pytest.approx(value, rel=tolerance), kind
    paid.backward()
    for module in modules:
        for parameter_name, parameter in module.vector_field.named_parameters():
            if "log_rate" not in parameter_name:  # of events, which do not move
                assert parameter.grad is not None, parameter_name
                assert bool(parameter.grad.any()), parameter_name


@pytest.mark.parametrize("name", UNREGULARIZED)
def test_models_whose_solves_carry_no_penalty_say_why(name):
    config = configured(*UNREGULARIZED[name], "regularizer=kinetic")
    assert config.model.name == name
    data = build.build_data(config, torch.device("cpu"))
    with pytest.raises(ConfigError, match="regularizer cannot be used with this model, wh"):
        build.build_model(config, data, torch.device("cpu"))


# Of each chapter one, and one of each kind of recurrence; the others are thorough.
@pytest.mark.parametrize(
    "name", always(("resnet", "rnn", "planar_nf", "rnn_decay", "rnn_vae"), NOT_SOLVING)
)
def test_models_without_an_ode_say_so(name):
    config = configured(*NOT_SOLVING[name], "regularizer=kinetic")
    data = build.build_data(config, torch.device("cpu"))
    with pytest.raises(ConfigError) as rejected:
        build.build_model(config, data, torch.device("cpu"))
    assert str(rejected.value) == (
        f"regularizer.kinetic has no effect on model.name={name!r}, which solves no ODE; "
        "use regularizer=none"
    )


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's own
@pytest.mark.parametrize(
    ("name", "gradient"),
    by_turns(["odenet", "ode_rnn", "latent_ode_poisson"], ["discrete", "backprop"]),
)
def test_a_compiled_model_pays_the_same(name, gradient, monkeypatch):
    """What is compiled is what a regularised solve evaluates."""
    asked = (
        *SOLVING[name],
        "solver=rk4",
        "solver.num_steps=2",
        "regularizer=kinetic",
        f"gradient={gradient}",
    )
    calls = []

    def lower(function, examples):
        def call(inputs):
            calls.append(name)
            with torch.no_grad():
                return function(*inputs)

        return call

    monkeypatch.setattr(compilation, "lowering", lambda device: lower)
    found = []
    for compiled in ("false", "true"):
        model = trained_once(configured(*asked, f"trainer.compile={compiled}"))
        found.append([penalty.integral for _, penalty in take_penalties(model)])
        assert bool(calls) == (compiled == "true")
    torch.testing.assert_close(*found)
