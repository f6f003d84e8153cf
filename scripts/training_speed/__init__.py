"""The parts of `benchmark_training.py`: the work, who does it, and how it is measured."""
