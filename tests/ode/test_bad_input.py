"""Bad input: a clear error, or a status with the part that was reached."""

import math
import pickle

import pytest
import torch

from node_experiments.ode import Discrete, SolveError, Solver, Status, solve

T = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
Y0 = torch.ones(3, dtype=torch.float64)


def hooked(weight):
    weight.register_hook(lambda grad: -grad)
    return weight


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (lambda y: y[:2], r"shape \(3,\).*found shape \(2,\)"),
        (lambda y: y.long(), "torch.float64.*found.*torch.int64"),
        (lambda y: y.float(), "torch.float64.*found.*torch.float32"),
        (lambda y: y.to("meta"), "cpu; found.*meta"),
        (lambda y: (y, y), "found tuple"),
        (lambda y: None, "found NoneType"),
    ],
)
def test_a_function_that_returns_something_else(y, message):
    with pytest.raises(ValueError, match=message):
        solve(lambda t, state: y(state), Y0, T)


NET = torch.nn.Linear(2, 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"solver": Solver}, "solver must be a Solver, or the name .*; found the class Solver"),
        ({"solver": None}, "solver must be a Solver.*; found NoneType"),
        ({"gradient": Discrete}, r"gradient must be .* such as Discrete\(\); found Discrete"),
        ({"gradient": None}, "gradient must be the name .*; found NoneType"),
        ({"args": 2.0}, r"args must be a tuple .*; found float; write args=\(value,\)"),
        ({"args": torch.ones(1)}, "args must be a tuple .*; found Tensor"),
        ({"parameters": NET}, r"parameters must be .* net.parameters\(\) .*; found Linear"),
        ({"parameters": NET.weight}, "parameters must be an iterable of .*; found Parameter"),
        ({"parameters": NET.state_dict()}, "parameters must be an iterable of .*; found Ordered"),
        ({"parameters": NET.named_parameters()}, "must be .*; found tuple among them"),
        ({"parameters": [hooked(2 * NET.weight)]}, "computed from others and has a hook"),
    ],
)
def test_arguments_of_another_kind(given, message):
    with pytest.raises(ValueError, match=message):
        solve(lambda t, y, *_: NET(y), torch.ones(2), [0.0, 1.0], **{"solver": "dopri5", **given})


@pytest.mark.parametrize(
    ("t", "message"),
    [
        ([0.0, 1.0, 0.5], r"strictly increasing.*t\[1\]=1.0"),
        ([0.0, 1.0, 1.0], "strictly increasing"),
        ([0.0, math.nan], "finite"),
        ([0.0, math.inf], "finite"),
        ([0.0], "at least 2 times"),
        ([], "at least 2 times"),
    ],
)
def test_times_that_are_not_a_grid(t, message):
    with pytest.raises(ValueError, match=message):
        solve(lambda t, y: y, Y0, torch.tensor(t, dtype=torch.float64))


@pytest.mark.parametrize(
    ("t", "found"),
    [
        ([0.0, "1"], "list with an element of type str"),
        ((0.0, torch.tensor(1.0)), "tuple with an element of type Tensor"),
        (1.0, "float"),
        ([0.0], "1 numbers"),
    ],
)
def test_times_that_are_not_numbers(t, found):
    with pytest.raises(ValueError, match=f"at least 2 times; found {found}$"):
        solve(lambda t, y: y, Y0, t)


