"""Errors that the user can correct; it imports nothing."""

from __future__ import annotations

__all__ = ["DataError", "UserError"]


class UserError(Exception):
    """Input that cannot be used: a setting, a data file, a device or a checkpoint.

    The message is one line for the user: what was wrong, what was found, what is allowed, and
    what to do. Wherever it is raised, also in a process of a data parallel run, `node-run` prints
    that line and ends with `exit_code`.
    """

    exit_code = 2


class DataError(UserError):
    """Data that is missing, damaged or does not fit; the message says what to do."""
