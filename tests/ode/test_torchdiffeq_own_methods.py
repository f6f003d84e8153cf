"""Fixed-step methods that programs derive from torchdiffeq's classes, on both packages.

Each test derives the same classes from torchdiffeq's base class and from the drop-in's.
"""

import importlib
import itertools
from types import SimpleNamespace

import pytest
import torch

from node_experiments.ode import Solver, solve

OURS, THEIRS = "node_experiments.ode.torchdiffeq", "torchdiffeq"
T = torch.tensor([0.0, 0.37, 1.2, 2.0], dtype=torch.float64)
Y0 = torch.tensor([[1.0, 0.0], [0.3, 0.5]], dtype=torch.float64)


class Field(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([[0.0, 1.0], [-1.3, -0.1]]).double())
        self.steps = []

    def forward(self, t, y):
        if isinstance(y, tuple):
            return tuple(self(t, part) for part in y)
        return y @ self.weight.T * (1 + 0.1 * torch.sin(t))

    def callback_step(self, t0, y0, dt):
        shapes = tuple(y.shape for y in y0) if isinstance(y0, tuple) else y0.shape
        self.steps.append((round(float(t0), 9), round(float(dt), 9), shapes))


def module(package, name):
    return importlib.import_module(f"{package}._impl.{name}")


def methods(package):
    """The functions of a package, with three methods of a program added to its `SOLVERS`."""
    solvers, fixed_grid = module(package, "solvers"), module(package, "fixed_grid")
    perturb = module(package, "misc").Perturb

    class SymplecticEuler(solvers.FixedGridODESolver):
        order = 1

        def _step_func(self, func, t0, dt, t1, y0):
            q, p = torch.chunk(y0, 2, -1)
            f0 = func(t0, y0)
            dp = torch.chunk(f0, 2, -1)[-1] * dt
            dq = torch.chunk(func(t0, torch.cat((q, p + dp), -1)), 2, -1)[0] * dt
            return torch.cat((dq, dp), -1), f0

    class GainedHeun(solvers.FixedGridODESolver):
        order = 2

        def __init__(self, func, y0, gain=1.0, **kwargs):
            super().__init__(func, y0, **kwargs)
            self.gain = gain

        def _step_func(self, func, t0, dt, t1, y0):
            f0 = func(t0, y0, perturb=perturb.NEXT if self.perturb else perturb.NONE)
            return dt * 0.5 * self.gain * (f0 + func(t0 + dt, y0 + f0 * dt)), f0

    class Clamped(fixed_grid.RK4):
        def integrate(self, t):
            grid = self.grid_constructor(self.func, self.y0, t)
            y, ys = self.y0, [self.y0]
            for t0, t1 in itertools.pairwise(grid):
                self.func.callback_step(t0, y, t1 - t0)
                dy, _ = self._step_func(self.func, t0, t1 - t0, t1, y)
                y_next = (y + dy).clamp(-0.8, 1.0)
                while len(ys) < len(t) and t1 >= t[len(ys)]:
                    ys.append(self._linear_interp(t0, t1, y, y_next, t[len(ys)]))
                y = y_next
            return torch.stack(ys)

    registry = module(package, "odeint").SOLVERS
    own = {"symplectic_euler": SymplecticEuler, "gained": GainedHeun, "clamped": Clamped}
    registry.update(own)
    return SimpleNamespace(**vars(importlib.import_module(package)), SOLVERS=registry, **own)


@pytest.fixture(autouse=True)
def unchanged_registries():
    registries = [module(package, "odeint").SOLVERS for package in (OURS, THEIRS)]
    before = [dict(registry) for registry in registries]
    yield
    for registry, entries in zip(registries, before, strict=True):
        registry.clear()
        registry.update(entries)


OPTIONS = [
    {},
    {"step_size": 0.1},
    {"step_size": 0.1, "interp": "cubic"},
    {"step_size": 0.13, "perturb": True},
    {"grid_constructor": lambda f, y, t: torch.linspace(t[0], t[-1], 12, dtype=t.dtype)},
]


