"""Every experiment composes, with every protocol, solver and gradient; the schema guards it."""

import re
from copy import deepcopy
from dataclasses import fields, replace
from itertools import cycle, product

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from node_experiments import ode
from node_experiments.chapters import datasets, models
from node_experiments.cli import application as cli
from node_experiments.config import (
    ConfigError,
    GradientConfig,
    OptimizerConfig,
    RunConfig,
    SchedulerConfig,
    SolverConfig,
)
from node_experiments.ode.gradients import GRADIENTS, gradient_class
from node_experiments.ode.methods.registry import METHODS
from node_experiments.runner.choices import (
    register_choices,
    registered_choices,
    solver_names,
    without_torch,
)
from node_experiments.runner.compose import configs_folder, typed_config
from tests.grids import by_turns

CONFIGS = configs_folder()


def choices(group):
    files = (path.stem for path in (CONFIGS / group).glob("*.yaml"))
    return sorted({*files, *registered_choices().get(group, ())})


@pytest.fixture(autouse=True)
def _hydra():
    cli.register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        yield


def composed(*overrides):
    return typed_config(compose("config", list(overrides)))


EXPERIMENTS = choices("experiment")
CONTENT = {name: OmegaConf.load(CONFIGS / "experiment" / f"{name}.yaml") for name in EXPERIMENTS}
# Those with separate settings, and of those that only name a dataset and a model every eighth:
# the others are thorough, and the pair that each names is looked at below.
COMPOSED = {
    name
    for place, name in enumerate(EXPERIMENTS)
    if set(CONTENT[name]) - {"defaults", "name"} or place % 8 == 0
}


@pytest.mark.parametrize(
    ("experiment", "protocol"), by_turns(EXPERIMENTS, choices("protocol"), COMPOSED)
)
def test_every_experiment_composes_with_everything(experiment, protocol):
    """In every protocol, by the recipe of its dataset and model.

    Groups do not know of each other, so that their choices take turns among the experiments.
    """
    turn = 3 * EXPERIMENTS.index(experiment) + choices("protocol").index(protocol)
    solver = ("dopri5", "rk4")[turn % 2]
    gradient, regularizer = (
        choices(group)[turn % len(choices(group))] for group in ("gradient", "regularizer")
    )
    config = composed(
        f"experiment={experiment}",
        f"protocol={protocol}",
        f"solver={solver}",
        f"gradient={gradient}",
        f"regularizer={regularizer}",
    )
    assert config.name == experiment
    assert config.protocol == protocol
    assert config.solver.method == solver
    assert config.gradient.name == gradient
    weights = config.regularizer
    named = [name for name in ("kinetic", "jacobian", "taylor") if getattr(weights, name) > 0]
    assert regularizer == ("_".join(named) or "none")
    if protocol == RunConfig.protocol:
        without = composed(*(f"{group}={value}" for group, value in chosen(experiment).items()))
        assert (config.trainer, config.optimizer, config.scheduler, config.dataset) == (
            (without.trainer, without.optimizer, without.scheduler, without.dataset)
        )


def chosen(experiment):
    """What it names, by group."""
    entries = [entry for named in CONTENT[experiment].defaults for entry in named.items()]
    return {key.split("/")[1]: value for key, value in entries}


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_names_a_dataset_and_a_model_that_fit(experiment):
    groups = chosen(experiment)
    names = {group: {"name": value} for group, value in groups.items()}
    assert OmegaConf.merge(CONTENT[experiment], names).name == experiment
    assert (groups.pop("dataset"), groups.pop("model")) in FITTING
    assert all(value in choices(group) for group, value in groups.items())


def test_every_method_is_a_choice():
    missing = set(METHODS) ^ set(solver_names())
    assert not missing, f"put {missing} into WITHOUT_TABLEAU of runner/choices.py"
    registered = ConfigStore.instance()
    for solver in solver_names():
        assert registered.load(f"solver/{solver}.yaml").node == {"method": solver}
    for solver in ("dopri5", "adams", "reversible_rk4"):
        assert composed("experiment=mnist_odenet", f"solver={solver}").solver.method == solver


