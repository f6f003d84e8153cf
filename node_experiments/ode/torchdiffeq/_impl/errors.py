"""Errors that are also those which callers of torchdiffeq catch."""

from __future__ import annotations

from ...solution import SolveError

__all__ = ["ArgumentError", "DropInSolveError"]


class ArgumentError(ValueError, AssertionError):
    """A wrong argument; torchdiffeq asserts where this package raises `ValueError`."""


class DropInSolveError(SolveError, AssertionError):
    """A solve that did not reach its end, which torchdiffeq finds by an assertion."""