def results(package, function, method, options, t=T, y0=Y0, **arguments):
    field = Field()
    start = y0.clone().requires_grad_() if isinstance(y0, torch.Tensor) else y0
    solver = getattr(methods(package), function)
    ys = solver(field, start, t, method=method, options=dict(options), **arguments)
    if not isinstance(ys, torch.Tensor):
        return [*ys, field.steps]
    gradients = torch.autograd.grad(ys.square().sum(), [start, field.weight])
    steps = field.steps if function == "odeint" else None
    return [ys.detach(), *gradients, steps]


def check_equal(found, expected):
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        if isinstance(ours, torch.Tensor):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
        else:
            assert ours == theirs


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "none")
@pytest.mark.parametrize("method", ["symplectic_euler", "gained", "clamped"])
@pytest.mark.parametrize("t", [T, T.flip(0)], ids=["forwards", "backwards"])
def test_odeint_gives_the_same_states_gradients_and_callbacks(method, options, t):
    check_equal(
        results(OURS, "odeint", method, options, t), results(THEIRS, "odeint", method, options, t)
    )


@pytest.mark.parametrize("options", OPTIONS[1:3], ids="-".join)
@pytest.mark.parametrize("method", ["symplectic_euler", "gained"])
@pytest.mark.parametrize("t", [T, T.flip(0)], ids=["forwards", "backwards"])
def test_odeint_adjoint_solves_backwards_by_rk4(method, options, t):
    """A method may tell the halves of its state apart; that of the backward solve has others."""
    arguments = {"adjoint_method": "rk4", "adjoint_options": {"step_size": options["step_size"]}}
    check_equal(
        results(OURS, "odeint_adjoint", method, options, t),
        results(THEIRS, "odeint_adjoint", method, options, t, **arguments),
    )


def test_options_of_a_class_are_not_those_of_the_backward_solve():
    ys = results(OURS, "odeint_adjoint", "gained", {"step_size": 0.1, "gain": 1.001})[0]
    torch.testing.assert_close(ys, results(OURS, "odeint", "rk4", {})[0], rtol=0.05, atol=0.05)


def test_the_adjoint_of_a_symplectic_method_converges_to_the_gradient():
    exact = results(OURS, "odeint", "dopri5", {})
    for steps, tolerance in ((0.01, 0.02), (0.001, 0.002)):
        found = results(OURS, "odeint_adjoint", "symplectic_euler", {"step_size": steps})
        for ours, reference in zip(found[1:3], exact[1:3], strict=True):
            torch.testing.assert_close(ours, reference, rtol=tolerance, atol=tolerance)


def test_the_backward_solve_may_take_another_method():
    arguments = {"adjoint_method": "gained", "adjoint_options": {"step_size": 0.05, "gain": 1.01}}
    check_equal(
        *(
            results(package, "odeint_adjoint", "rk4", {"step_size": 0.1}, **arguments)
            for package in (OURS, THEIRS)
        )
    )


@pytest.mark.parametrize("method", ["gained", "clamped"])
@pytest.mark.parametrize("t", [T, T.flip(0)], ids=["forwards", "backwards"])
def test_tuples_are_flat_in_the_steps_and_tuples_outside(method, t):
    y0 = (Y0, 2 * Y0[0])
    options = {"step_size": 0.1}
    check_equal(
        *(results(package, "odeint", method, options, t, y0) for package in (OURS, THEIRS))
    )


def test_an_event_ends_the_steps_of_an_own_method():
    ends = []
    for package in (OURS, THEIRS):
        time, ys = methods(package).odeint_event(
            Field(), Y0[0], torch.tensor(0.0, dtype=torch.float64), method="symplectic_euler",
            event_fn=lambda t, y: y[0] - 0.2, options={"step_size": 0.001}, atol=1e-12,
        )  # fmt: skip
        ends.append(torch.cat([time.reshape(1), ys[-1]]).detach())
    torch.testing.assert_close(*ends, rtol=1e-7, atol=0)  # theirs is on a line inside the step


