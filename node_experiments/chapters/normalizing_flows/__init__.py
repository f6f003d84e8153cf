"""Normalizing flows (Chen et al. 2018, section 4)."""
