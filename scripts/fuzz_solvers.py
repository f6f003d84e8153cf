"""Random linear problems through every solver and gradient, compared with the matrix exponential.

    python scripts/fuzz_solvers.py [--problems 2000] [--first 0] [--only SEED]

A problem is drawn from its seed alone: y' = A y + b with a method of the registry, a gradient
method, a layout and dtype of the state, times in either direction, tolerances or fixed steps, and
now and then an event or a dense solution. Values and gradients are compared with those of the
matrix exponential in double precision. A solve is right, rejected in words (a `ValueError` of one
line), failed with a status (`SolveError`), warned of, wrong, a crash, or a hang. The last three
are printed with their seeds, and make the exit code 1.
"""

from __future__ import annotations

import argparse
import math
import random
import signal
import sys
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from node_experiments.ode import Event, SolveError, Solver, solve
from node_experiments.ode.gradients import GRADIENTS
from node_experiments.ode.methods.registry import METHODS, Method

# Gradient methods that are drawn most of the time; for families that are not named, all.
LIKELY = {
    "implicit": ("backprop", "adjoint", "discrete", "checkpoint"),
    "multistep": ("backprop", "adjoint", "interpolated"),
    "reversible": ("reversible", "backprop", "adjoint"),
    "symplectic": ("reversible", "backprop"),
    "scipy": ("adjoint",),
}
FAILURES = ("wrong", "crash", "hang")
OUTCOMES = ("right", "rejected", "solve error", "warned", *FAILURES)
TIME_LIMIT = 20.0  # seconds of processor time of one problem
# Errors in multiples of the tolerance that are still called right, of a step and by sensitivity.
SLACK = 2.0
# Its error estimate is that of a method of order 1 whose coefficients nearly agree with its own.
LOOSE = {"fehlberg2": 30.0}
# Of the gradient, whose error no step control measures.
GRADIENT_SLACK = 20.0


@dataclass
class Problem:
    """One draw: a linear initial value problem and how it is solved."""

    seed: int
    matrix: Tensor
    forcing: Tensor
    y0: Tensor
    times: list[float]
    dtype: torch.dtype
    solver: Solver
    gradient: str | None
    layout: str
    event: float | None
    dense: bool
    wants_times: bool

    @property
    def method(self) -> Method:
        return self.solver.properties

    def __str__(self) -> str:
        steps = {"num_steps": self.solver.num_steps, "step_size": self.solver.step_size}
        how = {k: v for k, v in steps.items() if v is not None} or {"rtol": self.solver.rtol}
        return (
            f"{self.solver.method} {how} gradient={self.gradient} {self.dtype} {self.layout} "
            f"{self.solver.batching} shape={tuple(self.y0.shape)} {len(self.times)} times from "
            f"{self.times[0]:.3g} to {self.times[-1]:.3g} event={self.event} dense={self.dense}"
        )


@dataclass
class Outcome:
    """What became of a problem; `detail` is a message or an error with its bound."""

    kind: str
    detail: str = ""


