"""How a job ended, by what it raised."""

import pytest
import torch

from node_experiments.runner.ending import attempt
from node_experiments.training.signals import StopRequest


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory.\n")])
def test_what_to_do_where_memory_is_not_enough(error):
    def work():
        raise error

    ending = attempt(work, StopRequest(), "train")
    assert (ending.status, ending.exit_code) == ("failed", 1)
    assert "out of memory; lower dataset.batch_size" in ending.reason
    assert "\n" not in ending.reason


def test_the_memory_of_a_machine_is_not_enough():
    ending = attempt(lambda: torch.empty(10**15), StopRequest(), "predict")
    assert "lower dataset.batch_size" in ending.reason
