"""Real series that are shipped with the package, so that they run without a network."""