def test_a_tableau_alone_makes_a_choice(monkeypatch):
    """One record in the list of tableaus is a solver, and its reversible counterpart another."""
    tableaus = without_torch("ode.methods.explicit_tableaus")
    mine = replace(tableaus.TABLEAUS["rk4"], name="mine")
    for registry in (tableaus.TABLEAUS, tableaus.EXPLICIT_TABLEAUS):
        monkeypatch.setitem(registry, "mine", mine)
    store = deepcopy(ConfigStore.instance().repo)
    monkeypatch.setattr(ConfigStore.instance(), "repo", store)
    register_choices()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        for name in ("mine", "reversible_mine"):
            assert compose("config", [f"solver={name}"]).solver.method == name


@pytest.mark.parametrize("debug", choices("debug"))
def test_what_helps_to_debug_fits_every_dataset(debug):
    """It sets nothing that a dataset might not have."""
    assert set(OmegaConf.load(CONFIGS / "debug" / f"{debug}.yaml")) == {"trainer"}
    composed("experiment=spirals_rnn_dt", f"debug='{debug}'")


def test_every_experiment_opens_with_its_command():
    for path in (CONFIGS / "experiment").glob("*.yaml"):
        own = " dataset.path=patients.csv" if path.stem.startswith("csv_") else ""
        assert path.read_text().splitlines()[1] == f"# node-run experiment={path.stem}{own}"


def test_every_number_names_its_source():
    number = re.compile(r"[\w. ]+: \[?[-+\d.e, ]*\d[-+\d.e, ]*\]?\s*")
    for path in CONFIGS.rglob("*.yaml"):
        if "hydra" in path.parts:
            continue
        for line in path.read_text().splitlines():
            value, _, comment = line.partition("#")
            if number.fullmatch(value):
                sources = ("paper", "official_code", "choice")
                assert any(source in comment for source in sources), f"{path}: {line}"


IMAGES = ("mnist", "fashion_mnist", "cifar10")
IRREGULAR = (
    *("periodic", "hopper", "human_activity", "physionet2012", "japanese_vowels", "csv"),
    *("storms", "mimic_demo", "pbcseq"),
)
POINTS = (
    *("2spirals", "8gaussians", "checkerboard", "pinwheel"),
    *("rings", "swissroll", "two_circles", "two_moons"),
)
FITTING = [
    *product(IMAGES, ("odenet", "resnet", "lm_resnet", "mlp", "revnet", "stem_only")),
    *product(
        (d for name in IRREGULAR for d in choices("dataset") if d.startswith(name)),
        (
            *("gru_d", "irregular_latent_ode", "irregular_rnn_dt", "latent_ode_poisson"),
            *("ode_rnn", "rnn_decay", "rnn_impute", "rnn_vae"),
        ),
    ),
    *product(
        (*POINTS, "two_circles_official_code", "energies"),
        ("ffjord", "hamiltonian_cnf", "planar_cnf", "planar_cnf_official_code", "planar_nf"),
    ),
    *product(
        ("spirals", "spirals_official_code"),
        ("latent_ode", "latent_ode_official_code", "rnn", "rnn_dt"),
    ),
    ("poisson", "poisson_latent_ode"),
    ("storm_births", "poisson_latent_ode"),
    *product(("remifentanil",), ("two_compartments", "neural_kinetics", "corrected_compartments")),
    ("cubic_spiral", "neural_ode"),
    ("funnels", "depth_pair"),
    ("smoke", "fluid_control"),
    ("bounces", "bouncing_ball"),
    ("bounces", "learned_physics"),
    ("spheres", "sphere_ode"),
    ("robertson", "reaction_rates"),
    ("hare_lynx", "populations"),
    ("pendulum", "swing_up"),
    *product((*POINTS, "two_circles_official_code"), ("flow_matching",)),
    *product(IMAGES, ("image_flow", "image_ode")),
]