def draw(seed: int) -> Problem:
    """The problem of a seed."""
    rng = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    method = METHODS[rng.choice(sorted(METHODS))]
    likely = [None, *LIKELY.get(method.family, GRADIENTS)]
    gradient = rng.choice(likely if rng.random() < 0.8 else sorted(GRADIENTS))
    dtype = rng.choice([torch.float64, torch.float64, torch.float32, torch.complex128])
    half = rng.randint(1, 3)
    n = 2 * half if method.family == "symplectic" else rng.randint(1, 6)
    if method.family == "symplectic":
        dtype = torch.float64
    work = torch.complex128 if dtype.is_complex else torch.float64
    matrix = torch.randn(n, n, generator=generator, dtype=work)
    kind = rng.choice(["any", "stable", "rotation"])
    if kind == "stable":
        matrix = -matrix @ matrix.mH / n
    elif kind == "rotation":
        matrix = matrix - matrix.mH
    matrix = matrix / max(1e-3, float(torch.linalg.matrix_norm(matrix, 2)))
    span = 10 ** rng.uniform(-1.5, 0.5)
    matrix = matrix * rng.uniform(0.3, 3.0) / max(span, 1.0)
    forcing = torch.randn(n, generator=generator, dtype=work) * rng.choice([0.0, 0.3])
    if method.family == "symplectic":
        # Of the form q' = f(p), p' = g(q), for which the method is made.
        matrix[:half, :half] = matrix[half:, half:] = 0
    stiff = (
        method.family == "implicit" and method.adaptive and dtype is torch.float64
    ) and rng.random() < 0.3
    if stiff:
        rates = -torch.logspace(0, 4, n, dtype=torch.float64)
        basis, _ = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))
        matrix = basis @ torch.diag(rates) @ basis.T
        gradient = rng.choice([None, "backprop", "discrete", "checkpoint"])
    batched = method.family != "symplectic" and rng.random() < 0.5
    shape = (rng.randint(1, 4), n) if batched else (n,)
    y0 = torch.randn(shape, generator=generator, dtype=work)
    times = draw_times(rng, span, dtype, forward=stiff or rng.random() < 0.6)
    fixed = not method.adaptive or (rng.random() < 0.3 and not stiff)
    if method.family == "scipy" or method.name == "adams":
        fixed = False
    options: dict[str, Any] = {}
    strength = float(torch.linalg.matrix_norm(matrix, 2)) * abs(times[-1] - times[0])
    if fixed:
        count = max(4, math.ceil(strength / rng.uniform(0.05, 0.2)))
        by_number = rng.random() < 0.5
        size = abs(times[-1] - times[0]) / count * rng.uniform(0.8, 1.0)
        options |= {"num_steps": count} if by_number else {"step_size": size}
    # Methods of low order would take thousands of steps at tight tolerances.
    tightest = -5 if dtype is torch.float32 else -9 if method.order > 3 else -6
    tolerance = 10 ** rng.uniform(tightest, -3.5)
    options |= {"rtol": tolerance, "atol": tolerance, "max_steps": 2000}
    # The components of one state depend on each other, and are no samples.
    if rng.random() < 0.15 and method.family == "explicit" and batched:
        options["batching"] = "independent"
    steers = not fixed and method.family != "scipy" and method.name != "adams"
    if rng.random() < 0.3 and steers:
        options["controller"] = rng.choice(["pi", "pid"])
    layout = rng.choice(["tensor", "tensor", "tensor", "tuple", "dict"])
    if method.family == "symplectic" or n == 1:
        layout = "tensor"
    inside = times[0] + (times[-1] - times[0]) * rng.uniform(0.2, 0.8)
    event = inside if rng.random() < 0.1 else None
    return Problem(
        seed=seed,
        matrix=matrix,
        forcing=forcing,
        y0=y0,
        times=times,
        dtype=dtype,
        solver=Solver(method.name, **options),
        gradient=gradient,
        layout=layout,
        event=event,
        dense=rng.random() < 0.1,
        wants_times=event is None and rng.random() < 0.25,
    )


