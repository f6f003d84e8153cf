"""Section 3 of Chen et al. 2018."""
