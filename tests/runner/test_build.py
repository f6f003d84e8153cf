"""Every setting arrives where it belongs, and the seed reaches weights and data."""

from dataclasses import asdict, fields, replace

import pytest
import torch

from node_experiments.chapters import datasets
from node_experiments.config import (
    GradientConfig,
    RunConfig,
    SchedulerConfig,
    SolverConfig,
    TrainerConfig,
    config_hash,
)
from node_experiments.ode.gradients import GRADIENTS, gradient_class
from node_experiments.runner import build
from node_experiments.runner.train import prepare

# Of every setting of the solver another value than the default, with what it needs beside it.
SOLVER = {
    "method": ("bosh3", {}), "rtol": (1e-7, {}), "atol": (1e-8, {}), "num_steps": (3, {}),
    "step_size": (0.25, {}), "first_step": (0.125, {}), "min_step": (1e-9, {}),
    "max_step": (0.5, {}), "max_steps": (77, {}), "max_steps_between_outputs": (9, {}),
    "accept_min_step": (True, {"min_step": 1e-9}), "controller": ("pid", {}), "safety": (0.8, {}),
    "min_factor": (0.4, {}), "max_factor": (6.0, {}), "step_t": ([0.5], {}), "jump_t": ([0.5], {}),
    "max_order": (3, {"method": "adams"}), "perturb": (True, {"num_steps": 3}),
    "interpolation": ("linear", {"num_steps": 3}), "batching": ("independent", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", [entry.name for entry in fields(SolverConfig)])
def test_every_setting_of_the_solver_arrives(name):
    value, others = SOLVER[name]
    assert getattr(SolverConfig(), name) != value
    solver = build.build_solver(SolverConfig(**{name: value}, **others))
    found = getattr(solver, name)
    assert (list(found) if isinstance(value, list) else found) == value


GRADIENT = {
    "method": "rk4", "rtol": 1e-7, "atol": 1e-8, "seminorm": False, "state_tolerance": 0.5,
    "checkpoints": 5, "retain_graphs": True, "reconstruction_tolerance": 0.25, "points": 5,
    "quadrature": 5, "quadrature_points": 5, "compile": True,
}  # fmt: skip


@pytest.mark.parametrize("gradient", sorted(GRADIENTS))
def test_every_setting_of_the_gradient_method_arrives(gradient):
    settings = {entry.name for entry in fields(GradientConfig)} - {"name"}
    own = settings & {entry.name for entry in fields(gradient_class(gradient))}
    for name in own:
        assert getattr(GradientConfig(gradient), name) != GRADIENT[name]
        method = build.build_gradient(GradientConfig(gradient, **{name: GRADIENT[name]}))
        assert getattr(method, name) == GRADIENT[name]


def test_no_setting_of_a_gradient_method_is_of_none():
    settings = {entry.name for entry in fields(GradientConfig)} - {"name"}
    assert settings <= {entry.name for name in GRADIENTS for entry in fields(gradient_class(name))}


def test_defaults_that_no_recipe_states():
    """Written once more on purpose: they are part of every result."""
    solver = SolverConfig()
    assert (solver.method, solver.rtol, solver.atol) == ("dopri5", 1e-3, 1e-3)
    assert GradientConfig().name == "adjoint"
    trainer = TrainerConfig()
    assert (trainer.precision, trainer.clip_norm, trainer.accumulate) == ("fp32", None, 1)
    assert RunConfig().seed == 0


def test_initial_weights_are_those_of_the_seed():
    def drawn(seed):
        config = RunConfig(seed=seed)
        config.trainer.device, config.trainer.threads = "cpu", 1
        prepare(config)
        return torch.rand(3).tolist()

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


@pytest.mark.parametrize("name", ["cubic_spiral", "periodic"])
def test_data_are_built_with_the_seed(name, monkeypatch):
    asked = []
    monkeypatch.setattr(
        build, "call", lambda what, settings, seed, device: asked.append((what, seed))
    )
    entry = datasets()[name]
    config = RunConfig(seed=5, dataset=entry.settings())
    config.dataset.name = name
    build.build_data(config, torch.device("cpu"))
    assert asked == [(entry.build, 5)]


def test_a_schedule_is_laid_over_all_epochs():
    parameter = torch.nn.Parameter(torch.zeros(1))
    config = RunConfig(
        scheduler=SchedulerConfig("cosine"), trainer=replace(TrainerConfig(), epochs=3)
    )
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    scheduler = build.build_scheduler(config, optimizer, 4)
    rates = []
    for _ in range(12):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert rates[6] == pytest.approx(0.5), "half way"
    assert scheduler.get_last_lr()[0] == pytest.approx(0, abs=1e-9)
    assert rates == sorted(rates, reverse=True)


def test_runs_of_two_seeds_are_not_the_same_run():
    one, other = (asdict(RunConfig(seed=seed)) for seed in (0, 1))
    assert config_hash(one) != config_hash(other)
    assert config_hash(one) == config_hash({**one, "outputs": "elsewhere", "resume": "auto"})