@pytest.mark.parametrize(
    ("y0", "message"),
    [
        (torch.ones(0), "at least one"),
        (torch.ones(3, dtype=torch.long), "floating-point"),
        ((), "tensors"),
        ((torch.ones(1), torch.ones(1, dtype=torch.float64)), "one dtype"),
        (3.0, "tensors"),
    ],
)
def test_states_that_are_none(y0, message):
    with pytest.raises(ValueError, match=message):
        solve(lambda t, y: y, y0, T)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("pack", [lambda y0: y0, lambda y0: (y0,)])
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.eye(3).to_sparse(),
        lambda: torch.eye(3).to_sparse_csr(),
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
    ],
)
def test_states_that_are_not_dense(make, pack):
    with pytest.raises(ValueError, match="y0 must consist of dense tensors"):
        solve(lambda t, y: y, pack(make()), [0.0, 1.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "dopri55"}, "did you mean 'dopri5'"),
        ({"method": "rk4"}, "takes fixed steps"),
        ({"rtol": -1.0}, "rtol=-1.0 must be a number >= 0"),
        ({"rtol": [1e-3, -1.0]}, "rtol="),
        ({"rtol": 0.0, "atol": 0.0}, "both 0"),
        ({"step_size": 0.0}, "step_size=0.0"),
        ({"num_steps": 2, "step_size": 0.1}, "both set"),
        ({"num_steps": 2, "jump_t": [0.5]}, "adaptive steps"),
        ({"method": "rk4", "num_steps": 2.5}, "must be a whole number"),
        ({"method": "rk4", "num_steps": 2, "first_step": 0.1}, "first_step=0.1 has no effect"),
        ({"num_steps": 2, "max_step": 0.1}, "max_step=0.1 has no effect on fixed steps"),
        ({"method": "euler", "step_t": (0.5,), "safety": 0.5}, "safety=0.5 has no effect"),
        ({"method": "rk4", "step_size": 0.1, "min_step": 0.01}, "min_step=0.01 has no effect"),
        ({"method": "adams", "max_order": 2.5}, "must be a whole number"),
        ({"controller": "pd"}, "i, pi, pid or none"),
        ({"batching": "each"}, "joint or independent"),
        ({"max_step": 0.0}, "a number > 0"),
        ({"max_step": 0.5, "min_step": 1.0}, "at least min_step"),
        ({"method": "adams", "num_steps": 5}, "use adams_bashforth or adams_moulton"),
        ({"method": "adams", "step_size": 0.1}, "use adams_bashforth or adams_moulton"),
        ({"method": "adams", "safety": 0.5}, "safety=0.5 has no effect on.*by their order"),
        ({"method": "adams", "controller": "pid"}, "controller='pid' has no effect"),
        ({"method": "dopri5", "max_order": 2}, "max_order=2 has no effect.*order is fixed"),
        ({"method": "scipy_radau", "max_order": 2}, "max_order=2 has no effect"),
        ({"batching": "independent", "interpolation": "linear"}, "'linear' has no effect"),
        ({"batching": "independent", "max_steps_between_outputs": 5}, "has no effect"),
        (
            {"batching": "independent", "min_step": 0.1, "accept_min_step": True},
            "accept_min_step=True has no effect",
        ),
        ({"method": "scipy_lsoda", "num_steps": 2}, "chooses all of its steps"),
        ({"method": "scipy_bdf", "jump_t": [0.5]}, "chooses all of its steps"),
        ({"method": "scipy_radau", "step_t": [0.5]}, "chooses all of its steps"),
    ],
)
def test_solvers_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        Solver(**options)


def test_tolerances_that_do_not_match_the_state():
    with pytest.raises(ValueError, match="has 2 numbers for a state of 1 tensors"):
        solve(lambda t, y: y, Y0, T, Solver(rtol=[1e-3, 1e-4]))


def at_the_start(t, y):
    return torch.full_like(y, math.nan)


def in_the_middle(t, y):
    return torch.where(t > 0.6, torch.full_like(y, math.inf), -y)


def blow_up(t, y):
    return 1.5 * y**2


@pytest.mark.parametrize("method", ["dopri5", "adams", "kvaerno3", "bosh3", "reversible_heun"])
@pytest.mark.parametrize(
    ("field", "statuses", "reached"),
    [
        (at_the_start, {Status.NON_FINITE, Status.NOT_CONVERGED}, 1),
        (in_the_middle, {Status.NON_FINITE, Status.NOT_CONVERGED, Status.STEP_UNDERFLOW}, 2),
        (
            blow_up,
            {
                Status.NON_FINITE,
                Status.NOT_CONVERGED,
                Status.STEP_UNDERFLOW,
                Status.MAX_STEPS,
            },
            2,
        ),
    ],
)
def test_what_was_reached_is_returned_with_a_status(method, field, statuses, reached):
    solver = Solver(method, rtol=1e-4, atol=1e-4, max_steps=2000)
    solution = solve(field, Y0, T, solver, throw=False)
    assert solution.status in statuses
    assert not solution.status.ok
    assert len(solution.ys) == len(solution.ts) == reached
    assert torch.isfinite(solution.ys).all()
    assert method in solution.message
    assert "t=" in solution.message
    with pytest.raises(SolveError, match=method):
        solve(field, Y0, T, solver)


def test_fixed_steps_notice_a_state_that_is_not_finite():
    solution = solve(in_the_middle, Y0, T, Solver("rk4", num_steps=10), throw=False)
    assert solution.status is Status.NON_FINITE


def test_the_step_limit_and_the_smallest_step_are_kept():
    solution = solve(lambda t, y: -y, Y0, T, Solver(max_steps=2, rtol=1e-10), throw=False)
    assert solution.status is Status.MAX_STEPS
    assert solution.stats.forward.accepted + solution.stats.forward.rejected == 2
    stiff = solve(lambda t, y: -1e4 * y, Y0, T, Solver(min_step=1e-2), throw=False)
    assert stiff.status is Status.STEP_UNDERFLOW


