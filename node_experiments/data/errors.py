"""What is raised for data that is missing, damaged or does not fit."""

from ..errors import UserError

__all__ = ["DataError"]


class DataError(UserError):
    """Data that cannot be used; the message says which file and what to do."""
