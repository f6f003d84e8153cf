"""What was compiled is never called for a vector field that has become another."""

import functools

import pytest
import torch
from torch import nn

from node_experiments.ode import Solver, solve
from node_experiments.ode.compiled import capture
from tests.grids import always

# torch's compiler looks at the gradients of whatever it is given, and hides this from users.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf"
)
T = torch.tensor([0.0, 0.5, 1.0])
FACTOR = 1.0


class Field(nn.Module):
    """Depends on whatever a vector field may depend on."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
        self.scale, self.shift = 1.0, torch.tensor(0.3)
        self.options = {"power": 1}
        self.register_buffer("offset", torch.zeros(2))

    def forward(self, t, y):
        dy = self.net(y) * self.scale + self.shift * t + self.offset
        if self.training:
            dy = 2 * dy
        if torch.is_grad_enabled():
            dy = dy + 1
        return FACTOR * dy ** self.options["power"]


def doubled(module, arguments, output):
    return 2 * output


def replaced_forward(field):
    field.forward = lambda t, y: -y * field.scale


def changed_global(field, monkeypatch):
    monkeypatch.setitem(globals(), "FACTOR", 3.0)


def in_place(tensor):
    with torch.no_grad():
        tensor.add_(0.5)


CHANGES = {
    "attribute": lambda f: setattr(f, "scale", 0.5),
    "attribute of another kind": lambda f: setattr(f, "scale", torch.tensor([1.0, 2.0])),
    "tensor": lambda f: setattr(f, "shift", torch.tensor(-1.0)),
    "tensor in place": lambda f: in_place(f.shift),
    "weight in place": lambda f: in_place(f.net[0].weight),
    "weight's data": lambda f: setattr(f.net[0].weight, "data", torch.ones(8, 2)),
    "parameter": lambda f: setattr(f.net[0], "weight", nn.Parameter(torch.ones(8, 2))),
    "buffer": lambda f: setattr(f, "offset", torch.ones(2)),
    "frozen weight": lambda f: f.net[0].weight.requires_grad_(False),
    "layer": lambda f: f.net.__setitem__(2, nn.Linear(8, 2)),
    "activation": lambda f: f.net.__setitem__(1, nn.ReLU()),
    "another layer": lambda f: f.net.append(nn.Tanh()),
    "mode": lambda f: f.eval(),
    "mode of a layer": lambda f: f.net.eval(),
    "container": lambda f: f.options.update(power=3),
    "hook": lambda f: f.net[0].register_forward_hook(doubled),
    "hook of the field": lambda f: f.register_forward_hook(doubled),
    "forward": replaced_forward,
    "global": changed_global,
}
# One of each kind; the others are thorough.
KINDS = ("attribute", "weight's data", "parameter", "layer", "mode", "hook", "global")


def outcome(field, y0, compiles):
    """Solution, gradients, and the solution without."""
    field.zero_grad()
    y = y0.clone().requires_grad_()
    solver = Solver("rk4", num_steps=2, compile=compiles)
    ys = solve(field, y, T.to(y0.dtype), solver, "backprop").ys
    ys.sum().backward()
    with torch.no_grad():
        without = solve(field, y, T.to(y0.dtype), solver).ys
    grads = [p.grad for p in field.parameters() if p.grad is not None]
    return [ys.detach(), without, y.grad, *grads]


def assert_same(field, y0):
    torch.testing.assert_close(outcome(field, y0, True), outcome(field, y0, False))


@pytest.mark.parametrize("name", always(KINDS, CHANGES))
def test_a_change_between_solves_is_seen(name, lowered, monkeypatch):
    change = CHANGES[name]
    field, y0 = Field(), torch.randn(3, 2)
    before = outcome(field, y0, True)
    change(*((field, monkeypatch) if change is changed_global else (field,)))
    assert_same(field, y0)
    assert lowered.calls
    after = outcome(field, y0, True)
    if name not in ("frozen weight", "mode of a layer"):
        assert not torch.equal(before[0], after[0])


def test_batch_dtype_and_autocast_are_seen(lowered):
    field = Field()
    assert_same(field, torch.randn(3, 2))
    assert_same(field, torch.randn(5, 2))
    with torch.autocast("cpu", torch.bfloat16):
        for _ in range(2):
            cast, plain = (
                outcome(field, torch.ones(3, 2), True),
                outcome(field, torch.ones(3, 2), False),
            )
            torch.testing.assert_close(cast, plain, rtol=1e-2, atol=1e-2)
    full = outcome(field, torch.ones(3, 2), True)
    assert not torch.equal(cast[0], full[0])
    torch.testing.assert_close(full, outcome(field, torch.ones(3, 2), False))
    field.double()
    field.shift = field.shift.double()
    assert_same(field, torch.randn(3, 2, dtype=torch.float64))


def test_inference_mode(lowered):
    field, y0 = Field(), torch.randn(3, 2)
    expected = outcome(field, y0, True)[1]
    with torch.inference_mode():
        found = solve(field, y0, T, Solver("rk4", num_steps=2, compile=True)).ys
    torch.testing.assert_close(found, expected)


def test_arguments_closures_and_new_functions_of_the_same_code(lowered):
    def field_of(power, weight):
        return lambda t, y, a: -(y**power) * weight * a

    solver = Solver("rk4", num_steps=2, compile=True)
    y0 = torch.ones(2)
    for power, weight, a in ((1, 1.0, 1.0), (2, 1.0, 1.0), (2, 0.5, 1.0), (2, 0.5, 3.0)):
        for kind in (float, torch.tensor):
            field = field_of(power, kind(weight))
            with torch.no_grad():
                found = solve(field, y0, T, solver, args=(kind(a),)).ys
                expected = solve(field, y0, T, Solver("rk4", num_steps=2), args=(kind(a),)).ys
            torch.testing.assert_close(found, expected)
    assert lowered.calls


def test_the_state_as_an_argument_is_no_state(lowered):
    y0 = torch.ones(2)
    with torch.no_grad():
        found, expected = (
            solve(
                lambda t, y, a: a - y / 2, y0, T,
                Solver("rk4", num_steps=2, compile=compiles), args=(y0,),
            ).ys
            for compiles in (True, False)
        )  # fmt: skip
    torch.testing.assert_close(found, expected)


def test_what_did_not_change_is_captured_and_compiled_once(lowered, monkeypatch):
    captures = []
    backend = capture.Capture._backend
    monkeypatch.setattr(
        capture.Capture,
        "_backend",
        lambda self, *given: captures.append(given) or backend(self, *given),
    )
    field, y0 = Field().eval(), torch.randn(3, 2)
    for _ in range(3):
        outcome(field, y0, True)
        with torch.no_grad():
            field.net[0].weight.mul_(1.1)  # as an optimiser does
    assert len(captures) == 2  # with gradients and without
    # This vector field computes something else without gradients.
    assert len(lowered.functions) == 3  # a step each, and the gradient of one


def test_training_and_evaluation_share_what_is_compiled(lowered):
    net, y0 = nn.Linear(2, 2), torch.randn(3, 2)
    solver = Solver("rk4", num_steps=2, compile=True)

    def field(t, y):
        return net(y)

    solve(field, y0, T, solver, "discrete").ys.sum().backward()
    assert len(lowered.functions) == 2
    with torch.no_grad():
        solve(field, y0, T, solver)
    assert len(lowered.functions) == 2


def test_a_vector_field_that_always_changes_is_solved_plainly_in_the_end(lowered):
    class Counting(nn.Module):
        calls = 0

        def forward(self, t, y):
            self.calls += 1
            return -y * self.calls

    field, y0 = Counting(), torch.ones(2)
    solver = Solver("euler", num_steps=2, compile=True)
    with torch.no_grad():
        for _ in range(8):
            solve(field, y0, T, solver)
        with pytest.warns(RuntimeWarning, match="nothing is compiled"):
            solve(field, y0, T, solver)


def test_shapes_beyond_the_eighth_are_solved_plainly(lowered):
    solver = Solver("euler", num_steps=2, compile=True)
    with torch.no_grad():
        for n in range(1, 9):
            solve(negative, torch.ones(n), T, solver)
        with pytest.warns(RuntimeWarning, match=r"8 shapes .*not for \(9,\).*drop_last"):
            found = solve(negative, torch.ones(9), T, solver)
    torch.testing.assert_close(found.ys[-1], torch.full((9,), 0.25))


def negative(t, y):
    return -y


@pytest.mark.parametrize("wrap", [functools.partial, lambda f: f], ids=["partial", "function"])
def test_a_partial_function(wrap, lowered):
    with torch.no_grad():
        found = solve(wrap(negative), torch.ones(1), T, Solver("euler", num_steps=2, compile=True))
    assert found.ys[-1].item() == 0.25
    assert lowered.calls
