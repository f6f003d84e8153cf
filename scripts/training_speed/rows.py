"""The rows of the table: one kind of work each, with everyone who does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec

from node_experiments.ode import (
    Adjoint,
    Backprop,
    Discrete,
    Gradient,
    Solver,
)

from .contenders import Contender, Ours, TorchDiffEq, TorchOde, contender
from .peer_diffrax import diffrax_latent
from .problems import CNF, ODERNN, Latent, Mnist, Work

__all__ = ["ROWS", "Row"]

TOLERANCE = 1e-3
WAYS: dict[str, Gradient] = {
    "backprop": Backprop(),
    "backprop, compiled": Backprop(),
    "discrete": Discrete(),
    "discrete, graphs kept": Discrete(retain_graphs=True),
    "adjoint": Adjoint(),
}


@dataclass(frozen=True)
class Row:
    """One kind of work.

    Attributes:
        title: What it is.
        work: With the parameters and data of all contenders.
        contenders: Makes them, for so many threads.
        reference_tolerance: Of the double precision solve that errors are measured against.
    """

    title: str
    work: Callable[[], Work]
    contenders: Callable[[Row, int], Iterator[Contender]]
    reference_tolerance: float = 1e-9


def ours(row: Row, solver: Solver, ways: tuple[str, ...] = tuple(WAYS)) -> Iterator[Contender]:
    for name in ways:
        compiles = name.endswith("compiled")
        yield contender(name, row.work(), Ours(replace(solver, compile=compiles), WAYS[name]))


def torchdiffeqs(
    make: Callable[[], Work], what: str = "", **options: object
) -> Iterator[Contender]:
    """Both of its ways."""
    if find_spec("torchdiffeq"):
        yield contender(f"torchdiffeq backprop{what}", make(), TorchDiffEq("odeint", **options))
        adjoint = TorchDiffEq("odeint_adjoint", **options)
        yield contender(f"torchdiffeq adjoint{what}", make(), adjoint)


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
    yield from torchdiffeqs(plain_latent, **DOPRI5)
    yield from torchdiffeqs(Latent, ", our layers", **DOPRI5)
    if find_spec("torchode"):
        yield contender("torchode backprop", plain_latent(), TorchOde(TOLERANCE))
    if find_spec("diffrax"):
        yield diffrax_latent(Latent(), TOLERANCE, threads)
    yield from ours(row, adaptive())


def rk4(row: Row, threads: int) -> Iterator[Contender]:
    # The `rk4` of torchdiffeq is the 3/8 rule; it makes one step from each output to the next.
    yield from torchdiffeqs(plain_latent, method="rk4")
    yield from torchdiffeqs(Latent, ", our layers", method="rk4")
    yield from ours(row, Solver("rk38", num_steps=99))


def cnf(row: Row, threads: int) -> Iterator[Contender]:
    yield from torchdiffeqs(lambda: CNF(differentiates=True), **DOPRI5)
    yield from torchdiffeqs(CNF, ", our layers", **DOPRI5)
    yield from ours(row, adaptive())


def ode_rnn(row: Row, threads: int) -> Iterator[Contender]:
    yield from torchdiffeqs(lambda: ODERNN(union=True), ", union of times", **DOPRI5)
    yield from torchdiffeqs(ODERNN, ", rescaled gaps", **DOPRI5)
    yield from ours(row, adaptive())


ROWS: dict[str, Row] = {
    # Looser references than elsewhere: the ODE-Net's error is a hundred times above them.
    "mnist": Row("MNIST ODE-Net, batch 128, dopri5", Mnist, mnist, 1e-5),
    "mnist_bosh3": Row("MNIST ODE-Net, by another method", Mnist, mnist_bosh3, 1e-5),
    "mnist_bf16": Row("MNIST ODE-Net, in bf16", Mnist, mnist_bf16, 1e-5),
    "latent": Row("latent ODE, batch 1000, 100 outputs", Latent, latent),
    "rk4": Row("latent ODE, 99 steps of rk4 (3/8 rule)", Latent, rk4),
    "cnf": Row("2-d CNF, 512 points, exact trace", CNF, cnf),
    "ode_rnn": Row("ODE-RNN, 100 series, individual times", ODERNN, ode_rnn),
}
