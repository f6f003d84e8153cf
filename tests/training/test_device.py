"""What is set for the whole process."""

import torch

from node_experiments.training.device import prepare_process


def test_subnormal_numbers_are_zero_in_a_run():
    try:
        prepare_process(seed=0, threads=None, deterministic=False)
        assert float(torch.full((4,), 1e-30).mul(1e-12).sum()) == 0
    finally:
        torch.set_flush_denormal(False)