@pytest.mark.parametrize("name", ["Euler", "Midpoint", "Heun2", "Heun3", "RK4", "clamped"])
def test_classes_that_are_called_without_odeint(name):
    class Direct:
        def __call__(self, t, y, perturb=None):
            return -y * torch.cos(t)

        def callback_step(self, t0, y0, dt):
            pass

    ends = []
    for package in (OURS, THEIRS):
        own = getattr(methods(package), name, None)
        cls = own or getattr(module(package, "fixed_grid"), name)
        solver = cls(func=Direct(), y0=Y0, step_size=0.1, atol=1e-6)
        ends.append([solver.integrate(T), solver.order])
    check_equal(*ends)


def test_names_of_methods_and_norms():
    for package in (OURS, THEIRS):
        base = module(package, "solvers").FixedGridODESolver
        registry = module(package, "odeint").SOLVERS
        for name in ("euler", "midpoint", "heun2", "heun3", "rk4"):
            assert issubclass(registry[name], base)
        misc, x = module(package, "misc"), torch.tensor([3.0, -4.0])
        assert float(misc._rms_norm(x)) == pytest.approx(12.5**0.5)
        assert float(misc._linf_norm(x)) == 4.0
        assert float(misc._mixed_norm((x, x[:1]))) == pytest.approx(12.5**0.5)
        assert float(misc._mixed_norm(())) == 0.0


def test_a_name_of_the_package_can_be_given_another_class():
    ours = methods(OURS)
    options = {"step_size": 0.1}
    before = ours.odeint(Field(), Y0, T, method="rk4", options=options)
    ours.SOLVERS["rk4"] = ours.symplectic_euler
    after = ours.odeint(Field(), Y0, T, method="rk4", options=options)
    same = ours.odeint(Field(), Y0, T, method="symplectic_euler", options=options)
    assert torch.equal(after, same)
    assert not torch.equal(before, after)


def test_an_own_loop_goes_with_odeint_alone():
    ours = methods(OURS)
    with pytest.raises(ValueError, match=r"Clamped overrides .*, and odeint_adjoint needs"):
        ours.odeint_adjoint(Field(), Y0, T, method="clamped", options={"step_size": 0.1})
    with pytest.raises(AssertionError, match=r"Clamped overrides .*, and an event needs"):
        ours.odeint(
            Field(), Y0, T[:2], method="clamped", event_fn=lambda t, y: y.sum(),
            options={"step_size": 0.1},
        )  # fmt: skip


def test_options_that_a_class_does_not_use_are_named():
    with pytest.warns(UserWarning, match="SymplecticEuler does not use the options gain"):
        methods(OURS).odeint(Field(), Y0, T, method="symplectic_euler", options={"gain": 1.0})


def test_a_class_is_a_method_for_solve():
    ours = methods(OURS)
    field = Field()
    method = ours.gained(func=field, y0=Y0, gain=0.9, step_size=0.1).as_method()
    solver = Solver(method, step_size=0.1, interpolation="linear")
    ys = solve(field, Y0, T.tolist(), solver, "backprop").ys
    options = {"step_size": 0.1, "gain": 0.9}
    torch.testing.assert_close(ys, ours.odeint(field, Y0, T, method="gained", options=options))


@pytest.mark.parametrize("name", ["RK4", "Heun3"])
def test_a_class_that_is_called_without_odeint_gives_gradients_of_the_times(name):
    def driven(t, y, perturb=None):
        return -y * torch.cos(t)

    driven.callback_step = lambda t0, y0, dt: None
    t = T.clone().requires_grad_()
    cls = getattr(module(OURS, "fixed_grid"), name)
    ys = cls(func=driven, y0=Y0, step_size=0.01, atol=1e-6).integrate(t)
    (found,) = torch.autograd.grad(ys[-1].sum(), t)
    y = float(ys[-1].detach().sum())  # Y0 exp(sin t[0] - sin t[-1])
    exact = [y * float(torch.cos(T[0])), 0.0, 0.0, -y * float(torch.cos(T[-1]))]
    assert found.tolist() == pytest.approx(exact, rel=1e-4)


def test_complex_states_are_rejected_with_an_own_method():
    y0 = torch.ones(2, dtype=torch.complex128)
    with pytest.raises(ValueError, match="takes steps of real states"):
        methods(OURS).odeint(lambda t, y: 1j * y, y0, T, method="gained")
