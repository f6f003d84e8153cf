"""The fluid against closed forms, its gradients against finite differences, and one whole run."""

import json
import math
from types import SimpleNamespace

import pytest
import torch

from node_experiments.chapters.gallery import fluid_figures
from node_experiments.chapters.gallery.fluid_control import fluid_control
from node_experiments.chapters.gallery.fluid_target import FluidTarget
from node_experiments.chapters.gallery.gradient_costs import GRADIENT_METHODS, gradient_costs
from node_experiments.chapters.gallery.periodic_fluid import PeriodicFluid, Spectrum
from node_experiments.chapters.gallery.settings import FluidControlConfig, SmokeConfig
from node_experiments.chapters.gallery.smoke import shape, smoke_data
from node_experiments.config import ConfigError
from node_experiments.ode import Adjoint, Discrete, Interpolated, Solver, solve
from tests.grids import by_turns


def grid(size):
    points = torch.arange(size, dtype=torch.float64) / size
    return points.expand(size, size), points.unsqueeze(1).expand(size, size)


def taylor_green(size, time, viscosity):
    """Vortices that decay and keep their shape: an exact solution of Navier and Stokes."""
    x, y = (2 * math.pi * part for part in grid(size))
    decay = math.exp(-2 * (2 * math.pi) ** 2 * viscosity * time)
    return torch.stack([x.cos() * y.sin(), -x.sin() * y.cos()]) * decay


def test_taylor_green_vortices_decay_as_they_should():
    fluid = PeriodicFluid(16, viscosity=0.01, diffusivity=0.0, buoyancy=0.0).double()
    start = torch.cat([taylor_green(16, 0, 0.01), torch.zeros(1, 16, 16).double()]).unsqueeze(0)
    end = solve(fluid, start, torch.tensor([0.0, 0.5]).double(), Solver("dopri5")).ys[-1, 0]
    torch.testing.assert_close(end[:2], taylor_green(16, 0.5, 0.01), rtol=0, atol=1e-6)


def test_the_projection_takes_gradients_away_and_leaves_curls():
    x, y = (2 * math.pi * part for part in grid(24))
    potential = torch.stack([x.cos() * y.sin(), x.sin() * y.cos()])  # of sin x sin y
    curl = torch.stack([2 * x.cos() * (2 * y).cos(), x.sin() * (2 * y).sin()])
    spectrum = Spectrum(24).double()
    mean = torch.tensor([3.0, -2.0]).double().view(2, 1, 1)
    found = spectrum.to_grid(spectrum.project(spectrum.to_fourier(potential + curl + mean)))
    torch.testing.assert_close(found, curl)
    k = spectrum.to_fourier(found)
    assert float(spectrum.to_grid(spectrum.divergence(k[0], k[1])).abs().max()) < 1e-9


def scene(size=16, gradient=None, solver=None, **settings):
    data = smoke_data(SmokeConfig(size=size, batches=1, smoke_area=0.12, span=0.4))
    solver = solver or Solver("rk4", num_steps=6)
    model = fluid_control(
        FluidControlConfig(modes=3, **settings), data, solver, gradient or Discrete()
    )
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    (batch,) = data.test
    return model.double(), SimpleNamespace(
        smoke=batch.smoke.double(), target=batch.target.double(), times=batch.times.double()
    )


def test_smoke_is_kept_whatever_the_control():
    """Its amount; with no diffusion also its squares, but for the aliases that are cut off."""
    model, batch = scene()
    with torch.no_grad():
        states = model(batch.smoke, batch.times)
    torch.testing.assert_close(states[-1, 0, 2].mean(), batch.smoke.mean())
    assert float((states[-1] - model.uncontrolled(batch.smoke, batch.times)[-1]).norm()) > 0.03


