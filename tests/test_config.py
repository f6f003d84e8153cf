"""Every experiment composes, with every protocol, solver and gradient; the schema guards it."""

from dataclasses import fields
from itertools import cycle

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from node_experiments import ode
from node_experiments.cli import application as cli
from node_experiments.config import (
    ConfigError,
    GradientConfig,
    RunConfig,
    SolverConfig,
    configs_folder,
    typed_config,
)
from node_experiments.ode.methods import METHODS

CONFIGS = configs_folder()


def choices(group):
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


@pytest.fixture(autouse=True)
def _hydra():
    cli.register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        yield


def composed(*overrides):
    return typed_config(compose("config", list(overrides)))


@pytest.mark.parametrize("experiment", choices("experiment"))
def test_every_experiment_composes_with_everything(experiment):
    for protocol in choices("protocol"):
        config = composed(f"experiment={experiment}", f"protocol={protocol}")
        assert config.name == experiment
        assert config.protocol == protocol
    # Groups do not know of each other, so that each choice is met once.
    for solver, gradient, regularizer in zip(
        cycle(("dopri5", "rk4")), choices("gradient"), cycle(choices("regularizer")), strict=False
    ):
        config = composed(
            f"experiment={experiment}",
            f"solver={solver}",
            f"gradient={gradient}",
            f"regularizer={regularizer}",
        )
        assert config.solver.method == solver
        assert config.gradient.name == gradient
        weights = config.regularizer
        named = [name for name in ("kinetic", "jacobian", "taylor") if getattr(weights, name) > 0]
        assert regularizer == ("_".join(named) or "none")


def test_every_method_has_its_config():
    assert set(choices("solver")) == set(METHODS)
    for solver in choices("solver"):
        assert composed("experiment=mnist_odenet", f"solver={solver}").solver.method == solver


def test_every_experiment_opens_with_its_command():
    for path in (CONFIGS / "experiment").glob("*.yaml"):
        assert path.read_text().splitlines()[1] == f"# node-run experiment={path.stem}"


def test_weights_of_regularizers_name_their_source():
    for path in (CONFIGS / "regularizer").glob("*.yaml"):
        for line in path.read_text().splitlines():
            number, _, comment = line.partition("#")
            if any(digit in number.partition(":")[2] for digit in "123456789"):
                assert any(s in comment for s in ("official_code", "choice")), line


def test_numbers_of_protocols_name_their_source():
    """Wherever an experiment sets a number, a comment says where it comes from."""
    for pattern in (
        "protocol/*/*.yaml",
        "optimizer/*/*.yaml",
        "scheduler/*/*.yaml",
        "sweep/*/*.yaml",
    ):
        for path in CONFIGS.glob(pattern):
            for line in path.read_text().splitlines():
                if any(character.isdigit() for character in line.partition("#")[0]):
                    comment = line.partition("#")[2]
                    assert any(s in comment for s in ("paper", "official_code", "choice")), line


def test_a_choice_on_the_command_line_wins_over_the_experiment():
    config = composed("experiment=mnist_odenet", "scheduler=cosine", "optimizer=adam")
    assert (config.scheduler.name, config.optimizer.name) == ("cosine", "adam")
    assert config.optimizer.lr == 1e-3
    assert composed("experiment=mnist_odenet", "trainer.epochs=7").trainer.epochs == 7


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
    assert schema == [f.name for f in fields(ode.Solver)]


def test_gradient_schema_knows_every_option():
    options = {f.name for way in ode.gradients.GRADIENTS.values() for f in fields(way)}
    # Whether anything is compiled is a setting of the trainer.
    assert options - {"compile"} == {f.name for f in fields(GradientConfig)} - {"name"}
    for f in fields(GradientConfig):
        for way in ode.gradients.GRADIENTS.values():
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
    for schema in (RunConfig, *groups, *module.DATASETS.values(), *module.MODELS.values()):
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