def test_the_list_of_fitting_choices_is_complete():
    assert {dataset for dataset, _ in FITTING} == set(choices("dataset"))
    assert {model for _, model in FITTING} == set(choices("model"))


def recipe_folder(dataset, model):
    if model in ("planar_nf", "flow_matching", "image_flow", "image_ode"):
        return model
    dataset = dataset.removesuffix("_official_code")
    own = {"fashion_mnist": "mnist", "csv": "irregular_series"}
    return own.get(dataset, "point_sets" if dataset in POINTS else dataset)


def in_turn(pairs):
    """Each pair as a case; thorough but for those that first meet their recipe."""
    met = set()
    for pair in pairs:
        folder = recipe_folder(*pair)
        marks = pytest.mark.thorough if folder in met else ()
        met.add(folder)
        yield pytest.param(*pair, marks=marks)


@pytest.mark.parametrize(("dataset", "model"), [*in_turn(FITTING)])
def test_dataset_and_model_choose_their_recipe(dataset, model):
    """Without an experiment, a run trains as its recipe says, in every protocol."""
    protocol = ("smoke", "quick", "paper")[len(dataset + model) % 3]
    config = composed(f"dataset={dataset}", f"model={model}", f"protocol={protocol}")
    path = CONFIGS / "recipe" / recipe_folder(dataset, model) / f"{protocol}.yaml"
    recipe = OmegaConf.load(path)
    assert {"trainer", "optimizer", "scheduler"} <= set(recipe)
    for group in recipe:
        for name, value in recipe[group].items():
            assert getattr(getattr(config, group), name) == value, f"{group}.{name}"


def test_a_recipe_may_name_a_fraction_of_the_epochs():
    """So that a shorter training also reaches the whole span, and the whole KL divergence."""
    for epochs in (100, 20):
        model = composed("experiment=csv_latent_ode", f"trainer.epochs={epochs}").model
        assert (model.kl_wait, model.horizon_epochs) == (0.3 * epochs, 0.5 * epochs)


def test_every_recipe_has_every_protocol():
    for folder in (CONFIGS / "recipe").iterdir():
        assert {path.stem for path in folder.iterdir()} == set(choices("protocol"))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (["dataset=csv"], "model.name='odenet' does not fit dataset.name='csv'"),
        (["model=planar_nf"], "does not fit dataset.name='mnist'"),
        (["dataset=hopper", "model=resnet"], "models for hopper: irregular_rnn_dt"),
    ],
)
def test_a_model_that_does_not_fit_the_dataset(choice, message):
    with pytest.raises(ConfigError, match=message) as raised:
        composed(*choice)
    assert "\n" not in str(raised.value)


def test_an_evaluation_chooses_a_dataset_without_its_model():
    """The checkpoint has the model, so that the default one need not fit."""
    config = composed("mode=eval", "checkpoint=run", "dataset=hopper_official_code")
    assert config.dataset.variant == "official_code"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("recipe=mnits", "recipe=mnits is unknown; did you mean mnist?"),
        (
            "solver=dopri",
            "solver=dopri is unknown; did you mean dopri8, dopri5 or rev",
        ),
        ("protocol=quik", "protocol=quik is unknown; did you mean quick?"),
        ("optimizer=adamm", "optimizer=adamm is unknown; did you mean adam"),
    ],
)
def test_misspelt_choices_are_answered_with_the_nearest(node_run, argument, message):
    GlobalHydra.instance().clear()
    result = node_run(argument)
    assert result.code == 2
    assert message in result.err
    assert len(result.err.splitlines()) == 1


def test_a_choice_on_the_command_line_wins_over_the_recipe():
    """All of it: nothing of the recipe's optimiser or schedule is left beside it."""
    experiments = ("mnist_odenet", "hopper_latent_ode", "poisson_latent_ode", "figure1")
    for experiment, protocol in zip(experiments, cycle(choices("protocol")), strict=False):
        config = composed(
            f"experiment={experiment}",
            f"protocol={protocol}",
            "scheduler=cosine",
            "optimizer=adam",
        )
        assert config.scheduler == SchedulerConfig(name="cosine")
        assert config.optimizer == OptimizerConfig(name="adam", lr=1e-3)