def test_tolerances_below_rounding_end_with_a_status_and_do_not_hang():
    y0 = torch.ones(3)
    solver = Solver(rtol=1e-14, atol=1e-14, max_steps=3000)
    solution = solve(lambda t, y: torch.sin(y + t), y0, T.float(), solver, throw=False)
    assert solution.status in (Status.STEP_UNDERFLOW, Status.MAX_STEPS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_dtype_of_the_state_is_kept_and_time_is_exact(dtype):
    seen = []

    def field(t, y):
        seen.append((t.dtype, y.dtype))
        return -y

    y0 = torch.ones(4, dtype=dtype)
    solution = solve(field, y0, torch.tensor([0.0, 1.0]), Solver(rtol=1e-2, atol=1e-2))
    assert solution.ys.dtype == dtype
    assert set(seen) == {(dtype, dtype)}
    assert float(solution.ys[-1, 0]) == pytest.approx(math.exp(-1), abs=0.02)
    # Steps of 2^-12 are lost when time is added up in bfloat16; on the host they are not.
    solver = Solver("euler", step_size=2**-12)
    end = solve(lambda t, y: torch.zeros_like(y), y0, torch.tensor([1.0, 1.5]), solver)
    assert end.stats.forward.accepted == 2048


def test_complex_states_and_their_gradients():
    z0 = torch.tensor([1 + 1j, -2j], dtype=torch.complex128, requires_grad=True)
    rate = torch.tensor(0.3 + 2j, dtype=torch.complex128, requires_grad=True)
    for gradient in ("backprop", "adjoint"):
        solution = solve(
            lambda t, z, rate: rate * z,
            z0,
            T,
            Solver(rtol=1e-9, atol=1e-9),
            gradient,
            args=(rate,),
        )
        exact = z0 * torch.exp(rate * T.unsqueeze(1))
        torch.testing.assert_close(solution.ys, exact, rtol=1e-7, atol=1e-7)
        found = torch.autograd.grad(solution.ys[-1].abs().sum(), (z0, rate))
        wanted = torch.autograd.grad(exact[-1].abs().sum(), (z0, rate))
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)


def test_tolerances_of_the_parts_are_kept_apart():
    """A part with a loose tolerance does not cost steps, and a strict one does."""

    def field(t, state):
        slow, fast = state
        return -slow, 30 * torch.cos(30 * t) * torch.ones_like(fast)

    def accepted(rtol, atol):
        solver = Solver(rtol=rtol, atol=atol)
        return solve(field, (Y0, Y0), T, solver).stats.forward.accepted

    loose = accepted([1e-8, 1e3], [1e-8, 1e3])
    strict = accepted([1e-8, 1e-8], [1e-8, 1e-8])
    assert loose < strict / 3


def test_steps_end_at_step_t_and_do_not_see_both_sides_of_jump_t():
    def kink(t, y):
        return torch.where(t < 0.3, torch.ones_like(y), -5 * torch.ones_like(y))

    for dtype in (torch.float32, torch.float64):
        for t in (T, T.flip(0)):
            y0 = torch.zeros(1, dtype=dtype)
            plain = solve(kink, y0, t, Solver(rtol=1e-5, atol=1e-5))
            told = solve(kink, y0, t, Solver(rtol=1e-5, atol=1e-5, jump_t=[0.3]))
            assert told.stats.forward.rejected == 0
            assert told.stats.forward.evaluations < plain.stats.forward.evaluations / 2
            exact = 0.3 - 5 * 0.7 if t is T else 5 * 0.7 - 0.3
            assert float(told.ys[-1]) == pytest.approx(exact, abs=1e-5)
    dense = solve(lambda t, y: -y, Y0, T, Solver(step_t=[0.123, 0.7]), dense=True)
    assert {0.123, 0.7} <= set(dense.interpolant.steps)


def test_a_vector_field_may_jump_at_both_ends():
    def kink(t, y):
        inside = (t > 0) & (t < 1)
        return torch.where(inside, torch.ones_like(y), 1e6 * torch.ones_like(y))

    told = solve(kink, Y0, T, Solver(rtol=1e-6, atol=1e-6, jump_t=[0.0, 1.0]))
    assert float(told.ys[-1, 0]) == pytest.approx(2, abs=1e-6)
    assert told.stats.forward.rejected == 0


