"""The rows of the table: one kind of work each, with everyone who does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec

from node_experiments.ode import Adjoint, Backprop, Discrete, Gradient, Solver

from .contenders import Contender, Ours, TorchDiffEq, TorchOde, contender
from .peer_diffrax import diffrax_contender
from .problems import CNF, ODERNN, Flow, Latent, Mnist, Oscillators, SmallCNF, Work

__all__ = ["ROWS", "Row"]

TOLERANCE = 1e-3
WAYS: dict[str, Gradient] = {
    "backprop": Backprop(),
    "backprop, compiled": Backprop(),
    "discrete": Discrete(),
    "discrete, graphs kept": Discrete(retain_graphs=True),
    "adjoint": Adjoint(),
}

BACKPROP = "torchdiffeq backprop"
FORWARD_WAYS = ("backprop", "backprop, compiled")


@dataclass(frozen=True)
class Row:
    """One kind of work.

    Attributes:
        title: What it is.
        work: With the parameters and data of all contenders.
        contenders: Makes them, for so many threads.
        reference_tolerance: Of the double precision solve that errors are measured against.
        backward: Whether the gradient is part of a step.
    """

    title: str
    work: Callable[[], Work]
    contenders: Callable[[Row, int], Iterator[Contender]]
    reference_tolerance: float = 1e-9
    backward: bool = True


def ours(row: Row, solver: Solver, ways: tuple[str, ...] = tuple(WAYS)) -> Iterator[Contender]:
    for name in ways if row.backward else FORWARD_WAYS:
        compiles = name.endswith("compiled")
        solve = Ours(replace(solver, compile=compiles), WAYS[name])
        yield contender(name, row.work(), solve, backward=row.backward)


def torchdiffeqs(
    make: Callable[[], Work], what: str = "", backward: bool = True, **options: object
) -> Iterator[Contender]:
    """Both of its ways, which are one without a gradient."""
    if find_spec("torchdiffeq"):
        by = TorchDiffEq("odeint", **options)
        yield contender(f"{BACKPROP}{what}", make(), by, backward=backward)
        if backward:
            adjoint = TorchDiffEq("odeint_adjoint", **options)
            yield contender(f"torchdiffeq adjoint{what}", make(), adjoint)


def torchode(make: Callable[[], Work], tolerance: float, backward: bool) -> Iterator[Contender]:
    """Where it can run: with adaptive steps, for it has no fixed ones."""
    if find_spec("torchode"):
        yield contender("torchode backprop", make(), TorchOde(tolerance), backward=backward)


def diffrax(row: Row, threads: int, method: str, **options: object) -> Iterator[Contender]:
    """Compiled."""
    if find_spec("diffrax"):
        work = row.work()
        yield diffrax_contender(work, method, threads, backward=row.backward, **options)


def adaptive(method: str = "dopri5") -> Solver:
    return Solver(method, rtol=TOLERANCE, atol=TOLERANCE)


DOPRI5 = {"method": "dopri5", "rtol": TOLERANCE, "atol": TOLERANCE}


def official_mnist() -> Mnist:
    return Mnist(concatenates=True)


def mnist(row: Row, threads: int) -> Iterator[Contender]:
    yield from torchdiffeqs(official_mnist, **DOPRI5)
    yield from torchdiffeqs(Mnist, ", our layers", **DOPRI5)
    yield from ours(row, adaptive())


def mnist_bosh3(row: Row, threads: int) -> Iterator[Contender]:
    yield from torchdiffeqs(official_mnist, **DOPRI5)
    for name in ("backprop", "discrete, graphs kept"):
        way = Ours(adaptive("bosh3"), WAYS[name])
        yield contender(f"{name}, bosh3", Mnist(), way, "another method")


def mnist_bf16(row: Row, threads: int) -> Iterator[Contender]:
    yield from torchdiffeqs(official_mnist, **DOPRI5)
    for method in ("dopri5", "bosh3"):
        for name in ("backprop", "discrete, graphs kept"):
            note = "another precision" + (" and method" if method == "bosh3" else "")
            way = Ours(adaptive(method), WAYS[name])
            yield contender(f"{name}, bf16, {method}", Mnist(), way, note, bf16=True)


def plain_latent() -> Latent:
    return Latent(rows_first=True)


def latent(row: Row, threads: int) -> Iterator[Contender]:
    yield from torchdiffeqs(plain_latent, backward=row.backward, **DOPRI5)
    yield from torchdiffeqs(Latent, ", our layers", row.backward, **DOPRI5)
    yield from torchode(plain_latent, TOLERANCE, row.backward)
    yield from diffrax(row, threads, "dopri5", tolerance=TOLERANCE)
    yield from ours(row, adaptive())


def rk4(row: Row, threads: int) -> Iterator[Contender]:
    # The `rk4` of torchdiffeq is the 3/8 rule; it makes one step from each output to the next.
    yield from torchdiffeqs(plain_latent, backward=row.backward, method="rk4")
    yield from torchdiffeqs(Latent, ", our layers", row.backward, method="rk4")
    yield from diffrax(row, threads, "rk38")
    yield from ours(row, Solver("rk38", num_steps=99))


def cnf(row: Row, threads: int) -> Iterator[Contender]:
    yield from torchdiffeqs(lambda: CNF(differentiates=True), backward=row.backward, **DOPRI5)
    yield from torchdiffeqs(CNF, ", our layers", row.backward, **DOPRI5)
    yield from diffrax(row, threads, "dopri5", tolerance=TOLERANCE)
    yield from ours(row, adaptive())


def small_cnf(row: Row, threads: int) -> Iterator[Contender]:
    tight = {"method": "dopri5", "rtol": 1e-5, "atol": 1e-5}
    yield from torchdiffeqs(SmallCNF, backward=row.backward, **tight)
    yield from diffrax(row, threads, "dopri5", tolerance=1e-5)
    yield from ours(row, Solver("dopri5", rtol=1e-5, atol=1e-5))


def euler_flow() -> Flow:
    return Flow(batch=64, units=64, steps=100)


def midpoint_flow() -> Flow:
    return Flow(batch=1000, units=128, steps=20)


def euler(row: Row, threads: int) -> Iterator[Contender]:
    yield from torchdiffeqs(euler_flow, backward=row.backward, method="euler")
    yield from diffrax(row, threads, "euler")
    yield from ours(row, Solver("euler", num_steps=100))


def midpoint(row: Row, threads: int) -> Iterator[Contender]:
    yield from torchdiffeqs(midpoint_flow, backward=row.backward, method="midpoint")
    yield from diffrax(row, threads, "midpoint")
    yield from ours(row, Solver("midpoint", num_steps=20))


def ode_rnn(row: Row, threads: int) -> Iterator[Contender]:
    union = row.backward  # the other way to take them in is slower by far
    if union:
        yield from torchdiffeqs(lambda: ODERNN(union=True), ", union of times", **DOPRI5)
    yield from torchdiffeqs(ODERNN, ", rescaled gaps", row.backward, **DOPRI5)
    yield from ours(row, adaptive())


def oscillators(row: Row, threads: int) -> Iterator[Contender]:
    # Without its adjoint, whose backward solve fails with "underflow in dt".
    if find_spec("torchdiffeq"):
        shared = TorchDiffEq("odeint", method="dopri5", rtol=1e-4, atol=1e-4)
        yield contender(BACKPROP, Oscillators(), shared)
    yield from torchode(Oscillators, 1e-4, row.backward)
    solver = Solver("dopri5", rtol=1e-4, atol=1e-4)
    names = ("backprop", "discrete")
    yield from ours(row, solver, names)
    for name in names:
        of_each = Ours(replace(solver, batching="independent"), WAYS[name])
        yield contender(f"{name}, steps of each sample", Oscillators(), of_each)


TRAINING: dict[str, Row] = {
    # Looser references than elsewhere: the ODE-Net's error is a hundred times above them.
    "mnist": Row("MNIST ODE-Net, batch 128, dopri5", Mnist, mnist, 1e-5),
    "mnist_bosh3": Row("MNIST ODE-Net, by another method", Mnist, mnist_bosh3, 1e-5),
    "mnist_bf16": Row("MNIST ODE-Net, in bf16", Mnist, mnist_bf16, 1e-5),
    "latent": Row("latent ODE, batch 1000, 100 outputs", Latent, latent),
    "rk4": Row("latent ODE, 99 steps of rk4 (3/8 rule)", Latent, rk4),
    "cnf": Row("planar CNF, 512 points, exact trace", CNF, cnf),
    "small_cnf": Row("CNF with one hidden layer, 512 points", SmallCNF, small_cnf),
    "ode_rnn": Row("ODE-RNN, 100 series with individual times", ODERNN, ode_rnn),
    "euler": Row("MLP 64-64, 64 points, 100 steps of euler", euler_flow, euler),
    "oscillators": Row("64 oscillators, stiffness from 0.1 to 10", Oscillators, oscillators),
    "midpoint": Row("MLP 128-128, 1000 points, 20 steps of midpoint", midpoint_flow, midpoint),
}
FORWARD = {
    f"{name}_forward": replace(
        TRAINING[name], title=f"{TRAINING[name].title}, forward only", backward=False
    )
    for name in ("latent", "rk4", "cnf", "small_cnf", "ode_rnn", "euler", "midpoint")
}
ROWS = {**TRAINING, **FORWARD}
