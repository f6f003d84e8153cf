"""A vector field with the way it is solved, as a module of one's own network."""

import pytest
import torch
from torch import nn

from node_experiments.nn import ODEModule
from node_experiments.ode import Adjoint, Discrete, Solver


class Decay(nn.Module):
    def forward(self, t, y):
        return -y


def test_methods_are_named_or_given():
    y0, t = torch.ones(3), torch.tensor([0.0, 1.0])
    named = ODEModule(Decay(), "dopri5", "discrete")
    given = ODEModule(Decay(), Solver("dopri5"), Discrete())
    assert torch.equal(named.solve(y0, t), given.solve(y0, t))
    assert isinstance(ODEModule(Decay(), "bosh3", "adjoint").gradient, Adjoint)


@pytest.mark.parametrize(
    ("methods", "near"), [(("dopri55", "adjoint"), "dopri5"), (("dopri5", "adjont"), "adjoint")]
)
def test_wrong_names_are_rejected_at_once(methods, near):
    with pytest.raises(ValueError, match=f"is unknown.*did you mean '?{near}"):
        ODEModule(Decay(), *methods)