def draw_times(rng: random.Random, span: float, dtype: torch.dtype, forward: bool) -> list[float]:
    """Few, many or close output times, none of which are equal in the precision of `dtype`."""
    start = rng.choice([0.0, rng.uniform(-2, 2)])
    fractions = [0.0, 1.0]
    fractions += [rng.random() for _ in range(rng.choice([0, 1, 5, 40]))]
    times = sorted(start + span * x for x in fractions)
    precision = torch.float32 if dtype is torch.float32 else torch.float64
    numbers = torch.tensor(times, dtype=precision)
    if rng.random() < 0.25:
        middle = numbers[len(numbers) // 2]
        close = [middle := torch.nextafter(middle, middle + 1) for _ in range(rng.choice([1, 3]))]
        numbers = torch.cat([numbers, torch.stack(close)])
    ordered = sorted(set(numbers.tolist()))
    return ordered if forward else ordered[::-1]


def exact(matrix: Tensor, forcing: Tensor, y0: Tensor, t: Tensor) -> Tensor:
    """Solutions at the times t, shape `(time, *y0.shape)`, by one matrix exponential each."""
    n = len(matrix)
    top = torch.cat([matrix, forcing.unsqueeze(1)], 1)
    extended = torch.cat([top, top.new_zeros(1, n + 1)])
    flows = torch.linalg.matrix_exp(extended * (t - t[0]).view(-1, 1, 1))
    ones = y0.new_ones(*y0.shape[:-1], 1)
    return torch.einsum("tij,...j->t...i", flows, torch.cat([y0, ones], -1))[..., :n]


def sensitivity(problem: Problem) -> float:
    """The largest growth of a perturbation between two times of the solve, either way round.

    Reversible methods have a parasitic solution that grows in both directions, and gradients that
    solve backwards see what decays grow.
    """
    span = problem.times[-1] - problem.times[0]
    s = torch.linspace(0, 1, 9, dtype=torch.float64).view(-1, 1, 1) * span
    stiff = float(torch.linalg.matrix_norm(problem.matrix, 2)) * abs(span) > 20
    ways = (1,) if stiff else (1, -1)
    norms = [
        torch.linalg.matrix_norm(torch.linalg.matrix_exp(problem.matrix * s * way), 2).max()
        for way in ways
    ]
    growth = max(1.0, *map(float, norms))
    if problem.method.family == "reversible":
        growth *= math.exp(float(torch.linalg.matrix_norm(problem.matrix, 2)) * abs(span))
    return growth


def relative_bound(problem: Problem, steps: int) -> float:
    """How large an error relative to the solution may be."""
    method, span = problem.method, abs(problem.times[-1] - problem.times[0])
    growth = sensitivity(problem)
    eps = torch.finfo(problem.dtype).eps
    rounding = 100 * eps * (steps + 10) * growth
    strength = float(torch.linalg.matrix_norm(problem.matrix, 2))
    if not problem.solver.fixed_steps:
        # Each step errs by a tolerance, which grows up to the end.
        loose = LOOSE.get(method.name.removeprefix("reversible_"), 1.0)
        return loose * SLACK * problem.solver.rtol * (steps + 5) * growth + rounding
    size = problem.solver.step_size or span / problem.solver.num_steps
    order = min(method.order, 4)  # between the steps values have the order of the interpolant
    newton = problem.solver.rtol * steps * growth if method.family == "implicit" else 0.0
    return SLACK * (1 + strength * span) * growth * (strength * size) ** order + rounding + newton


def run(problem: Problem) -> Outcome:
    """Solve a problem and compare."""
    signal.signal(signal.SIGVTALRM, out_of_time)
    signal.setitimer(signal.ITIMER_VIRTUAL, TIME_LIMIT)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            outcome = compare(problem)
        if outcome.kind == "wrong" and caught:
            return Outcome("warned", str(caught[0].message))
        return outcome
    except TimeoutError:
        return Outcome("hang", f"longer than {TIME_LIMIT} s")
    except SolveError as error:
        return Outcome("solve error", str(error))
    except ValueError as error:
        one_line = bool(str(error)) and "\n" not in str(error)
        return Outcome("rejected" if one_line else "crash", str(error))
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return Outcome(
            "crash", f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"
        )
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def out_of_time(*_: Any) -> None:
    raise TimeoutError


def compare(problem: Problem) -> Outcome:
    """Solve, with gradients if the problem has some, and look at every number."""
    wants_gradient = problem.gradient is not None
    real = torch.float32 if problem.dtype is torch.float32 else torch.float64
    matrix, forcing, y0 = (
        x.to(problem.dtype).requires_grad_(wants_gradient)
        for x in (problem.matrix, problem.forcing, problem.y0)
    )
    t = torch.tensor(problem.times, dtype=real).requires_grad_(
        wants_gradient and problem.wants_times
    )

    def field(time: Tensor, y: Any, matrix: Tensor, forcing: Tensor) -> Any:
        return split(problem.layout, joined(y) @ matrix.mT + forcing)

    events = ()
    if problem.event is not None:
        events = (Event(lambda time, y, *args: time - problem.event),)
    with torch.set_grad_enabled(wants_gradient):
        solution = solve(
            field,
            split(problem.layout, y0),
            t,
            problem.solver,
            problem.gradient or "adjoint",
            args=(matrix, forcing),
            parameters=(),
            events=events,
            dense=problem.dense,
        )
    ys = joined(solution.ys)
    steps = solution.stats.forward.accepted
    steps = steps if isinstance(steps, int) else int(torch.as_tensor(steps).max())
    bound = relative_bound(problem, steps)
    inputs = [x.detach().clone() for x in (problem.matrix, problem.forcing, problem.y0)]
    inputs = [x.to(problem.dtype).to(x.dtype).requires_grad_() for x in inputs]
    reached = problem.times
    if problem.event is not None:
        sign = math.copysign(1.0, problem.times[-1] - problem.times[0])
        reached = [x for x in problem.times if sign * (problem.event - x) > 0] + [problem.event]
        found = float(solution.ts[-1])
        off = abs(found - problem.event) / max(1.0, abs(problem.event))
        if off > 10 * torch.finfo(real).eps + 1e-2 * problem.solver.rtol:
            return Outcome("wrong", f"event at {found!r} and not {problem.event!r}")
    exact_t = torch.tensor(reached, dtype=torch.float64, requires_grad=True)
    expected = exact(*inputs, exact_t)
    worst = distance(ys, expected)
    if ys.shape != expected.shape or not worst <= bound:
        return Outcome("wrong", f"values off by {worst:.1e}, allowed {bound:.1e}")
    if problem.dense:
        between = problem.times[0] + 0.37 * (reached[-1] - problem.times[0])
        value = joined(solution.interpolant(between)).detach()
        point = exact(*inputs, torch.tensor([problem.times[0], between], dtype=torch.float64))[-1]
        worst = distance(value, point)
        if not worst <= 10 * bound:
            return Outcome("wrong", f"dense value off by {worst:.1e}, allowed {10 * bound:.1e}")
    if wants_gradient:
        sources = (matrix, forcing, y0, t), (*inputs, exact_t)
        return compare_gradients(problem, ys, expected, *sources, bound)
    return Outcome("right", f"errors of at most {worst / bound:.1e} of the bound")


def compare_gradients(
    problem: Problem,
    ys: Tensor,
    expected: Tensor,
    found_from: tuple[Tensor, ...],
    expected_from: tuple[Tensor, ...],
    bound: float,
) -> Outcome:
    """Gradients of a random sum of the outputs."""
    generator = torch.Generator().manual_seed(problem.seed + 1)
    weights = torch.randn(expected.shape, generator=generator, dtype=expected.dtype)

    def gradients(ys: Tensor, inputs: tuple[Tensor, ...]) -> list[Tensor]:
        total = (ys * weights.to(ys.dtype)).sum()
        total = total.real if total.is_complex() else total
        wanted = [x for x in inputs if x.requires_grad]
        return list(torch.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True))

    found = gradients(ys, found_from)
    wanted = gradients(expected, expected_from)[: len(found)]
    allowed = GRADIENT_SLACK / SLACK * bound * sensitivity(problem)
    if problem.wants_times and problem.solver.fixed_steps:
        allowed = max(allowed, bound ** (1 / 2))  # slopes of values between the steps
    scale = max(float(x.abs().max()) for x in wanted)
    largest = 0.0
    for name, a, b in zip(("A", "b", "y0", "t"), found, wanted, strict=False):
        worst = float((a.to(b.dtype) - b).abs().max()) / scale
        if not worst <= allowed:
            return Outcome(
                "wrong", f"gradient of {name} off by {worst:.1e}, allowed {allowed:.1e}"
            )
        largest = max(largest, worst / allowed)
    return Outcome("right", f"errors of at most {largest:.1e} of the bound")


