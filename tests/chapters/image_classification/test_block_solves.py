"""What the solves of an ODE block cost: counted, and compared with a solution in closed form."""

import pytest
import torch
from torch import nn

from node_experiments.chapters.image_classification.figure3_measure import (
    GRADIENTS,
    REFERENCE,
    SECOND_OPINIONS,
    block_solves,
)
from node_experiments.chapters.image_classification.ode_block import ODEBlock
from node_experiments.ode import Adjoint, Solver

TOLERANCES = (1e-2, 1e-4, 1e-6)


class Rotation(nn.Module):
    """dy/dt = A y, whose solution is exp(A) y(0)."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.matrix = nn.Parameter(torch.randn(4, 4, generator=generator))

    def forward(self, t, y):
        return y @ self.matrix.T


@pytest.fixture
def model():
    block = ODEBlock(Rotation(), Solver("dopri5", rtol=0.5, atol=0.5), Adjoint())
    return nn.Sequential(nn.Flatten(), block, nn.Linear(4, 3))


@pytest.fixture
def measured(model):
    images, labels = torch.rand(5, 1, 2, 2), torch.arange(5) % 3
    return block_solves(model, images, labels, TOLERANCES, repetitions=2), images


def test_errors_are_those_from_the_true_solution(model, measured):
    found, images = measured
    y0 = images.flatten(1).double()
    true = y0 @ torch.linalg.matrix_exp(model[1].vector_field.matrix.detach()).T
    for method, series in found["forward"].items():
        for tolerance, error in zip(TOLERANCES, series["error"], strict=True):
            model[1].solver = Solver(method, rtol=tolerance, atol=tolerance)
            with torch.no_grad():
                difference = model[1](y0) - true
            expected = float(difference.norm() / true.norm())
            assert error == pytest.approx(expected, rel=1e-3), method
        assert series["error"] == sorted(series["error"], reverse=True)
        assert series["evaluations"] == sorted(series["evaluations"])
        assert max(series["error_in_tolerances"]) < 30
        assert min(series["seconds"]) > 0
    assert found["reference_error"] < 1e-7
    assert (found["images"], found["state"], found["precision"]) == (5, [4], "float64")


def test_evaluations_are_those_of_the_paper_method(model, measured):
    """The backward pass has its own count, of the loss's gradient by the adjoint."""
    found, images = measured
    assert list(found["backward"]) == list(GRADIENTS)
    for (method, way), series in zip(GRADIENTS.values(), found["backward"].values(), strict=True):
        assert series["forward"] == found["forward"][method]["evaluations"]
        model[1].solver, model[1].gradient = Solver(method, rtol=1e-4, atol=1e-4), way
        loss = nn.functional.cross_entropy(model(images.double()), torch.arange(5) % 3)
        loss.backward()
        # That the input needs a gradient too changes nothing of the steps.
        assert series["backward"][1] == model[1].stats.backward.evaluations
        assert min(series["backward"]) > 0


def test_the_block_keeps_its_own_solver(model, measured):
    assert model[1].solver.rtol == 0.5
    assert REFERENCE.rtol < min(TOLERANCES)


class Kinks(nn.Module):
    """dy/dt = A relu(B relu(C y)), a field with kinks and no solution in closed form."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.maps = nn.ParameterList(
            torch.randn(*shape, generator=generator) / shape[1] ** 0.5
            for shape in ((32, 64), (32, 32), (64, 32))
        )

    def forward(self, t, y):
        first, second, last = self.maps
        return 3 * (y @ first.T).relu() @ second.T.relu() @ last.T


def test_the_reference_is_the_better_of_two_where_the_field_has_kinks():
    """By a solve with a thousand times smaller tolerance."""
    block = ODEBlock(Kinks(), REFERENCE, Adjoint())
    model = nn.Sequential(nn.Flatten(), block, nn.Linear(64, 3))
    images = torch.randn(4, 1, 8, 8)
    found = block_solves(model, images, torch.arange(4) % 3, (1e-2, 1e-4), repetitions=1)
    y0 = images.flatten(1).double()

    def error(solver):
        with torch.no_grad():
            block.solver = solver
            return float((block(y0) - true).norm() / true.norm())

    with torch.no_grad():
        block.solver = Solver("scipy_vode_adams", rtol=1e-13, atol=1e-13, max_steps=10**6)
        true = block(y0)
    own = error(REFERENCE)
    others = [error(solver) for solver in SECOND_OPINIONS]
    assert own < min(others)
    assert own < 2 * found["reference_error"]
    assert found["reference"]["method"] == REFERENCE.method
    assert list(found["second_opinions"]) == [solver.method for solver in SECOND_OPINIONS]
