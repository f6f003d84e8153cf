"""The version of the package, which hatch reads here."""

__all__ = ["__version__"]

__version__ = "0.1.0"
