"""Experiments with neural ordinary differential equations (Chen et al. 2018)."""

__version__ = "0.1.0"
