"""Errors of this package that callers of torchdiffeq catch as well."""

from __future__ import annotations

from ...solution import SolveError

__all__ = ["ArgumentError", "DropInSolveError"]


class ArgumentError(ValueError, AssertionError):
    """A wrong argument; torchdiffeq asserts where this package raises `ValueError`."""


class DropInSolveError(SolveError, AssertionError):
    """A solve that did not reach its end, which torchdiffeq reports by an assertion."""
