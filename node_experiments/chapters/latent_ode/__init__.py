"""Section 5 of Chen et al. 2018."""
