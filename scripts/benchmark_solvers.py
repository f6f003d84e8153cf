"""Error against evaluations and against time: all methods beside those of other packages.

    python scripts/benchmark_solvers.py [--repeats 11] [--output outputs/reference/solvers]

Prints a table, writes `benchmark_solvers.json` and draws `work_precision.png`. Two problems in
float64: a small neural vector field on a batch, and Van der Pol's equation with mu = 100, which is
stiff. Packages of the extra `bench` that are not installed are left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from measured_on import machine
from scipy import integrate

from node_experiments.figures.style import COLORS, SMALLEST, new_figure, style
from node_experiments.ode import Solver, solve
from node_experiments.ode.methods.registry import METHODS

TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
STEPS = (20, 40, 80, 160, 320)
STIFF_TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
LONGEST = 2.0  # seconds of a solve; a method that takes longer is asked for no finer setting
# Okabe & Ito's palette, which most colour-blind readers can tell apart; others in greys.
COLOURS = {
    "node_experiments": COLORS["blue"],
    "torchdiffeq": COLORS["orange"],
    "torchode": COLORS["green"],
    "diffrax": COLORS["purple"],
    "scipy": COLORS["red"],
}
MARKERS = "o^sDvP*"  # of a package's methods


class Problem(NamedTuple):
    """An initial value problem in the languages of all packages.

    Attributes:
        torch_field, numpy_field, jax_field: The vector field on a state of the shape of `y0`.
    """

    name: str
    y0: torch.Tensor
    end: float
    torch_field: Callable[..., torch.Tensor]
    numpy_field: Callable[..., np.ndarray]
    jax_field: Callable[..., Any]
    stiff: bool


class Run(NamedTuple):
    """One solve: its answer, the evaluations it needed (None if unknown)."""

    answer: np.ndarray
    evaluations: int | None


def neural(batch: int = 64, size: int = 16) -> Problem:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(size, size, generator=generator, dtype=torch.float64) * 1.5 / size**0.5
    b = torch.randn(size, size, generator=generator, dtype=torch.float64) * 1.5 / size**0.5
    y0 = torch.randn(batch, size, generator=generator, dtype=torch.float64)
    an, bn = a.numpy(), b.numpy()

    def jax_field(t: Any, y: Any, args: Any) -> Any:
        import jax.numpy as jnp

        return jnp.tanh(jnp.tanh(y @ an) @ bn + jnp.sin(t))

    return Problem(
        "neural vector field, batch of 64, 16 components",
        y0,
        4.0,
        lambda t, y: torch.tanh(torch.tanh(y @ a) @ b + torch.sin(t)),
        lambda t, y: np.tanh(np.tanh(y @ an) @ bn + np.sin(t)),
        jax_field,
        stiff=False,
    )


def van_der_pol(mu: float = 100.0) -> Problem:
    def jax_field(t: Any, y: Any, args: Any) -> Any:
        import jax.numpy as jnp

        return jnp.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]])

    return Problem(
        "Van der Pol, mu = 100 (stiff)",
        torch.tensor([2.0, 0.0], dtype=torch.float64),
        100.0,
        lambda t, y: torch.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]]),
        lambda t, y: np.array([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]]),
        jax_field,
        stiff=True,
    )


def ours(problem: Problem, method: str, setting: float) -> Run:
    t = torch.tensor([0.0, problem.end], dtype=torch.float64)
    adaptive = METHODS[method].adaptive
    options = {"rtol": setting, "atol": setting} if adaptive else {"num_steps": int(setting)}
    with torch.no_grad():
        solver = Solver(method, **options, max_steps=100_000)
        solution = solve(problem.torch_field, problem.y0, t, solver)
    return Run(solution.ys[-1].numpy(), solution.stats.forward.evaluations)


def scipys(problem: Problem, method: str, setting: float) -> Run:
    shape = tuple(problem.y0.shape)
    result = integrate.solve_ivp(
        lambda t, y: problem.numpy_field(t, y.reshape(shape)).ravel(),
        (0, problem.end),
        problem.y0.numpy().ravel(),
        method,
        rtol=setting,
        atol=setting,
    )
    return Run(result.y[:, -1].reshape(shape), result.nfev)


def torchdiffeqs(problem: Problem, method: str, setting: float) -> Run:
    import torchdiffeq

    calls = 0

    def field(t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return problem.torch_field(t, y)

    t = torch.tensor([0.0, problem.end], dtype=torch.float64)
    with torch.no_grad():
        ys = torchdiffeq.odeint(field, problem.y0, t, rtol=setting, atol=setting, method=method)
    return Run(ys[-1].numpy(), calls)


def torchodes(problem: Problem, method: str, setting: float) -> Run:
    import torchode

    # torchode keeps a step for every row of a batch; one row is the joint problem.
    y0 = problem.y0.reshape(1, -1)

    def field(t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return problem.torch_field(t[0], y.view(problem.y0.shape)).reshape(1, -1)

    term = torchode.ODETerm(field)
    kind = {"dopri5": torchode.Dopri5, "tsit5": torchode.Tsit5}[method]
    adjoint = torchode.AutoDiffAdjoint(
        kind(term=term), torchode.IntegralController(atol=setting, rtol=setting, term=term)
    )
    span = torch.tensor([0.0]), torch.tensor([problem.end])
    with torch.no_grad():
        start, end = (x.to(y0) for x in span)
        solution = adjoint.solve(torchode.InitialValueProblem(y0=y0, t_start=start, t_end=end))
    answer = solution.ys[0, -1].view(problem.y0.shape)
    return Run(answer.numpy(), int(solution.stats["n_f_evals"][0]))


class Diffrax:
    """Compiled once a problem and method; the tolerance is an argument."""

    def __init__(self) -> None:
        # Evaluations per step; those of implicit methods are not reported by the package.
        self._stages = {"Dopri5": 6, "Tsit5": 6, "Dopri8": 13, "Bosh3": 3}
        self._solves: dict[tuple[str, str], Any] = {}

    def __call__(self, problem: Problem, method: str, setting: float) -> Run:
        import diffrax
        import jax

        jax.config.update("jax_enable_x64", True)
        key = problem.name, method
        if key not in self._solves:

            def compiled(y0: Any, tolerance: Any) -> Any:
                solution = diffrax.diffeqsolve(
                    diffrax.ODETerm(problem.jax_field),
                    getattr(diffrax, method)(),
                    0.0,
                    problem.end,
                    None,
                    y0,
                    stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
                    max_steps=100_000,
                    adjoint=diffrax.DirectAdjoint(),
                )
                return solution.ys[0], solution.stats["num_steps"]

            self._solves[key] = jax.jit(compiled)
        y, steps = self._solves[key](problem.y0.numpy(), setting)
        stages = self._stages.get(method)
        evaluations = None if stages is None else 1 + stages * int(steps)
        return Run(np.asarray(y), evaluations)


def contenders(stiff: bool) -> Iterator[tuple[str, str, Callable[..., Run]]]:
    """Package, method and how to run it."""
    for method in METHODS.values():
        if method.name == "leapfrog":  # for separable systems only
            continue
        wanted = method.stiff and method.adaptive if stiff else True
        if wanted or (stiff and method.name == "dopri5"):
            yield "node_experiments", method.name, ours
    for name in ("LSODA", "BDF", "Radau") if stiff else ("RK23", "RK45", "DOP853", "LSODA"):
        yield "scipy", name, scipys
    if not stiff and find_spec("torchdiffeq"):
        for name in ("bosh3", "dopri5", "dopri8"):
            yield "torchdiffeq", name, torchdiffeqs
    if not stiff and find_spec("torchode"):
        for name in ("dopri5", "tsit5"):
            yield "torchode", name, torchodes
    if find_spec("diffrax"):
        diffrax = Diffrax()
        for name in ("Kvaerno3", "Kvaerno5") if stiff else ("Bosh3", "Dopri5", "Tsit5", "Dopri8"):
            yield "diffrax", name, diffrax


def measure(problem: Problem, repeats: int) -> list[dict[str, Any]]:
    if problem.stiff:
        reference = scipys(problem, "Radau", 1e-12).answer
    else:
        reference = ours(problem, "dopri8", 1e-13).answer
    rows = []
    for package, method, run in contenders(problem.stiff):
        fixed = package == "node_experiments" and not METHODS[method].adaptive
        settings = STEPS if fixed else STIFF_TOLERANCES if problem.stiff else TOLERANCES
        if package == "node_experiments" and not fixed and METHODS[method].order <= 2:
            settings = settings[:4]
        for setting in settings:
            try:
                result = run(problem, method, setting)
            except Exception as error:  # of other packages, which have their own
                print(f"{package:17s} {method:25s} {setting:8.0e} failed: {str(error)[:60]}")
                continue
            seconds = []
            for _ in range(repeats):
                start = time.perf_counter()
                run(problem, method, setting)
                seconds.append(time.perf_counter() - start)
                # Slow ones are measured less often.
                if sum(seconds) > (0.4 if len(seconds) >= 3 else LONGEST):
                    break
            row = {
                "problem": problem.name,
                "package": package,
                "method": method,
                "setting": setting,
                "error": float(np.sqrt(np.mean((result.answer - reference) ** 2))),
                "evaluations": result.evaluations,
                "seconds": statistics.median(seconds),
                "repeats": len(seconds),
            }
            rows.append(row)
            print(
                f"{package:17s} {method:25s} {setting:8.0e} error {row['error']:8.1e} "
                f"evaluations {row['evaluations']!s:>6s} {1e3 * row['seconds']:9.2f} ms",
                flush=True,
            )
            if row["seconds"] > LONGEST:
                print(f"{package:17s} {method:25s} {LONGEST} s exceeded: nothing finer")
                break
    return rows


SHOWN = {
    False: [
        ("node_experiments", "bosh3"),
        ("node_experiments", "dopri5"),
        ("node_experiments", "vern7"),
        ("node_experiments", "dopri8"),
        ("node_experiments", "adams"),
        ("torchdiffeq", "dopri5"),
        ("torchode", "dopri5"),
        ("diffrax", "Dopri5"),
        ("scipy", "RK45"),
    ],
    True: [
        ("node_experiments", "trbdf2"),
        ("node_experiments", "kvaerno3"),
        ("node_experiments", "kvaerno5"),
        ("node_experiments", "dopri5"),
        ("diffrax", "Kvaerno5"),
        ("scipy", "Radau"),
        ("scipy", "LSODA"),
    ],
}


def draw(problems: list[Problem], rows: list[dict[str, Any]], path: Path) -> None:
    """Error against evaluations and against time; a colour is a package, a marker a method."""
    with style():
        figure = new_figure(height=6.4)
        axes = figure.subplots(2, 2)
        for line, problem in zip(axes, problems, strict=True):
            of_package: dict[str, int] = {}
            missing = []
            for package, method in SHOWN[problem.stiff]:
                mine = [
                    r
                    for r in rows
                    if (r["problem"], r["package"], r["method"]) == (problem.name, package, method)
                ]
                place = of_package[package] = of_package.get(package, -1) + 1
                own = package == "node_experiments"
                look = {
                    "color": COLOURS[package],
                    "marker": MARKERS[place % len(MARKERS)],
                    "linestyle": "-" if own else "--",
                    "label": f"{'this package' if own else package}, {method}",
                    "markersize": 4,
                    "linewidth": 1.8 if own else 1.2,
                }
                counted = [r for r in mine if r["evaluations"]]
                if not counted:
                    missing.append(f"{package} {method}")
                errors = [r["error"] for r in counted]
                line[0].plot([r["evaluations"] for r in counted], errors, **look)
                line[1].plot(
                    [1e3 * r["seconds"] for r in mine], [r["error"] for r in mine], **look
                )
            line[0].set(xlabel="evaluations of the vector field", title=problem.name)
            line[1].set(xlabel="time (ms)")
            line[0].set_ylabel("error at the end (RMS)")
            for axis in line:
                axis.set(xscale="log", yscale="log")
            if missing:
                line[0].text(
                    0.98, 0.98, f"not counted:\n{', '.join(missing)}", fontsize=SMALLEST,
                    transform=line[0].transAxes, ha="right", va="top",
                )  # fmt: skip
            line[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=SMALLEST)
        figure.suptitle("work and precision: lower left is better")
        figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("outputs/reference/solvers"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    problems = [neural(), van_der_pol()]
    rows = []
    for problem in problems:
        print(problem.name)
        rows += measure(problem, arguments.repeats)
    arguments.output.mkdir(parents=True, exist_ok=True)
    result = {"machine": machine(arguments.repeats), "rows": rows}
    path = arguments.output / "benchmark_solvers.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    draw(problems, rows, arguments.output / "work_precision.png")
    print(f"written: {path}, {arguments.output / 'work_precision.png'}")


if __name__ == "__main__":
    main()
