"""What is raised for data that is missing, damaged or does not fit."""

__all__ = ["DataError"]


class DataError(Exception):
    """Data that cannot be used; the message says which file and what to do."""
