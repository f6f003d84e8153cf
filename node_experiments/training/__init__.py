"""One training loop for all experiments, and the callbacks that measure it."""
