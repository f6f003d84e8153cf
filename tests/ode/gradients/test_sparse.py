"""Sparse tensors in the vector field: gradients of their values, and sparse gradients."""

import pytest
import torch
from torch import nn

from node_experiments.ode import solve

ALL = ["backprop", "discrete", "checkpoint", "adjoint", "interpolated"]


def gradient_of(loss, weight):
    weight.grad = None
    loss.backward()
    return weight.grad.to_dense()


@pytest.mark.parametrize("way", ALL)
def test_an_embedding_with_sparse_gradients(way):
    torch.manual_seed(0)
    embedding = nn.Embedding(4, 2, sparse=True).double()
    rows = torch.tensor([1, 3])
    y0 = torch.ones(2, 2, dtype=torch.float64)
    ys = solve(lambda t, y: -y * embedding(rows), y0, [0.0, 1.0], "dopri5", way).ys
    expected = torch.zeros(4, 2, dtype=torch.float64)
    expected[rows] = -torch.exp(-embedding.weight.detach()[rows])
    computed = gradient_of(ys[-1].sum(), embedding.weight)
    torch.testing.assert_close(computed, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("way", ALL)
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
@pytest.mark.filterwarnings("ignore:Sparse")
def test_the_gradient_of_a_sparse_matrix_or_an_error_before_the_solve(layout, way):
    matrix = torch.eye(3, dtype=torch.float64).to_sparse(layout=layout).requires_grad_()
    y0 = torch.ones(3, 1, dtype=torch.float64)

    def run():
        return (
            solve(lambda t, y: -torch.sparse.mm(matrix, y), y0, [0.0, 1.0], "dopri5", way)
            .ys[-1]
            .sum()
        )

    if way in ("adjoint", "interpolated"):
        with pytest.raises(ValueError, match="make it in the vector field from its values"):
            run()
        return
    expected = -torch.exp(torch.tensor(-1.0, dtype=torch.float64)) * torch.eye(3).double()
    torch.testing.assert_close(gradient_of(run(), matrix), expected, rtol=1e-5, atol=1e-6)
