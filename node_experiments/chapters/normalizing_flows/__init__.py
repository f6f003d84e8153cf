"""Section 4 of Chen et al. 2018."""
