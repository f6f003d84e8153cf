"""What a step costs, counted: dispatched operations, synchronisations, evaluations."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from node_experiments.ode import Adjoint, Backprop, Discrete, Solver, solve
from node_experiments.ode.methods.explicit_tableaus import TABLEAUS


class Operations(TorchDispatchMode):
    """Counts operations, those of them in the vector field, and the copies to the host."""

    def __init__(self):
        super().__init__()
        self.total = self.in_field = self.synchronisations = 0
        self.inside = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.total += 1
        self.in_field += self.inside
        # Only the state is on the device, and of the steps only it is of single precision: reading
        # one number of it, or turning some into the host's double precision.
        on_device = isinstance(args[0], torch.Tensor) and args[0].dtype == torch.float32
        reads = "_local_scalar_dense" in func.name()
        copies = "_to_copy" in func.name() and (kwargs or {}).get("dtype") == torch.float64
        self.synchronisations += on_device and (reads or copies)
        return func(*args, **(kwargs or {}))

    def field(self, t, y):
        self.inside = True
        derivative = torch.sin(y) * torch.cos(3 * t)
        self.inside = False
        return derivative


def cost_of_steps(method, few, many, outputs=2, **options):
    """Operations outside the field and synchronisations of `many - few` steps."""
    found = []
    for steps in (few, many):
        counter = Operations()
        solver = Solver(method, **options, **({} if "rtol" in options else {"num_steps": steps}))
        with counter:
            solution = solve(
                counter.field,
                torch.linspace(0, 1, 2048),
                torch.linspace(0, float(steps), outputs),
                solver,
            )
        counts = solution.stats.forward
        found.append((counter, counts.accepted + counts.rejected))
    (a, first), (b, second) = found
    steps = second - first
    outside = (b.total - b.in_field) - (a.total - a.in_field)
    return outside / steps, (b.synchronisations - a.synchronisations) / steps


def test_a_dopri5_step_dispatches_at_most_30_operations_and_synchronises_once():
    operations, synchronisations = cost_of_steps("dopri5", 2, 12, rtol=1e-5, atol=1e-5)
    assert operations <= 30
    assert synchronisations == 1


@pytest.mark.parametrize(
    "method", ["bosh3", "tsit5", "dopri8", "vern7", "reversible_heun", "adams"]
)
def test_no_adaptive_step_synchronises_more_than_once(method):
    assert cost_of_steps(method, 2, 12, rtol=1e-4, atol=1e-4)[1] <= 1


@pytest.mark.parametrize("method", ["bosh3", "dopri5", "tsit5"])
def test_independent_steps_of_all_samples_synchronise_once(method):
    """The errors of all samples are one transfer to the host."""
    counter = Operations()
    y0 = torch.linspace(0, 1, 2048).view(4, 512)
    solver = Solver(method, rtol=1e-4, atol=1e-4, batching="independent")
    steps = []
    for end in (2.0, 12.0):
        counter.synchronisations = 0
        t = torch.tensor([0.0, end])
        with counter:
            counts = solve(counter.field, y0, t, solver).stats.forward
        per_step = len(TABLEAUS[method].b) - 1  # the last stage is the first of the next step
        steps.append((counts.evaluations // per_step, counter.synchronisations))
    (few, first), (many, second) = steps
    assert many > few
    assert second - first <= many - few


@pytest.mark.parametrize("method", ["euler", "rk4", "dopri5", "asynchronous_leapfrog"])
def test_fixed_steps_never_synchronise(method):
    assert cost_of_steps(method, 5, 25)[1] == 0


def test_no_interpolant_is_built_when_no_output_lies_inside_a_step():
    def evaluations(outputs):
        solver = Solver("rk4", num_steps=8)
        ts = torch.linspace(0, 1, outputs)
        return solve(lambda t, y: -y, torch.ones(2), ts, solver).stats.forward.evaluations

    assert evaluations(2) == evaluations(9) == 8 * 4
    # Hermite interpolation shares the derivative at the end with the next step.
    assert evaluations(17) == 8 * 4 + 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_outputs_that_are_grid_points_up_to_rounding_cost_nothing(dtype):
    """No evaluation for an interpolant, and no tiny step in the backward solve."""
    y0 = torch.ones(2, dtype=dtype, requires_grad=True)
    ts = torch.linspace(0, 2, 100, dtype=dtype)
    solver = Solver("rk4", num_steps=99)
    solution = solve(lambda t, y: -y, y0, ts, solver, Adjoint())
    solution.ys.sum().backward()
    assert solution.stats.forward.evaluations == 99 * 4
    assert solution.stats.backward.evaluations == 99 * 4


def test_a_step_on_an_output_ends_there_and_not_beside_it():
    ends = []
    ts = torch.linspace(2, 0, 100)
    solver = Solver("euler", num_steps=99)
    solve(lambda t, y: -y, torch.ones(2), ts, solver, watch=lambda t, h, y, ok: ends.append(t + h))
    assert ends == pytest.approx(ts[1:].tolist(), abs=1e-15)


WAYS = {
    "backprop": Backprop(),
    "discrete": Discrete(),
    "graphs kept": Discrete(retain_graphs=True),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_step_of_training_synchronises_once_and_its_way_back_never(way):
    found = []
    for end in (2.0, 12.0):
        counter = Operations()
        y0 = torch.linspace(0, 1, 64, requires_grad=True)
        solver = Solver("dopri5", rtol=1e-4, atol=1e-4)
        with counter:
            solution = solve(counter.field, y0, torch.tensor([0.0, end]), solver, way)
            forward = counter.synchronisations
            solution.ys[-1].sum().backward()
        counts = solution.stats.forward
        backward = counter.synchronisations - forward
        found.append((counts.accepted + counts.rejected, forward, backward))
    (few, first, back_first), (many, second, back_second) = found
    assert many > few
    assert second - first == many - few
    assert back_second == back_first


def operations_on_the_way_back(way, steps):
    """Operations of the backward pass, those of the vector field's products among them."""
    scale = torch.ones((), requires_grad=True)
    y0 = torch.linspace(0, 1, 64, requires_grad=True)
    solution = solve(
        lambda t, y: y * scale,
        y0,
        torch.tensor([0.0, 1.0]),
        Solver("dopri5", num_steps=steps),
        way,
        parameters=[scale],
    )
    counter = Operations()
    with counter:
        solution.ys[-1].sum().backward()
    return counter.total


