"""Rubanova et al. 2019, and a user's own series."""
