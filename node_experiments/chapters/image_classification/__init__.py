"""Image classification (Chen et al. 2018, section 3)."""