@pytest.mark.parametrize(
    ("way", "most"), [("backprop", 80), ("discrete", 100), ("graphs kept", 55)]
)
def test_the_way_back_of_a_dopri5_step_dispatches_few_operations(way, most):
    few, many = (operations_on_the_way_back(WAYS[way], steps) for steps in (5, 15))
    assert (many - few) / 10 <= most


@pytest.mark.parametrize(
    ("method", "per_step", "at_start"),
    [("bosh3", 3, 1), ("dopri5", 6, 1), ("tsit5", 6, 1), ("dopri8", 13, 1), ("vern7", 10, 0)],
)
def test_evaluations_of_a_step(method, per_step, at_start):
    solution = solve(
        lambda t, y: -y, torch.ones(2), torch.tensor([0.0, 1.0]), Solver(method, num_steps=5)
    )
    assert solution.stats.forward.evaluations == at_start + 5 * per_step


def test_an_euler_step_of_size_one_is_a_residual_block_bit_for_bit():
    torch.manual_seed(0)
    block = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Tanh(), torch.nn.Linear(8, 8))
    x = torch.randn(5, 8)
    out = solve(
        lambda t, y: block(y), x, torch.tensor([0.0, 3.0]), Solver("euler", num_steps=3)
    ).ys[-1]
    residual = x
    for _ in range(3):
        residual = residual + block(residual)
    assert torch.equal(out, residual)
