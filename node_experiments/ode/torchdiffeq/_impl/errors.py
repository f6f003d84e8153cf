"""Errors of this package that callers of torchdiffeq catch as well."""

from __future__ import annotations

from ...solution import Solution, SolveError, Status

__all__ = ["ArgumentError", "DropInSolveError", "failed_assertion", "in_words_of_drop_in"]

TORCHDIFFEQ_WORDS = {
    Status.STEP_UNDERFLOW: "underflow in dt",
    Status.NON_FINITE: "underflow in dt",
    Status.MAX_STEPS: "max_num_steps exceeded",
}

# Settings of `solve` that messages advise -> what to do with this interface.
ADVICE = {
    "pass it in parameters=[...], or through args=(...) and as an argument of the vector field": (
        "pass it in adjoint_params"
    ),
    "pass it through args=(...) and as an argument of the vector field": (
        "pass it in adjoint_params or as a part of the state"
    ),
    "pass it in args=(...)": "make it a part of the state",
    "gradient='backprop'": "odeint",
    "gradient='discrete', which solves nothing backwards": "odeint",
    "parameters holds": "adjoint_params holds",
    "or pass the tensor in args=(...)": "or make it a part of the state",
    "solver.max_steps": "options['max_num_steps']",
    "solver.rtol": "rtol",
    "solver.atol": "atol",
    "the limit of max_steps was reached": "the limit of steps was reached",
}


def in_words_of_drop_in(message: str) -> str:
    """The message with advice that names arguments of `odeint` and `odeint_adjoint`."""
    for setting, argument in ADVICE.items():
        message = message.replace(setting, argument)
    return message


class ArgumentError(ValueError, AssertionError):
    """A wrong argument; torchdiffeq asserts where this package raises `ValueError`."""


class DropInSolveError(SolveError, AssertionError):
    """A solve that did not reach its end, which torchdiffeq reports by an assertion."""


def failed_assertion(solution: Solution) -> DropInSolveError:
    """The error of a solve that did not reach its end, with the words that programs look for."""
    words = TORCHDIFFEQ_WORDS.get(solution.status)
    message = solution.message
    if words and not message.startswith(words):  # as that of a solve in the vector field does
        message = f"{words}: {message}"
    solution.message = in_words_of_drop_in(message)
    return DropInSolveError(solution)