def split(layout: str, y: Tensor) -> Any:
    """The last axis in two parts, as the layout has them."""
    if layout == "tensor":
        return y
    parts = y[..., :1], y[..., 1:]
    return parts if layout == "tuple" else {"a": parts[0], "b": parts[1]}


def joined(y: Any) -> Tensor:
    """The inverse of `split`."""
    if isinstance(y, Tensor):
        return y
    return torch.cat([y["a"], y["b"]] if isinstance(y, dict) else list(y), -1)


def distance(found: Tensor, expected: Tensor) -> float:
    """Largest error relative to the largest value, at least 1; infinite if shapes differ."""
    if found.shape != expected.shape:
        return math.inf
    error = (found.detach().to(expected.dtype) - expected.detach()).abs().max()
    return float(error) / max(1.0, float(expected.detach().abs().max()))


def main(arguments: list[str] | None = None) -> int:
    """Run the problems; 1 when one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first problem")
    parser.add_argument("--only", type=int, help="the one seed to run, with its details")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    seeds = range(options.first, options.first + options.problems)
    table: dict[str, Counter[str]] = {}
    for seed in seeds if options.only is None else [options.only]:
        problem = draw(seed)
        outcome = run(problem)
        table.setdefault(problem.method.family, Counter())[outcome.kind] += 1
        if outcome.kind in FAILURES or options.only is not None:
            print(f"{outcome.kind}: {problem}\n  {outcome.detail}")
            print(f"  python scripts/fuzz_solvers.py --only {seed}", flush=True)
    print(f"{'family':12}" + "".join(f"{kind:>13}" for kind in OUTCOMES))
    for family, counts in sorted(table.items()):
        print(f"{family:12}" + "".join(f"{counts[kind]:13}" for kind in OUTCOMES))
    return int(any(counts[kind] for counts in table.values() for kind in FAILURES))


if __name__ == "__main__":
    sys.exit(main())
