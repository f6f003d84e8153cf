"""Figure 1 of Chen et al. 2018 and the official demonstration."""
