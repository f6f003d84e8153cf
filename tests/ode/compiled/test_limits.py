"""What is not compiled is rejected by name, or solved plainly with a warning that says why."""

import shutil

import pytest
import torch
from torch import nn

from node_experiments.ode import Solver, solve
from node_experiments.ode.compiled import lowering
from node_experiments.ode.torchdiffeq import odeint, odeint_adjoint

# torch's compiler looks at the gradients of whatever it is given, and hides this from users.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf"
)
T = torch.tensor([0.0, 1.0])
COMPILED = Solver("rk4", num_steps=2, compile=True)
KEPT = torch.zeros(2)


def branches(t, y):
    return y if t > 0.5 else -y


def remembers(t, y):
    global LAST
    LAST = -y
    return LAST


def writes(t, y):
    KEPT.copy_(-y)
    return KEPT * 2


def leaves_torch(t, y):
    return torch.tensor(y.numpy().tolist())


@pytest.mark.parametrize("field", [branches, remembers, writes, leaves_torch])
def test_what_is_not_one_graph_is_solved_plainly_with_a_warning(field, lowered):
    with torch.no_grad():
        for _ in range(2):
            with pytest.warns(RuntimeWarning, match="nothing is compiled: the vector field"):
                found = solve(field, torch.ones(2), T, COMPILED)
        expected = solve(field, torch.ones(2), T, Solver("rk4", num_steps=2))
    assert torch.equal(found.ys, expected.ys)
    assert not lowered.calls


@pytest.mark.parametrize("draw", [torch.rand_like, nn.Dropout(0.5), lambda y: torch.randn(2) * y])
def test_random_numbers_are_rejected_by_name(draw, lowered):
    with pytest.raises(ValueError, match=r"draws random numbers .*; use compile=False"):
        solve(lambda t, y: draw(y), torch.ones(2), T, COMPILED)


def test_dropout_that_is_off_draws_none(lowered):
    field = nn.Dropout(0.5).eval()
    with torch.no_grad():
        solve(lambda t, y: field(y), torch.ones(2), T, COMPILED)
    assert lowered.calls


def test_a_wrong_shape_is_rejected_as_without(lowered):
    with (
        pytest.warns(RuntimeWarning, match="nothing is compiled"),
        pytest.raises(ValueError, match="must return a derivative like its state"),
    ):
        solve(lambda t, y: y[:1], torch.ones(2, 3), T, COMPILED)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "adams"}, "for explicit Runge-Kutta methods; found solver.method='adams'"),
        ({"method": "trbdf2"}, "for explicit Runge-Kutta methods"),
        ({"batching": "independent"}, "batching='independent'"),
        ({"method": "rk4", "num_steps": 2, "perturb": True}, "perturb=True"),
    ],
)
def test_solvers_that_do_not_compile(options, message):
    with pytest.raises(ValueError, match=message):
        Solver(compile=True, **options)


def test_reversible_steps_are_rejected(lowered):
    y0 = torch.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match="compiles no steps of gradient='reversible'"):
        solve(lambda t, y: -y, y0, T, COMPILED, "reversible")


def test_transforms_of_a_solve_are_not_compiled(lowered):
    def end(y0):
        return solve(lambda t, y: -y, y0, T, COMPILED, "backprop").ys[-1]

    jacobian = torch.func.jacrev(end)(torch.ones(2))
    torch.testing.assert_close(jacobian, torch.diag(jacobian.diagonal()))
    assert not lowered.calls


def test_the_drop_in_compiles_where_it_is_asked_to(lowered):
    weight = torch.ones(2, requires_grad=True)
    for method in ("euler", "dopri5"):
        for solver in (odeint, odeint_adjoint):
            options = {"adjoint_params": (weight,)} if solver is odeint_adjoint else {}
            found, expected = (
                solver(
                    lambda t, y: -weight * y,
                    torch.ones(2),
                    0.1 * T,
                    method=method,
                    options={"compile": compiles},
                    **options,
                )
                for compiles in (True, False)
            )
            assert lowered.calls
            lowered.calls = 0
            torch.testing.assert_close(found, expected)
            found, expected = (torch.autograd.grad(x.sum(), weight) for x in (found, expected))
            torch.testing.assert_close(found, expected)


@pytest.fixture
def fresh():
    """Nothing is known of the compiler yet."""
    lowering.lowering.cache_clear()
    yield
    lowering.lowering.cache_clear()


def decay(t, y):
    return -y * torch.cos(t)


def test_without_the_private_interface_the_public_one_is_taken_with_one_warning(
    fresh, monkeypatch
):
    def missing(function, examples):
        raise ImportError("cannot import name 'compile_fx_inner'")

    compile_function, backends = torch.compile, []

    def by_eager(function, backend="aot_eager", **options):
        backends.append(backend)
        return compile_function(function, backend=backend, **options)

    monkeypatch.setattr(lowering, "lower_to_inductor", missing)
    monkeypatch.setattr(torch, "compile", by_eager)
    y0 = torch.ones(2, requires_grad=True)
    with pytest.warns(RuntimeWarning, match=r"through torch\.compile, .*compile_fx_inner") as said:
        found = [
            torch.autograd.grad(solve(decay, y0, T, solver, "discrete").ys[-1].sum(), y0)
            for solver in (COMPILED, COMPILED, Solver("bosh3", rtol=1e-3, compile=True))
        ]
    assert len(said) == 1
    assert "aot_eager" in backends
    for gradient, solver in zip(
        found, (COMPILED, COMPILED, Solver("bosh3", rtol=1e-3)), strict=True
    ):
        plain = Solver(solver.method, solver.rtol, num_steps=solver.num_steps)
        expected = torch.autograd.grad(solve(decay, y0, T, plain, "discrete").ys[-1].sum(), y0)
        torch.testing.assert_close(gradient, expected)


def test_without_a_compiler_plain_steps_are_taken_with_a_warning(fresh, monkeypatch):
    def broken(*given, **options):
        raise RuntimeError("no working C++ compiler found in ('g++',)\nmore")

    monkeypatch.setattr(lowering, "lower_to_inductor", broken)
    monkeypatch.setattr(lowering, "lower_by_torch_compile", broken)
    with torch.no_grad():
        for _ in range(2):
            with pytest.warns(
                RuntimeWarning, match="nothing is compiled: .*no working C.*g\\+\\+"
            ):
                found = solve(decay, torch.ones(2), T, COMPILED)
        expected = solve(decay, torch.ones(2), T, Solver("rk4", num_steps=2))
    assert torch.equal(found.ys, expected.ys)


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler to compile with")
def test_by_the_real_compiler(fresh):
    """The private interface is there, and computes what plain steps do."""
    rate = torch.tensor([1.0, 2.0], requires_grad=True)  # few operations: each takes it a second
    y0 = torch.randn(3, 2, requires_grad=True)
    found = []
    for compiles in (True, False):
        solver = Solver("euler", num_steps=2, compile=compiles)
        ys = solve(lambda t, y: -rate * y * torch.cos(t), y0, T, solver, "discrete").ys
        found.append([ys, *torch.autograd.grad(ys.square().sum(), [y0, rate])])
    torch.testing.assert_close(*found)
    assert lowering.lowering(torch.device("cpu")) is lowering.lower_to_inductor