def test_a_setting_on_the_command_line_wins_over_the_recipe():
    config = composed("experiment=mnist_odenet", "trainer.epochs=7", "optimizer.lr=0.2")
    assert (config.trainer.epochs, config.optimizer.lr) == (7, 0.2)
    assert config.optimizer.nesterov
    config = composed("dataset=rings", "model=ffjord", "recipe=planar_nf", "dataset.batches=3")
    assert (config.optimizer.name, config.dataset.batches) == ("rmsprop", 3)


def test_paper_protocol_is_the_official_schedule():
    config = composed("experiment=mnist_odenet", "protocol=paper")
    assert (config.trainer.epochs, config.dataset.batch_size) == (160, 128)
    assert (config.optimizer.lr, config.optimizer.momentum) == (0.1, 0.9)
    assert config.optimizer.weight_decay == 0
    assert (config.scheduler.epochs, config.scheduler.factor) == ([60, 100, 140], 0.1)
    assert config.dataset.augment
    assert not config.dataset.standardize
    assert (config.solver.method, config.solver.rtol, config.solver.atol) == ("dopri5", 1e-3, 1e-3)


def test_solver_schema_mirrors_the_solver():
    schema = [f.name for f in fields(SolverConfig)]
    of_drop_in = {"accept_min_step", "max_steps_between_outputs", "perturb", "interpolation"}
    # Whether anything is compiled is a setting of the trainer.
    elsewhere = of_drop_in | {"compile"}
    assert schema == [f.name for f in fields(ode.Solver) if f.name not in elsewhere]


def test_gradient_schema_knows_every_option():
    options = {f.name for way in map(gradient_class, GRADIENTS) for f in fields(way)}
    # A norm, a callback and a whole solver are objects of Python; the error and zeros are for the
    # drop-in alone.
    options -= {"compile", "norm", "watch", "solver", "error", "materialize_grads"}
    assert options == {f.name for f in fields(GradientConfig)} - {"name"}
    for f in fields(GradientConfig):
        for way in map(gradient_class, GRADIENTS):
            defaults = {g.name: g.default for g in fields(way)}
            assert defaults.get(f.name, f.default) == f.default


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lr=0", "optimizer.lr=0.0 must be"),
        ("optimizer.momentum=1", "momentum"),
        ("scheduler.epochs=[3,2]", "rising"),
        ("trainer.threads=0", "at least 1"),
        ("trainer.precision=fp8", "fp32 or bf16"),
        ("dataset.validation_size=-1", "at least 0"),
        ("model.stem=pool", "conv or res"),
        ("model.channels=40", "multiple of 32"),
        ("seed=-1", "must be from 0"),
        ("+trainer.foo=1", "trainer.foo is not a setting"),
        ("+foo=1", "foo is not a setting"),
        ("+dataset.nme=x", "did you mean dataset.name"),
    ],
)
def test_values_out_of_range(override, message):
    with pytest.raises(ConfigError, match=message) as raised:
        composed(override)
    assert "\n" not in str(raised.value)


def test_every_field_is_described():
    import inspect

    from node_experiments import config as module

    groups = [f.default_factory for f in fields(RunConfig)]
    for schema in (
        RunConfig,
        *groups,
        *(entry.settings for entry in (*datasets().values(), *models().values())),
    ):
        if not isinstance(schema, type) or not schema.__module__.startswith(module.__name__):
            continue
        source = inspect.getsource(schema)
        for f in fields(schema):
            lines = [x for x in source.splitlines() if x.strip().startswith(f"{f.name}:")]
            if not lines:  # inherited, and described there
                continue
            (line,) = lines
            described = "#" in line or "default_factory" in line or f.name == "atol"
            assert described, f"{schema.__name__}.{f.name}"
    assert module.__doc__
