"""Latent ODEs (Chen et al. 2018, section 5)."""