@pytest.mark.parametrize(
    "options",
    [
        {"max_step": 0.1, "first_step": 0.1, "step_t": (0.8,)},  # 8 steps of 0.1 end at 0.7999...
        {"step_t": (0.5, 0.5001), "min_step": 1e-3},
        {"jump_t": (0.5, 0.5001), "min_step": 1e-3},
        {"method": "rk4", "step_t": (0.5, 0.5)},
        {"method": "rk4", "step_t": (0.5, math.nextafter(0.5, 1))},
    ],
)
def test_a_step_that_has_to_end_somewhere_may_be_short(options):
    solution = solve(lambda t, y: -1e-3 * y, Y0, T, Solver(**options))
    torch.testing.assert_close(solution.ys[-1], Y0 * math.exp(-1e-3), rtol=1e-6, atol=0)
    assert solution.stats.forward.smallest_step > 0


def test_steps_of_equal_size_reach_a_stop_without_a_tiny_one():
    solver = Solver(max_step=0.1, first_step=0.1, step_t=(0.8,))
    solution = solve(lambda t, y: -1e-3 * y, Y0, T, solver)
    assert solution.stats.forward.smallest_step > 0.09
    assert solution.stats.forward.accepted == 10


def test_the_number_of_fixed_steps_is_not_bounded():
    solver = Solver("euler", num_steps=40, max_steps=20)
    assert solve(lambda t, y: -y, Y0, T, solver).stats.forward.accepted == 40


@pytest.mark.parametrize("solver", [Solver("scipy_lsoda"), Solver(batching="independent")])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("norm", lambda y: y.abs().max()),
        ("watch", lambda t, h, y, accepted: None),
        ("dense", True),
        ("events", [lambda t, y: y[0]]),
    ],
)
def test_arguments_that_a_method_would_ignore_are_rejected(solver, name, value):
    with pytest.raises(ValueError, match=f"cannot take {name}"):
        solve(lambda t, y: -y, Y0, T, solver, **{name: value})


@pytest.mark.parametrize("options", [{}, {"first_step": 0.1}])
@pytest.mark.parametrize("method", ["dopri5", "kvaerno3", "adams", "independent"])
def test_a_tolerance_of_zero_is_named(method, options):
    choice = {"batching": method} if method == "independent" else {"method": method}
    solver = Solver(**choice, **options, atol=0.0)
    y0 = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    solution = solve(lambda t, y: -y, y0, T, solver, throw=False)
    assert not solution.status.ok
    assert "Set solver.atol > 0" in solution.message
    nan = solve(lambda t, y: y / 0 * 0, y0, T, Solver(), throw=False)
    assert "the vector field returned NaN" in nan.message


@pytest.mark.parametrize("name", ["step_t", "jump_t"])
def test_a_time_to_end_steps_at_is_a_number(name):
    with pytest.raises(ValueError, match=f"solver.{name}.*NaN"):
        Solver("dopri5", **{name: (0.5, math.nan)})


def test_a_norm_returns_one_number_of_any_kind():
    solver = Solver("dopri5", rtol=1e-6, atol=1e-9)
    same = solve(lambda t, y: -y, Y0, T, solver, norm=lambda y: y.abs().max())
    norms = [lambda y: float(y.abs().max()), lambda y: y.abs().max().numpy()]
    for norm in (*norms, lambda y: y.abs().max().view(1, 1)):
        assert torch.equal(solve(lambda t, y: -y, Y0, T, solver, norm=norm).ys, same.ys)
    for norm in (lambda y: y.abs(), lambda y: y.sum() * 1j):
        with pytest.raises(ValueError, match="norm must return one real number; found shape"):
            solve(lambda t, y: -y, Y0, T, solver, norm=norm)


def test_a_failed_solve_is_an_error_that_can_be_sent_to_another_process():
    with pytest.raises(SolveError) as caught:
        solve(lambda t, y: y**2, Y0, torch.tensor([0.0, 2.0], dtype=torch.float64))
    sent = pickle.loads(pickle.dumps(caught.value))
    assert type(sent) is SolveError
    assert str(sent) == str(caught.value)
    assert torch.equal(sent.solution.ys, caught.value.solution.ys)
    assert sent.solution.status is caught.value.solution.status


@pytest.mark.parametrize("method", ["kvaerno3", "trbdf2", "gl4", "implicit_midpoint", "sdirk2"])
@pytest.mark.parametrize("grad", [True, False])
def test_an_implicit_method_says_that_it_needs_a_jacobian(method, grad):
    adaptive = method in ("kvaerno3", "trbdf2")
    solver = Solver(method) if adaptive else Solver(method, num_steps=3)
    with (
        torch.set_grad_enabled(grad),
        pytest.raises(ValueError, match=r"implicit method differentiates.*scipy_lsoda"),
    ):
        solve(lambda t, y: torch.from_numpy(-y.detach().numpy()), Y0, T, solver)
    solution = solve(lambda t, y: torch.from_numpy(-y.detach().numpy()), Y0, T, "scipy_lsoda")
    assert torch.allclose(solution.ys[-1], Y0 * math.exp(-1), rtol=1e-4)
