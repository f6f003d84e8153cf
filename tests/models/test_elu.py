"""The exponential linear unit is torch's, in value and in every derivative."""

import pytest
import torch
import torch.nn.functional as F

from node_experiments.models.elu import ELU

POINTS = [-torch.inf, -100.0, -3.0, -1.0, -1e-3, -1e-9, 0.0, 1e-9, 0.5, 30.0, torch.inf]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_values_are_those_of_torch(dtype):
    x = torch.tensor(POINTS, dtype=dtype)
    rounding = 2 * torch.finfo(dtype).eps
    assert torch.allclose(ELU()(x), F.elu(x), rtol=0, atol=rounding)


def test_what_is_no_number_stays_so():
    assert ELU()(torch.tensor([torch.nan])).isnan().all()


def test_first_and_second_derivatives():
    x = torch.tensor([-2.0, -0.3, 0.4, 1.5], dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(ELU(), x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(ELU(), x)


def test_transforms_of_functions_go_through():
    x = torch.tensor([[-2.0, -0.3], [0.4, 1.5]], dtype=torch.double)
    for transform in (torch.func.jacrev, torch.func.jacfwd):
        found = torch.func.vmap(transform(ELU()))(x)
        assert torch.allclose(found, torch.func.vmap(transform(F.elu))(x))


def test_a_compiled_graph_of_it_can_be_traced():
    traced = torch.compile(ELU(), backend="aot_eager", fullgraph=True)
    x = torch.tensor([-2.0, 1.5], requires_grad=True)
    (grad,) = torch.autograd.grad(traced(x).sum(), x)
    assert torch.allclose(grad, torch.tensor([torch.tensor(-2.0).exp(), 1.0]))