@pytest.mark.parametrize(
    ("name", "control"), by_turns(GRADIENT_METHODS, ["force", "initial_velocity"])
)
def test_every_gradient_is_that_of_finite_differences(name, control):
    """To 1e-4, in a random direction; continuous adjoints need short steps for that."""
    solver = Solver("reversible_rk4" if name == "reversible" else "rk4", num_steps=6)
    if isinstance(GRADIENT_METHODS[name], Adjoint | Interpolated):
        solver = Solver("rk4", num_steps=25)
    model, batch = scene(gradient=GRADIENT_METHODS[name], solver=solver, control=control)
    task = FluidTarget()
    (parameter,) = model.parameters()
    (found,) = torch.autograd.grad(task.loss(model, batch, 0)[0], parameter)
    direction = torch.randn_like(parameter)
    losses = []
    with torch.no_grad():
        for step in (1e-4, -2e-4):
            parameter += step * direction
            losses.append(float(task.loss(model, batch, 0)[0]))
    expected = (losses[0] - losses[1]) / 2e-4
    assert float((found * direction).sum()) == pytest.approx(expected, rel=1e-4)


def test_memory_of_adjoint_and_reversible_does_not_grow_with_steps():
    model, batch = scene()
    trainer = SimpleNamespace(
        model=model, task=FluidTarget(), step=0, data=SimpleNamespace(train=[batch])
    )
    few, many = 2, 6
    rows = gradient_costs(trainer, (few, many), repeats=1)
    peak = {(row["gradient"], row["steps"]): row["peak_bytes"] for row in rows}
    growth = {name: peak[name, many] / peak[name, few] for name in GRADIENT_METHODS}
    assert growth["adjoint"] < 1.04
    assert growth["reversible"] < 1.02
    assert growth["backprop"] > 2
    assert 1.05 < growth["discrete"] < growth["backprop"]
    errors = {(row["gradient"], row["steps"]): row["error"] for row in rows}
    for name in ("discrete", "checkpoint"):
        assert errors[name, many] == pytest.approx(errors["backprop", many], rel=1e-6)
    # Two discretisations of one gradient: `reversible` is no further from it than `rk4` is.
    for name in ("backprop", "reversible"):
        assert errors[name, many] < errors[name, few] / 5
    assert errors["reversible", many] < 2 * errors["backprop", many]


@pytest.mark.parametrize("name", ["heart", "star", "square", "disk"])
def test_shapes_hold_the_same_smoke(name):
    density = shape(name, 32, 0.09, (0.5, 0.5))
    assert float(density.mean()) == pytest.approx(0.09, rel=1e-4)
    assert 0.9 < float(density.max()) < 1.1
    torch.testing.assert_close(density, density.flip(1), atol=2e-2, rtol=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 33}, "dataset.size=33 must be an even number of points"),
        ({"size": 8}, "projection are by FFT"),
        ({"target_area": 0.12}, "an incompressible flow keeps the amount of smoke"),
        ({"target": "hart"}, "must be heart, star, square or disk"),
        ({"smoke_area": 0.5}, "from 0.01 to 0.25"),
    ],
)
def test_a_scene_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message) as raised:
        SmokeConfig(**settings)
    assert "\n" not in str(raised.value)


def test_more_modes_than_the_grid_has():
    with pytest.raises(ConfigError, match=r"model.modes=6 must be at most 5, a third of"):
        fluid_control(
            FluidControlConfig(modes=6), smoke_data(SmokeConfig(size=16)), Solver(), Discrete()
        )


@pytest.mark.thorough
@pytest.mark.figures
def test_one_command_controls_a_fluid(node_run, monkeypatch):
    monkeypatch.setattr(fluid_figures, "FRAMES", 5)
    result = node_run(
        "experiment=fluid_control", "protocol=smoke", "trainer.threads=1", "trainer.epochs=2",
        "dataset.batches=6", "trainer.evaluate_every=2", "solver=rk4", "solver.num_steps=6",
    )  # fmt: skip
    assert result.code == 0, result.err
    (folder,) = result.folders
    metrics = json.loads((folder / "result.json").read_text())["metrics"]
    assert metrics["reduction/test"] > 0.3
    for name in ("smoke.png", "smoke.gif", "gradients.png"):
        assert (folder / "figures" / name).stat().st_size > 5000
    assert len(json.loads((folder / "gradient_costs.json").read_text())) == 12
